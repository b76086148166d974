/** Edits: shown at once, carried over what comes, undone when refused, sent once. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { SendError, connect } from "../../supervisor/browser/supervisor.js"
import { FakeBrowser } from "./fakes.js"

const add = (path, value) => ({ op: "add", path, value })
const replace = (path, value) => ({ op: "replace", path, value })
const remove = (path) => ({ op: "remove", path })

async function live(data = {}, { browser = new FakeBrowser(), ...fields } = {}) {
  const connecting = connect({ banner: false }, browser)
  browser.socket.goLive(data, fields)
  const session = await connecting
  return { browser, session, socket: browser.socket }
}

/** The server takes an edit: its answer, and the patch that it made. */
function accept(socket, number, revision, ...operations) {
  socket.receive({ type: "edited", number, revision })
  socket.patch(revision - 1, ...operations)
}

function refuse(socket, number, kind = "rejected", text = "No.") {
  socket.receive({ type: "error", number, kind, text, incident: null })
}

test("an edit shows at once, is written with the mirror's revision, and stays when the server has taken it", async () => {
  const { session, socket } = await live({ notes: [{ text: "a" }] }, { revision: 7 })
  const seen = []
  session.subscribe("/notes/0/text", (value) => seen.push(value))
  const editing = session.edit("/notes/0/text", "b")
  assert.deepEqual(session.data, { notes: [{ text: "b" }] })
  assert.deepEqual(seen, ["a", "b"])
  assert.deepEqual(socket.sent[1], {
    type: "edit", number: 1, base: 7, op: "set", path: ["notes", 0, "text"], value: "b", confirmed: 0,
  })
  accept(socket, 1, 8, replace("/notes/0/text", "b"))
  assert.equal(await editing, undefined)
  assert.deepEqual(session.data, { notes: [{ text: "b" }] })
  assert.deepEqual(seen, ["a", "b"], "nothing has changed since")
})

test("insert and remove say what they are, and '-' is the end", async () => {
  const { session, socket } = await live({ list: [1, 2], a: 1 })
  session.insert("/list/-", 3)
  session.insert("/list/0", 0)
  session.remove("/list/1")
  session.remove("/a")
  session.edit("/new", { x: 1 })
  assert.deepEqual(session.data, { list: [0, 2, 3], new: { x: 1 } })
  assert.deepEqual(socket.sent.slice(1).map(({ op, path, value }) => [op, path, value]), [
    ["insert", ["list", 2], 3], ["insert", ["list", 0], 0], ["remove", ["list", 1], undefined], ["remove", ["a"], undefined],
    ["set", ["new"], { x: 1 }],
  ])
})

test("a refused edit is undone, its promise rejects, and those behind it go on naming what they named", async () => {
  const { session, socket } = await live({ list: ["a", "b"] })
  const first = session.insert("/list/0", "new")
  const second = session.edit("/list/2", "B")
  assert.deepEqual(session.data.list, ["new", "a", "B"])
  const seen = []
  session.subscribe("/list", (value) => seen.push(value))
  refuse(socket, 1, "rejected", "The list is full.")
  await assert.rejects(first, (error) => error instanceof SendError && error.kind === "rejected" && error.text === "The list is full.")
  assert.deepEqual(session.data.list, ["a", "B"])
  assert.deepEqual(seen.slice(1), [["a", "B"]])
  accept(socket, 2, 1, replace("/list/1", "B"))
  await second
  assert.deepEqual(session.data.list, ["a", "B"])
})

test("what others change goes below the own edit, which follows the item that it names", async () => {
  const { session, socket } = await live({ list: ["a", "b"], other: 1 })
  session.edit("/list/1", "B")
  socket.patch(0, add("/list/0", "x"), replace("/other", 2))
  assert.deepEqual(session.data, { list: ["x", "a", "B"], other: 2 })
  socket.patch(1, add("/list/-", "y"), remove("/list/0"))
  assert.deepEqual(session.data.list, ["a", "B", "y"])
  accept(socket, 1, 3, replace("/list/1", "B"))
  assert.deepEqual(session.data.list, ["a", "B", "y"])
})

