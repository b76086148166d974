/** A page that carries its document draws before its websocket is up. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { connect } from "../../supervisor/browser/supervisor.js"
import { FakeBrowser } from "./fakes.js"

function carrying(data, epoch = "e-1") {
  const browser = new FakeBrowser()
  browser.document.data = { epoch, revision: 4, data }
  return browser
}

test("the page's document is there from the start, and what the snapshot repeats is no change", async () => {
  const browser = carrying({ a: { b: 1 }, c: 1 })
  const session = await connect({ banner: false, early: true }, browser)
  assert.equal(browser.sockets.length, 1)
  assert.deepEqual([session.status.state, session.revision, session.data], ["connecting", -1, { a: { b: 1 }, c: 1 }])
  assert.throws(() => { session.data.a.b = 2 }, TypeError)
  const seen = []
  session.subscribe("/a", (value) => seen.push(value))
  session.subscribe("/c", (value) => seen.push(value))
  browser.socket.goLive({ a: { b: 1 }, c: 2 }, { revision: 6 })
  assert.deepEqual(browser.socket.sent, [{ type: "attach", token: "t-1" }])
  assert.deepEqual(seen, [{ b: 1 }, 1, 2])
  assert.equal(session.status.state, "live")
})

test("without early, or without a document in the page, connect() resolves when it is live", async () => {
  for (const [browser, early] of [[carrying({ a: 1 }), false], [new FakeBrowser(), true]]) {
    let session = null
    const connecting = connect({ banner: false, early }, browser).then((given) => { session = given })
    await new Promise(setImmediate)
    assert.equal(session, null)
    browser.socket.goLive({ a: 1 })
    await connecting
    assert.deepEqual(session.data, { a: 1 })
  }
})

test("what is edited before the websocket is up shows, and is written once there is a mirror", async () => {
  const browser = carrying({ a: 1 })
  const session = await connect({ banner: false, early: true }, browser)
  const editing = session.edit("/a", 2)
  assert.deepEqual(session.data, { a: 2 })
  browser.socket.goLive({ a: 1 }, { revision: 6 })
  assert.deepEqual(session.data, { a: 2 })
  assert.equal(browser.socket.sent[1].base, 6)
  browser.socket.receive({ type: "edited", number: 1, revision: 7 })
  browser.socket.patch(6, { op: "replace", path: "/a", value: 2 })
  await editing
})

test("an edit of a document that is gone when the page connects is not sent", async () => {
  const browser = carrying({ a: 1 })
  const session = await connect({ banner: false, early: true }, browser)
  const editing = session.edit("/a", 2)
  browser.socket.goLive({ a: 5 }, { epoch: "e-2" })
  await assert.rejects(editing, { kind: "unsent" })
  assert.deepEqual(session.data, { a: 5 })
})

test("a page that draws early hears by its status that it can't connect", async () => {
  const browser = carrying({ a: 1 })
  const states = []
  await connect({ banner: false, early: true, reload: false, onStatus: ({ state }) => states.push(state) }, browser)
  browser.socket.open()
  browser.socket.lose(4404)
  assert.deepEqual(states, ["connecting", "ended"])
})
