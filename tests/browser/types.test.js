/** supervisor.d.ts says what supervisor.js has. */

import assert from "node:assert/strict"
import { readFileSync, readdirSync } from "node:fs"
import { test } from "node:test"

import { Session } from "../../supervisor/browser/session.js"
import * as module from "../../supervisor/browser/supervisor.js"
import { FakeBrowser } from "./fakes.js"

const folder = new URL("../../supervisor/browser/", import.meta.url)
const types = readFileSync(new URL("supervisor.d.ts", folder), "utf8")

function members(name) {
  const [, body] = types.match(new RegExp(`export interface ${name}\\b[^{]*{\\n(.*?)\\n}`, "s"))
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?<(:]/gm)].map(([, member]) => member).sort()
}

test("the exports are the same", () => {
  const declared = [...types.matchAll(/^export (?:function|class|const) (\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(Object.keys(module).sort(), declared.sort())
})

test("a session has the declared members and no others", () => {
  const names = Object.getOwnPropertyNames(Session.prototype).filter((name) => name !== "constructor")
  assert.deepEqual(names.sort(), members("Session"))
})

test("a presence and a peer have the declared members and no others", async () => {
  const browser = new FakeBrowser()
  const connecting = module.connect({ banner: false }, browser)
  browser.socket.goLive()
  const { presence } = await connecting
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(presence)).filter((name) => !["constructor", "tell"].includes(name))
  assert.deepEqual(names.sort(), members("Presence"))
  let peers
  presence.watch((told) => { peers = told })
  const present = [{ id: "p-1", name: null, metadata: {} }]
  browser.socket.receive({ type: "presence", scope: "session", complete: true, present, left: [] })
  assert.deepEqual(Object.keys(peers[0]).sort(), members("Peer"))
  assert(Object.isFrozen(peers) && Object.isFrozen(peers[0]))
})

test("a status has the declared members and no others", async () => {
  const browser = new FakeBrowser()
  const connecting = module.connect({ banner: false }, browser)
  browser.socket.goLive()
  const session = await connecting
  assert.deepEqual(Object.keys(session.status).sort(), members("Status"))
  assert(Object.isFrozen(session.status))
})

test("the fake browser has all that the client touches of a browser", () => {
  const browser = new FakeBrowser()
  for (const name of members("Environment")) assert(name in browser, name)
})

test("supervisor.js imports every module that it is made of, so that all are fetched at once", () => {
  const imports = (name) =>
    [...readFileSync(new URL(name, folder), "utf8").matchAll(/^import .*?"\.\/(.*)"$/gm)].map(([, other]) => other)
  const direct = imports("supervisor.js")
  const all = new Set(direct)
  for (const name of all) for (const other of imports(name)) all.add(other)
  assert.deepEqual([...all].sort(), [...direct].sort())
})

test("no module is longer than 300 lines", () => {
  for (const name of readdirSync(folder)) {
    const lines = readFileSync(new URL(name, folder), "utf8").split("\n").length
    assert(lines <= 301, `${name} has ${lines} lines`)
  }
})