test("the end of an array is where it was, however many are added there at once", async () => {
  const { session, socket } = await live({ list: ["a"] })
  session.insert("/list/-", "mine")
  socket.patch(0, add("/list/-", "b"), add("/list/-", "c"))
  assert.deepEqual(session.data.list, ["a", "b", "c", "mine"])
})

test("an own patch moves nothing that was made on top of it", async () => {
  const { session, socket } = await live({ list: ["a"] })
  session.insert("/list/0", { text: "" })
  session.edit("/list/0/text", "mine")
  accept(socket, 1, 1, add("/list/0", { text: "" }))
  assert.deepEqual(session.data.list, [{ text: "mine" }, "a"])
  accept(socket, 2, 2, replace("/list/0/text", "mine"))
  assert.deepEqual(session.data.list, [{ text: "mine" }, "a"])
})

test("where the app made something else of an edit, that shows, and the others follow it", async () => {
  const { session, socket } = await live({ list: ["a", "b"] })
  const first = session.insert("/list/0", " new ")
  session.edit("/list/2", "B")
  accept(socket, 1, 1, add("/list/0", "new"))
  await first
  assert.deepEqual(session.data.list, ["new", "a", "B"])
  session.remove("/list/0")
  session.edit("/list/0", "A")
  // The app moves it to the end instead.
  accept(socket, 3, 2, add("/list/-", "new"), remove("/list/0"))
  assert.deepEqual(session.data.list, ["A", "B", "new"])
})

test("what is written into an item that the app completes goes on in it by its keys", async () => {
  const { session, socket } = await live({ notes: [] })
  const inserting = session.insert("/notes/-", { text: "", tags: ["x"] })
  const writing = session.edit("/notes/0/text", "mine")
  session.insert("/notes/0/tags/0", "y").catch(() => {})
  const seen = []
  session.subscribe("/notes/0/text", (text) => seen.push(text))
  accept(socket, 1, 1, add("/notes/0", { text: "", tags: ["new", "x"], id: 7 }))
  await inserting
  assert.deepEqual(session.data.notes, [{ text: "mine", tags: ["new", "x"], id: 7 }])
  const removing = session.remove("/notes/0")
  accept(socket, 2, 2, replace("/notes/0/text", "mine"))
  await writing
  refuse(socket, 3, "conflict")
  accept(socket, 4, 3, remove("/notes/0"))
  await removing
  assert.deepEqual(seen, ["mine", undefined], "it was there all the time")
})

test("an edit whose place has gone shows no more, and is refused when the server says so", async () => {
  const { session, socket } = await live({ list: [{ text: "a" }, { text: "b" }] })
  const editing = session.edit("/list/0/text", "mine")
  const behind = session.edit("/list/1/text", "B")
  socket.patch(0, remove("/list/0"))
  assert.deepEqual(session.data.list, [{ text: "B" }])
  refuse(socket, 1, "conflict")
  await assert.rejects(editing, { kind: "conflict" })
  assert.deepEqual(session.data.list, [{ text: "B" }])
  accept(socket, 2, 2, replace("/list/0/text", "B"))
  await behind
})

test("an edit that doesn't fit for a while is left out, and shows again when it fits", async () => {
  const { session, socket } = await live({ a: { b: 1 } })
  session.edit("/a/b", 2)
  socket.patch(0, replace("/a", 7))
  assert.deepEqual(session.data, { a: 7 })
  socket.patch(1, replace("/a", { c: 3 }))
  assert.deepEqual(session.data, { a: { c: 3, b: 2 } })
})

