/** The whole client in a fake browser: connect, come back, load anew, subscribe, send. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { SendError, SessionEnded, connect } from "../../supervisor/browser/supervisor.js"
import { FakeBrowser } from "./fakes.js"

const replace = (path, value) => ({ op: "replace", path, value })
const gone = { type: "closing", code: 4404, reason: "gone", retry_after: null }

async function live(data = {}, { browser = new FakeBrowser(), options = {} } = {}) {
  const statuses = []
  const connecting = connect({ banner: false, onStatus: (status) => statuses.push(status), ...options }, browser)
  browser.socket.goLive(data)
  return { browser, session: await connecting, statuses }
}

test("connect() attaches with the page's token and resolves when the snapshot is there", async () => {
  const { browser, session, statuses } = await live({ prices: { ACME: 1 } })
  assert.equal(browser.socket.url, "ws://host.example:5006/prefix/ticker/-/websocket")
  assert.deepEqual(browser.socket.sent, [{ type: "attach", token: "t-1" }])
  assert.deepEqual(session.data, { prices: { ACME: 1 } })
  assert.equal(session.id, "s-1")
  assert.equal(session.revision, 0)
  assert.deepEqual(statuses.map(({ state }) => state), ["connecting", "live"])
})

test("a page that came by https gets a websocket by wss", async () => {
  const { browser } = await live({}, { browser: new FakeBrowser({ scheme: "https:" }) })
  assert.match(browser.socket.url, /^wss:/)
})

test("a page without the meta element says what is missing", async () => {
  const browser = new FakeBrowser()
  browser.document.meta = null
  await assert.rejects(connect({ banner: false }, browser), /no <meta name="supervisor">/)
})

test("the data is frozen in every depth and parts that a patch left alone stay identical", async () => {
  const { browser, session } = await live({ a: { b: [1] }, c: { d: 2 } })
  const before = session.data
  browser.socket.patch(0, replace("/a/b/0", 5))
  assert.deepEqual(session.data, { a: { b: [5] }, c: { d: 2 } })
  assert.deepEqual(before, { a: { b: [1] }, c: { d: 2 } })
  assert.equal(session.data.c, before.c)
  assert.throws(() => { session.data.a.b.push(1) }, TypeError)
})

test("a subscriber is called at once and then only when the value at its path changed", async () => {
  const { browser, session } = await live({ prices: { ACME: 1 }, other: 1 })
  const seen = []
  const unsubscribe = session.subscribe("/prices", (value, before) => seen.push([value, before]))
  browser.socket.patch(0, replace("/other", 2))
  browser.socket.patch(1, replace("/prices/ACME", 2))
  browser.socket.patch(2, { op: "remove", path: "/prices" })
  unsubscribe()
  browser.socket.patch(3, { op: "add", path: "/prices", value: {} })
  assert.deepEqual(seen, [[{ ACME: 1 }, undefined], [{ ACME: 2 }, { ACME: 1 }], [undefined, { ACME: 2 }]])
})

test("a patch is one change: a subscriber never sees half of it", async () => {
  const { browser, session } = await live({ a: 1, b: 1 })
  const seen = []
  session.subscribe("/a", () => seen.push(session.data))
  browser.socket.patch(0, replace("/a", 2), replace("/b", 2))
  assert.deepEqual(seen, [{ a: 1, b: 1 }, { a: 2, b: 2 }])
})

test("a snapshot after a loss tells only those whose value is another one", async () => {
  const { browser, session } = await live({ same: { x: [1] }, other: 1 })
  const seen = []
  session.subscribe("/same", () => seen.push("same"))
  session.subscribe("/other", (value) => seen.push(value))
  browser.socket.lose()
  browser.advance(1)
  browser.socket.goLive({ same: { x: [1] }, other: 2 }, { epoch: "e-2", client: "c-2" })
  assert.deepEqual(seen, ["same", 1, 2])
})

test("a restart is told after the data and its subscribers, once, also if it was missed", async () => {
  const { browser, session } = await live({ n: 1 })
  const seen = []
  session.subscribe("/n", (value) => seen.push(value))
  const end = session.onRestart(() => seen.push(["restart", session.data.n, session.revision]))
  browser.socket.receive({ type: "snapshot", epoch: "e-2", revision: 5, data: { n: 2 } })
  browser.socket.receive({ type: "snapshot", epoch: "e-2", revision: 6, data: { n: 3 } })
  browser.socket.lose()
  browser.advance(1)
  browser.socket.goLive({ n: 4 }, { epoch: "e-3", client: "c-2" })
  end()
  browser.socket.receive({ type: "snapshot", epoch: "e-4", revision: 9, data: { n: 5 } })
  assert.deepEqual(seen, [1, 2, ["restart", 2, 5], 3, 4, ["restart", 4, 0], 5])
})

test("while the session restarts the status says so, sends wait, and the new document is live again", async () => {
  const { browser, session, statuses } = await live({ n: 1 })
  browser.socket.receive({ type: "restarting", after: 1.5 })
  const { state, reason, code, retryAt } = session.status
  assert.deepEqual([state, reason, code], ["restarting", "The session has failed and is restarting.", null])
  assert.equal(retryAt, browser.now() + 1500)
  const answer = session.send("Watch")
  browser.socket.receive({ type: "snapshot", epoch: "e-2", revision: 5, data: { n: 2 } })
  browser.socket.receive({ type: "answer", number: 1, value: "ok" })
  assert.equal(await answer, "ok")
  assert.equal(session.status.reason, "")
  assert.deepEqual(statuses.map((status) => status.state), ["connecting", "live", "restarting", "live"])
})

test("a server that fell silent, and had said that it is there, is left for a new connection after a minute", async () => {
  const { browser, session } = await live({ n: 1 })
  browser.advance(600)
  assert.equal(session.status.state, "live", "who never says so is believed")
  browser.socket.receive({ type: "alive" })
  for (let minute = 0; minute < 3; minute++) {
    browser.advance(59)
    browser.socket.receive({ type: "alive" })
  }
  browser.advance(59)
  browser.socket.patch(0, replace("/n", 2))
  browser.advance(59)
  assert.deepEqual([session.status.state, browser.sockets.length], ["live", 1])
  browser.advance(1)
  assert.deepEqual([session.status.state, session.status.reason], ["reconnecting", "The connection was lost."])
  browser.advance(0.5)
  browser.socket.open()
  assert.equal(browser.socket.sent[0].type, "resume")
})

test("who comes back has longer for a snapshot, of which nothing is heard before it is whole", async () => {
  const { browser, session } = await live({ n: 1 })
  browser.socket.receive({ type: "alive" })
  browser.socket.lose()
  browser.advance(0.5)
  browser.socket.attach({ resumed: false })
  browser.advance(599)
  assert.deepEqual([session.status.state, browser.sockets.length], ["reconnecting", 2])
  browser.socket.receive({ type: "snapshot", epoch: "e-1", revision: 0, data: { n: 2 } })
  assert.equal(session.status.state, "live")
  browser.advance(60)
  assert.equal(session.status.state, "reconnecting", "which is no longer than before, once it is there")
  browser.advance(0.5)
  browser.socket.attach({ resumed: false })
  browser.advance(602)
  assert.equal(browser.sockets.length, 4, "and its line may be dead")
})

test("what a callback throws is reported and stops no other", async () => {
  const { browser, session } = await live({ a: 1 })
  const seen = []
  session.subscribe("/a", () => { throw new Error("mine") })
  session.subscribe("/a", (value) => seen.push(value))
  browser.socket.patch(0, replace("/a", 2))
  assert.deepEqual(seen, [1, 2])
  assert.deepEqual(browser.reported.map(({ message }) => message), ["mine", "mine"])
  assert.equal(session.status.state, "live")
})

test("callbacks may subscribe and unsubscribe while they are called", async () => {
  const { browser, session } = await live({ a: 1 })
  const seen = []
  const stop = session.subscribe("/a", (value) => {
    if (value !== 2) return
    stopOther()
    session.subscribe("/a", (value) => seen.push(["late", value]))
    stop()
  })
  const stopOther = session.subscribe("/a", (value) => seen.push(["other", value]))
  browser.socket.patch(0, replace("/a", 2))
  assert.deepEqual(seen, [["other", 1], ["late", 2]])
})

test("send() resolves with the answer, and with the patches that it caused applied", async () => {
  const { browser, session } = await live({ a: 1 })
  const fields = { symbol: "ACME" }
  const answer = session.send("Watch", fields).then((value) => [value, session.data.a])
  fields.symbol = "changed later"
  assert.deepEqual(browser.socket.sent[1], { type: "send", number: 1, name: "Watch", fields: { symbol: "ACME" }, confirmed: 0 })
  browser.socket.patch(0, replace("/a", 2))
  browser.socket.receive({ type: "answer", number: 1, value: "ok" })
  assert.deepEqual(await answer, ["ok", 2])
})

test("a refused send rejects with a SendError that has kind, text and incident", async () => {
  const { browser, session } = await live()
  const answer = session.send("Watch")
  browser.socket.receive({ type: "error", number: 1, kind: "failed", text: "It failed.", incident: "ab12cd34" })
  await assert.rejects(answer, (error) => {
    assert(error instanceof SendError && error instanceof Error)
    assert.deepEqual([error.kind, error.text, error.incident], ["failed", "It failed.", "ab12cd34"])
    const named = "Look for incident ab12cd34."
    assert.equal(new SendError("failed", named, "ab12cd34").message, named, "the incident is said once")
    assert.match(error.message, /ab12cd34/)
    return true
  })
})

test("fields that JSON can't carry reject with a TypeError, and nothing is sent", async () => {
  const { browser, session } = await live()
  await assert.rejects(session.send("Watch", { big: 1n }), TypeError)
  await assert.rejects(session.send("Watch", [1]), TypeError)
  await assert.rejects(session.send(undefined), TypeError)
  assert.equal(browser.socket.sent.length, 1)
})

test("after a loss it resumes by itself, sends again what was unanswered, and connect()'s promise stays resolved", async () => {
  const { browser, session, statuses } = await live({ a: 1 })
  const first = session.send("First")
  browser.socket.lose()
  const second = session.send("Second")
  assert.equal(session.status.state, "reconnecting")
  assert.equal(session.status.retryAt, browser.now() + 499.99975)
  browser.advance(0.5)
  assert.equal(browser.sockets.length, 2)
  browser.socket.resume({ received: 0 })
  assert.deepEqual(browser.socket.sent.map(({ type, number, name }) => [type, number, name]), [
    ["resume", undefined, undefined], ["send", 1, "First"], ["send", 2, "Second"],
  ])
  assert.equal(browser.socket.sent[0].revision, 0)
  browser.socket.receive({ type: "answer", number: 1, value: 1 })
  browser.socket.receive({ type: "answer", number: 2, value: 2 })
  assert.deepEqual(await Promise.all([first, second]), [1, 2])
  assert.deepEqual(statuses.map(({ state }) => state), ["connecting", "live", "reconnecting", "reconnecting", "live"])
})

test("delays double up to 30 s and begin anew after it was live", async () => {
  const { browser, session } = await live()
  const delays = []
  for (let attempt = 0; attempt < 9; attempt++) {
    browser.socket.lose()
    delays.push(Math.round((session.status.retryAt - browser.now()) / 100) / 10)
    browser.advance((session.status.retryAt - browser.now()) / 1000)
  }
  assert.deepEqual(delays, [0.5, 1, 2, 4, 8, 16, 30, 30, 30])
  browser.socket.resume()
  browser.socket.lose()
  assert(session.status.retryAt - browser.now() <= 500)
})

test("the server's delay is used when it restarts, and the status says why", async () => {
  const { browser, session } = await live()
  browser.socket.receive({ type: "closing", code: 1012, reason: "restarting", retry_after: 7 })
  browser.socket.lose(1006)
  assert.equal(session.status.retryAt - browser.now(), 7000)
  assert.equal(session.status.code, 1012)
  assert.equal(session.status.reason, "The server is restarting.")
})

test("what the server said is told until it is live again, or has said something else", async () => {
  const { browser, session } = await live()
  const told = () => [session.status.code, session.status.reason]
  const again = () => browser.advance((session.status.retryAt - browser.now()) / 1000)
  browser.socket.receive({ type: "closing", code: 1012, reason: "restarting", retry_after: 7 })
  browser.socket.lose(1012)
  for (const code of [1006, 4408]) {
    again()
    browser.socket.lose(code)
    assert.deepEqual(told(), [1012, "The server is restarting."])
  }
  again()
  browser.socket.lose(4429)
  assert.deepEqual(told(), [4429, "There was too much at once."])
  again()
  browser.socket.resume()
  browser.socket.lose(1006)
  assert.deepEqual(told(), [1006, "The connection was lost."])
  again()
  browser.socket.lose(4408)
  assert.equal(session.status.code, 4408)
})

test("it comes back at once when the browser comes online or the page is shown again", async () => {
  for (const event of ["online", "pageshow", "visibilitychange"]) {
    const { browser } = await live()
    browser.socket.lose()
    browser.advance(0.1)
    browser.fire(event, {}, event === "visibilitychange" ? browser.document : browser.window)
    assert.equal(browser.sockets.length, 2, event)
    browser.advance(5)
    assert.equal(browser.sockets.length, 2, `${event}: the timer is gone`)
  }
})

test("a websocket that outlived an outage is replaced: its line may be dead without anyone noticing", async () => {
  const { browser, session } = await live()
  const [old] = browser.sockets
  browser.fire("online")
  assert.equal(browser.sockets.length, 1, "it was never offline")
  browser.fire("offline")
  browser.fire("online")
  assert.equal(old.closedWith.code, 1000)
  assert.equal(browser.sockets.length, 2)
  browser.socket.resume()
  old.lose(1000)
  assert.equal(session.status.state, "live", "late events of the old websocket count for nothing")
})

test("a page in the back/forward cache has no websocket, and gets one when it is shown again", async () => {
  const { browser, session } = await live()
  browser.fire("pagehide", { persisted: true })
  assert.equal(browser.sockets[0].closedWith.code, 1000)
  browser.advance(60)
  assert.equal(browser.sockets.length, 1)
  browser.fire("pageshow", { persisted: true })
  browser.socket.resume()
  assert.equal(session.status.state, "live")
})

test("an attempt that brings nothing is given up", async () => {
  const { browser } = await live()
  browser.socket.lose()
  browser.advance(0.5)
  browser.advance(20)
  assert.equal(browser.sockets[1].closedWith.code, 1000)
  browser.advance(1)
  assert.equal(browser.sockets.length, 3)
})

test("a websocket that opened is waited for as long as the server lets it wait for its session and its hooks", async () => {
  const { browser, session } = await live()
  browser.socket.lose()
  browser.advance(0.5)
  browser.advance(19)
  browser.socket.open()
  browser.advance(59)
  assert.equal(browser.sockets.length, 2)
  assert.equal(browser.sockets[1].closedWith, null)
  browser.advance(1)
  assert.equal(browser.sockets[1].closedWith.code, 1000)
  browser.advance(1)
  assert.equal(browser.sockets.length, 3)
  browser.socket.resume()
  browser.advance(100)
  assert.equal(session.status.state, "live", "once there was a frame, nothing is waited for")
})

test("an announced close is believed when the websocket doesn't close", async () => {
  const { browser, session } = await live()
  browser.socket.receive({ type: "closing", code: 4410, reason: "The demo is over.", retry_after: null })
  browser.advance(5)
  assert.deepEqual([session.status.state, session.status.reason], ["ended", "The demo is over."])
})

test("a malformed frame closes with 4400, and the next connection begins with a snapshot", async () => {
  for (const frame of ["{", new ArrayBuffer(1), '{"type":"patch"}']) {
    const { browser, session } = await live({ a: 1 })
    browser.socket.receiveRaw(frame)
    assert.equal(browser.sockets[0].closedWith.code, 4400)
    assert.equal(browser.reported.length, 1)
    assert.deepEqual(session.data, { a: 1 }, "what was shown stays")
    browser.advance(0.5)
    browser.socket.open()
    assert.equal(browser.socket.sent[0].revision, -1)
  }
})

test("frames that are malformed again and again are asked for ever more slowly", async () => {
  const { browser } = await live()
  for (let count = 0; count < 600; count++) {
    browser.advance(1)
    const { socket } = browser
    if (socket.closedWith !== null) continue
    socket.open()
    socket.receive({ type: "attached", session: "s-1", client: "c-1", key: "k-1", epoch: "e-1", revision: 0, resumed: false, received: 0 })
    socket.receive({ type: "snapshot", epoch: "e-1", revision: 0, data: {} })
    socket.receive("{")
  }
  assert(browser.sockets.length < 30, `${browser.sockets.length} connections in ten minutes`)
})

test("gone: the page is loaded anew, once, and connect()'s promise says nothing", async () => {
  const items = new Map()
  const browser = new FakeBrowser({ items })
  let settled = false
  let told = 0
  browser.window.addEventListener("supervisor-reload", () => { told++ })
  connect({ banner: false }, browser).finally(() => { settled = true })
  browser.socket.open()
  browser.socket.receive(gone)
  browser.socket.lose(4404)
  await null
  assert.deepEqual([browser.reloads, told], [1, 1])
  assert.equal(settled, false)

  const again = new FakeBrowser({ items })
  const connecting = connect({ banner: false }, again)
  again.socket.open()
  again.socket.receive(gone)
  again.socket.lose(4404)
  await assert.rejects(connecting, (error) => {
    assert(error instanceof SessionEnded)
    assert.deepEqual([error.code, error.reason], [4404, "The session does not exist any more."])
    return true
  })
  assert.equal(again.reloads, 0)
  again.advance(600)
  assert.equal(again.sockets.length, 1)
})

test("a reloaded page that went live may load itself anew another time", async () => {
  const items = new Map()
  for (const _ of [1, 2]) {
    const { browser } = await live({}, { browser: new FakeBrowser({ items }) })
    assert.equal(items.size, 0)
    browser.socket.lose(4401)
    assert.equal(browser.reloads, 1)
    assert.equal(items.size, 1)
  }
})

test("each path has a reload of its own", () => {
  const items = new Map()
  for (const path of ["/one", "/two"]) {
    const browser = new FakeBrowser({ items, path })
    connect({ banner: false }, browser)
    browser.socket.lose(4404)
    assert.equal(browser.reloads, 1)
  }
})

test("without session storage, or when the app wants to do it, nothing is loaded anew", async () => {
  for (const [browser, options] of [[new FakeBrowser({ items: null }), {}], [new FakeBrowser(), { reload: false }]]) {
    const { session } = await live({}, { browser, options })
    browser.socket.lose(4404)
    assert.equal(browser.reloads, 0)
    assert.deepEqual([session.status.state, session.status.code], ["ended", 4404])
  }
})

test("when it ends, promises are rejected and no timer or listener is left", async () => {
  const { browser, session } = await live()
  const written = session.send("Written")
  browser.socket.receive({ type: "closing", code: 4410, reason: "over", retry_after: null })
  browser.socket.lose(4410)
  await assert.rejects(written, { kind: "unknown" })
  await assert.rejects(session.send("Late"), { kind: "unsent" })
  assert.equal(browser.pendingTimers, 0)
  browser.fire("online")
  assert.equal(browser.sockets.length, 1)
})

test("close() ends it quietly, and may be called twice", async () => {
  const { browser, session } = await live()
  session.close()
  session.close()
  assert.equal(browser.socket.closedWith.code, 1000)
  assert.deepEqual([session.status.state, session.status.code], ["ended", null])
  assert.equal(browser.pendingTimers, 0)
})

test("close() in a callback is heeded at once", async () => {
  const { browser, session } = await live({ a: 1 })
  session.subscribe("/a", (value) => { if (value === 2) session.close() })
  session.send("Unanswered").catch(() => {})
  browser.socket.patch(0, replace("/a", 2))
  browser.advance(60)
  assert.equal(browser.sockets.length, 1)
  assert.equal(session.status.state, "ended")
})

test("the 65th send without a connection is rejected at once", async () => {
  const { browser, session } = await live()
  browser.socket.lose()
  const sends = Array.from({ length: 65 }, () => session.send("Watch"))
  await assert.rejects(sends[64], { kind: "unsent" })
  browser.advance(0.5)
  browser.socket.resume()
  assert.equal(browser.socket.sent.length, 65)
  for (let number = 1; number <= 64; number++) browser.socket.receive({ type: "answer", number, value: number })
  assert.equal((await Promise.all(sends.slice(0, 64))).at(-1), 64)
})

test("onStatus() is called at once and with each change until it is unsubscribed", async () => {
  const { browser, session } = await live()
  const states = []
  const stop = session.onStatus(({ state }) => states.push(state))
  browser.socket.lose()
  stop()
  browser.advance(1)
  assert.deepEqual(states, ["live", "reconnecting"])
})
