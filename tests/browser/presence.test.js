/** Presence: who is there, what this client says of itself, and a connection that the app refuses. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { connect } from "../../supervisor/browser/supervisor.js"
import { FakeBrowser } from "./fakes.js"

const ada = { id: "p-2", name: "Ada", metadata: { colour: "red" } }
const me = { id: "p-1", name: null, metadata: {} }

async function live() {
  const browser = new FakeBrowser()
  const connecting = connect({ banner: false }, browser)
  browser.socket.goLive()
  return { browser, session: await connecting }
}

function tell(socket, fields) {
  socket.receive({ type: "presence", scope: "session", complete: false, present: [], left: [], ...fields })
}

test("who watches is told who is there, at once and whenever that changes", async () => {
  const { browser: { socket }, session } = await live()
  const told = []
  const stop = session.presence.watch((peers) => told.push(peers.map(({ id, name, self }) => [id, name, self])))
  assert.deepEqual(socket.sent.slice(1), [{ type: "watch", scope: "session" }])
  tell(socket, { complete: true, present: [me, ada] })
  tell(socket, { left: ["p-2"], present: [{ ...me, name: "Bob" }] })
  stop()
  stop()
  tell(socket, { present: [ada] })
  assert.deepEqual(told, [[], [["p-1", null, true], ["p-2", "Ada", false]], [["p-1", "Bob", true]]])
  assert.equal(session.peer, "p-1")
})

test("who stops, and watches again, is told nothing before the server has told all", async () => {
  const { browser: { socket }, session } = await live()
  const stop = session.presence.watch(() => {})
  tell(socket, { complete: true, present: [me] })
  stop()
  const told = []
  session.presence.watch((peers) => told.push(peers.map(({ id }) => id)))
  tell(socket, { present: [ada] })
  tell(socket, { complete: true, present: [me, ada] })
  assert.deepEqual(told, [[], ["p-1", "p-2"]])
})

test("each scope is asked for once, and told to those who asked for it", async () => {
  const { browser: { socket }, session } = await live()
  const told = []
  session.presence.watch((peers) => told.push(["session", peers.length]))
  session.presence.watch((peers) => told.push(["application", peers.length]), { scope: "application" })
  session.presence.watch((peers) => told.push(["again", peers.length]), { scope: "application" })
  assert.deepEqual(socket.sent.slice(1).map(({ scope }) => scope), ["session", "application"])
  told.length = 0
  tell(socket, { scope: "application", complete: true, present: [me, ada] })
  assert.deepEqual(told, [["application", 2], ["again", 2]])
  assert.throws(() => session.presence.watch(() => {}, { scope: "world" }), TypeError)
})

test("after coming back it says and asks again, right after attached and before all else", async () => {
  const { browser, session } = await live()
  session.presence.watch(() => {})
  session.presence.set({ cursor: 1 })
  session.presence.set({ cursor: 2 })
  session.send("Unanswered").catch(() => {})
  assert.deepEqual(browser.socket.sent.slice(1, 4).map(({ type, metadata }) => [type, metadata?.cursor]), [
    ["watch", undefined], ["present", 1], ["present", 2],
  ])
  browser.socket.lose()
  session.presence.set({ cursor: 3 })
  browser.advance(0.5)
  browser.socket.open()
  assert.equal(browser.socket.sent.length, 1)
  browser.socket.receive({
    type: "attached", session: "s-1", client: "c-1", peer: "p-1", key: "k-1", epoch: "e-1", revision: 0, resumed: true,
    received: 0, editable: [],
  })
  assert.deepEqual(browser.socket.sent.slice(1).map(({ type, metadata }) => [type, metadata?.cursor]), [
    ["present", 3], ["watch", undefined], ["send", undefined],
  ])
})

test("a complete answer takes the place of what was known before the connection was lost", async () => {
  const { browser, session } = await live()
  let peers
  session.presence.watch((told) => { peers = told })
  tell(browser.socket, { complete: true, present: [me, ada] })
  browser.socket.lose()
  browser.advance(0.5)
  browser.socket.resume({ peer: "p-9", client: "c-9" })
  tell(browser.socket, { complete: true, present: [{ ...me, id: "p-9" }] })
  assert.deepEqual(peers.map(({ id, self }) => [id, self]), [["p-9", true]])
})

test("what can't be told is refused where it is said, and nothing is sent", async () => {
  const { browser, session } = await live()
  for (const wrong of [null, undefined, 1, "x", [1], { toJSON: () => 1 }]) {
    assert.throws(() => session.presence.set(wrong), TypeError, String(wrong))
  }
  assert.throws(() => session.presence.set({ x: "ä".repeat(600) }), RangeError)
  session.presence.set({ x: "a".repeat(1000) })
  assert.equal(browser.socket.sent.length, 2)
})

test("a callback that fails stops no other", async () => {
  const { browser, session } = await live()
  let told = 0
  session.presence.watch(() => { throw new Error("mine") })
  session.presence.watch(() => { told++ })
  tell(browser.socket, { complete: true, present: [me] })
  assert.equal(told, 2)
  assert.equal(browser.reported.length, 2)
})

test("a connection that the app refuses stays away, and says the app's reason", async () => {
  const { browser, session } = await live()
  browser.socket.receive({ type: "closing", code: 4403, reason: "Your ticket has expired.", retry_after: null })
  browser.socket.lose(4403)
  assert.deepEqual([session.status.state, session.status.code, session.status.reason], ["ended", 4403, "Your ticket has expired."])
  browser.advance(600)
  assert.equal(browser.sockets.length, 1)
  assert.equal(browser.reloads, 0)
})