test("subscribers of what neither edit nor patch touches hear nothing, and equal parts stay identical", async () => {
  const { session, socket } = await live({ a: { x: { y: 1 } }, b: { z: [1] }, list: [{ n: 1 }, { n: 2 }] })
  const calls = []
  for (const path of ["/b", "/a", "/a/x", "/list", "/list/1"]) session.subscribe(path, () => calls.push(path))
  calls.length = 0
  const { b, list } = session.data
  session.edit("/a/x/y", 2)
  assert.deepEqual(calls.splice(0), ["/a", "/a/x"])
  const { a } = session.data
  socket.patch(0, replace("/b/z/0", 2))
  assert.deepEqual(calls.splice(0), ["/b"])
  assert.equal(session.data.a, a)
  assert.equal(session.data.list, list)
  assert.notEqual(session.data.b, b)
  accept(socket, 1, 2, replace("/a/x/y", 2))
  assert.deepEqual(calls.splice(0), [])
  assert.equal(session.data.a, a)
  const [first] = list
  session.insert("/list/0", { n: 0 })
  assert.deepEqual(calls.splice(0), ["/list", "/list/1"])
  assert.equal(session.data.list[1], first, "items that only moved are the same")
  socket.patch(2, replace("/list/1/n", 5))
  assert.equal(session.data.list[1], first)
  assert(Object.isFrozen(session.data) && Object.isFrozen(session.data.list) && Object.isFrozen(session.data.list[0]))
})

test("the value is copied when it is given, and frozen", async () => {
  const { session, socket } = await live({})
  const value = { tags: ["a"] }
  session.edit("/note", value)
  value.tags.push("later")
  assert.deepEqual(session.data.note, { tags: ["a"] })
  assert.deepEqual(socket.sent[1].value, { tags: ["a"] })
  assert.throws(() => { session.data.note.tags.push(1) }, TypeError)
})

test("what can't be an edit rejects at once, shows nothing and sends nothing", async () => {
  const { session, socket } = await live({ list: [1], n: 1 })
  const before = session.data
  await assert.rejects(session.edit("list", 1), SyntaxError)
  await assert.rejects(session.edit(undefined, 1), TypeError)
  await assert.rejects(session.edit("/n", undefined), TypeError)
  await assert.rejects(session.edit("/n", 1n), TypeError)
  await assert.rejects(session.edit("", {}), { kind: "invalid" })
  await assert.rejects(session.insert("/n", 1), { kind: "conflict" })
  await assert.rejects(session.edit(`/${"x".repeat(5000)}`, 1), { kind: "invalid" })
  await assert.rejects(session.edit("/nothing/here", 1), { kind: "conflict" })
  await assert.rejects(session.edit("/list/x", 1), { kind: "conflict" })
  await assert.rejects(session.edit("/list/-/x", 1), { kind: "conflict" })
  await assert.rejects(session.edit("/list/1", 1), { kind: "conflict" })
  await assert.rejects(session.insert("/list/2", 1), { kind: "conflict" })
  await assert.rejects(session.remove("/nothing"), { kind: "conflict" })
  assert.equal(session.data, before)
  assert.equal(socket.sent.length, 1)
})

test("an edit without a connection shows, and is written with the base of the mirror that it is then meant for", async () => {
  const { browser, session } = await live({ list: ["a"] })
  browser.socket.lose()
  const editing = session.edit("/list/0", "A")
  assert.deepEqual(session.data.list, ["A"])
  browser.advance(0.5)
  browser.socket.resume({ revision: 1 })
  const [, frame] = browser.socket.sent
  assert.deepEqual([frame.base, frame.path], [0, ["list", 0]])
  browser.socket.patch(0, add("/list/0", "x"))
  accept(browser.socket, 1, 2, replace("/list/1", "A"))
  await editing
  assert.deepEqual(session.data.list, ["x", "A"])
})

test("a written edit is written again as the same frame, whatever has come since", async () => {
  const { browser, session, socket } = await live({ list: ["a"] })
  session.edit("/list/0", "A").catch(() => {})
  socket.patch(0, add("/list/0", "x"))
  socket.lose()
  browser.advance(0.5)
  browser.socket.resume({ revision: 1, received: 0 })
  assert.deepEqual(browser.socket.sent[1], socket.sent[1])
  assert.deepEqual(session.data.list, ["x", "A"])
})

test("sends and edits are numbered in one row, and an edit waits for a mirror, with all behind it", async () => {
  const { browser, session } = await live({ a: 1 })
  browser.socket.lose()
  session.send("First").catch(() => {})
  session.edit("/a", 2).catch(() => {})
  session.send("Third").catch(() => {})
  browser.advance(0.5)
  browser.socket.attach({ resumed: false, revision: 5 })
  assert.deepEqual(browser.socket.sent.slice(1).map(({ type, number }) => [type, number]), [["send", 1]])
  browser.socket.receive({ type: "snapshot", epoch: "e-1", revision: 5, data: { a: 1 } })
  assert.deepEqual(browser.socket.sent.slice(2).map(({ type, number, base }) => [type, number, base]), [
    ["edit", 2, 5], ["send", 3, undefined],
  ])
})

test("a snapshot: what was never written and names an index is in conflict; keys go on meaning the same", async () => {
  const { browser, session } = await live({ list: ["a"], a: 1 })
  browser.socket.lose()
  const byIndex = session.edit("/list/0", "A")
  const byKey = session.edit("/a", 2)
  browser.advance(0.5)
  browser.socket.goLive({ list: ["b"], a: 1 }, { revision: 9 })
  await assert.rejects(byIndex, { kind: "conflict" })
  assert.deepEqual(session.data, { list: ["b"], a: 2 })
  assert.deepEqual(browser.socket.sent.slice(1).map(({ number, base, path }) => [number, base, path]), [[1, 9, ["a"]]])
  accept(browser.socket, 1, 10, replace("/a", 2))
  await byKey
})

test("a written edit that a snapshot has brought leaves with it", async () => {
  const { browser, session, socket } = await live({ list: ["a"] })
  const editing = session.insert("/list/0", "new")
  session.edit("/list/1", "A").catch(() => {})
  socket.lose()
  browser.advance(0.5)
  browser.socket.attach({ resumed: false, revision: 9, received: 2 })
  browser.socket.receive({ type: "edited", number: 1, revision: 8 })
  browser.socket.receive({ type: "snapshot", epoch: "e-1", revision: 9, data: { list: ["new", "a"] } })
  await editing
  assert.deepEqual(session.data.list, ["new", "A"])
})

test("behind an edit that a snapshot left without a place, edits wait until it is answered", async () => {
  const { browser, session, socket } = await live({ list: ["a", "b"] })
  session.insert("/list/0", "new").catch(() => {})
  socket.lose()
  browser.advance(0.5)
  browser.socket.goLive({ list: ["x", "a", "b"] }, { revision: 9, received: 1 })
  assert.deepEqual(session.data.list, ["new", "x", "a", "b"])
  session.edit("/list/3", "B").catch(() => {})
  assert.equal(browser.socket.sent.length, 1)
  accept(browser.socket, 1, 10, add("/list/1", "new"))
  assert.deepEqual(session.data.list, ["x", "new", "a", "B"])
  assert.deepEqual([browser.socket.sent[1].base, browser.socket.sent[1].path], [10, ["list", 3]])
})

test("another epoch: written edits are unknown, and the others unsent, for their document is gone", async () => {
  const { browser, session } = await live({ a: 1 })
  const written = session.edit("/a", 2)
  browser.socket.lose()
  const waiting = session.edit("/a", 3)
  const message = session.send("Message")
  browser.advance(0.5)
  browser.socket.goLive({ a: 9 }, { epoch: "e-2", client: "c-2" })
  await assert.rejects(written, { kind: "unknown" })
  await assert.rejects(waiting, { kind: "unsent" })
  assert.deepEqual(session.data, { a: 9 })
  assert.deepEqual(browser.socket.sent.slice(1).map(({ type, number }) => [type, number]), [["send", 1]])
  browser.socket.receive({ type: "answer", number: 1, value: "ok" })
  assert.equal(await message, "ok")
})

test("a client that was forgotten: what was written is undone as unknown, and what was not goes on from where it is", async () => {
  const { browser, session } = await live({ list: ["a"] })
  const written = session.insert("/list/0", "new")
  browser.socket.lose()
  session.edit("/list/1", "A").catch(() => {})
  browser.advance(0.5)
  browser.socket.resume({ client: "c-2", revision: 0 })
  await assert.rejects(written, { kind: "unknown" })
  assert.deepEqual(session.data.list, ["A"])
  assert.deepEqual(browser.socket.sent.slice(1).map(({ number, path }) => [number, path]), [[1, ["list", 0]]])
})

test("an edit that changed nothing is done at once: there is no patch to wait for", async () => {
  const { session, socket } = await live({ list: [7, "b"] })
  const editing = session.edit("/list/0", ["x"])
  session.insert("/list/0/0", "y").catch(() => {})
  session.edit("/list/1", "B").catch(() => {})
  socket.receive({ type: "edited", number: 1, revision: 0 })
  await editing
  assert.deepEqual(session.data.list, [7, "B"], "the app keeps what is there, and what is inside of the other value goes")
})

test("at the end all are undone, and what was only not written is said to be so", async () => {
  const { browser, session } = await live({ a: 1 })
  const written = session.edit("/a", 2)
  browser.socket.lose()
  const waiting = session.edit("/a", 3)
  const seen = []
  session.subscribe("/a", (value) => seen.push(value))
  session.close()
  await assert.rejects(written, { kind: "unknown" })
  await assert.rejects(waiting, { kind: "unsent" })
  await assert.rejects(session.edit("/a", 4), { kind: "unsent" })
  assert.deepEqual(seen, [3, 1])
})

test("an answer of the wrong sort is a protocol error", async () => {
  for (const [isEdit, answer] of [
    [true, { type: "answer", number: 1, value: null }],
    [false, { type: "edited", number: 1, revision: 1 }],
    [false, { type: "error", number: 1, kind: "conflict", text: "", incident: null }],
  ]) {
    const { browser, session, socket } = await live({ a: 1 })
    const sending = isEdit ? session.edit("/a", 2) : session.send("Message")
    sending.catch(() => {})
    socket.receive(answer)
    assert.equal(socket.closedWith.code, 4400)
    assert.equal(browser.reported.length, 1)
  }
})

test("what may be edited is told, may change, and says more for a place than for what is in it", async () => {
  const { session, socket } = await live({}, { editable: ["/notes", "/poll/*/choice", "/list/*"] })
  const told = []
  const stop = session.onEditable((patterns) => told.push(patterns))
  assert.deepEqual(session.editable, ["/notes", "/poll/*/choice", "/list/*"])
  for (const [path, action, may] of [
    ["/notes", undefined, true], ["/notes", "insert", false], ["/notes", "remove", false], ["/notes/0/text", "edit", true],
    ["/notes/0", "insert", true], ["/notes/0", "remove", true], ["/poll", "edit", false], ["/poll/3/choice", "edit", true],
    ["/poll/3", "edit", false], ["/list", "edit", false], ["/list/4", "remove", true], ["/list/-", "insert", true], ["", "edit", false],
  ]) assert.equal(session.mayEdit(path, action), may, `${path} ${action}`)
  socket.receive({ type: "editable", patterns: [] })
  assert.equal(session.mayEdit("/notes"), false)
  stop()
  socket.receive({ type: "editable", patterns: [""] })
  assert.equal(session.mayEdit("/anything"), true)
  assert.deepEqual(told, [["/notes", "/poll/*/choice", "/list/*"], []])
})

test("half a surrogate pair is refused at once: to the server it would be a broken frame", async () => {
  const { session, socket } = await live({ a: "" })
  for (const bad of ["\ud83d", "a\udc00b", { "\ud800": 1 }, ["\\\ud800"]]) {
    await assert.rejects(session.edit("/a", bad), TypeError)
    await assert.rejects(session.send("Message", { bad }), TypeError)
    assert.throws(() => session.presence.set({ bad }), TypeError)
  }
  await assert.rejects(session.edit("/\ud800", 1), TypeError)
  await assert.rejects(session.send("\ud800"), TypeError)
  assert.deepEqual(session.data, { a: "" })
  assert.equal(socket.sent.length, 1)
  for (const good of ["\u{1f600}", "\\ud800", "\\\\udc00", "\ue000"]) session.edit("/a", good).catch(() => {})
  assert.deepEqual(socket.sent.slice(1).map(({ value }) => value), ["\u{1f600}", "\\ud800", "\\\\udc00", "\ue000"])
})
