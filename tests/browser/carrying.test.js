/**
 * Any order of own edits, changes by others and losses: what shows is what the server makes of it.
 *
 * A small server in here takes edits as the wire's page says ("On the server"), with the same tables as the client. The
 * tables themselves are tried by the vectors in carried.json.
 */

import assert from "node:assert/strict"
import { test } from "node:test"

import { carried, carriedOperation, inverse } from "../../supervisor/browser/carrying.js"
import { ClientConnection } from "../../supervisor/browser/connection.js"
import { join, split } from "../../supervisor/browser/pointer.js"
import { frozen, overlaid, patched } from "../../supervisor/browser/tree.js"

/** The mulberry32 generator: a failing run is named by its seed. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }
}

class Server {
  data = frozen({ list: [1, { text: "a", tags: ["x"] }, [2, 3]], map: { a: 1, b: { c: [4] } } })
  revision = 0
  /** What the client is still to get, in order. */
  frames = []
  #base = 0
  // What came after #base and isn't the client's, carried over the client's own edits; each with its revision.
  #bridge = []
  #received = 0

  change(operation) {
    const { tree, applied: [{ op, path }] } = patched(this.data, [operation])
    this.data = tree
    this.revision++
    this.#bridge.push({ operation: { op, path }, revision: this.revision })
    this.frames.push({ type: "patch", from: this.revision - 1, to: this.revision, operations: [operation] })
  }

  take({ number, base, op, path, value }, { refuses }) {
    assert.equal(number, ++this.#received)
    assert(base >= this.#base && base <= this.revision)
    this.#base = base
    this.#bridge = this.#bridge.filter(({ revision }) => revision > base)
    let edit = { op, path, value }
    for (const each of this.#bridge) {
      if (each.operation === null) continue
      const after = edit && carried(edit, each.operation)
      if (edit !== null) each.operation = carriedOperation(each.operation, edit)
      edit = after
    }
    const tree = edit && overlaid(this.data, [edit])
    if (edit === null || tree === this.data || refuses) {
      if (edit !== null) this.#bridge.push({ operation: inverse(edit), revision: Infinity })
      const kind = edit === null || tree === this.data ? "conflict" : "rejected"
      this.frames.push({ type: "error", number, kind, text: "", incident: null })
      return kind
    }
    const isNew = op === "insert" || (op === "set" && !at(this.data, edit.path.slice(0, -1)).hasOwnProperty(edit.path.at(-1)))
    const operation = { op: op === "remove" ? "remove" : isNew ? "add" : "replace", path: join(edit.path), ...(op === "remove" ? {} : { value }) }
    this.data = tree
    this.revision++
    this.frames.push({ type: "edited", number, revision: this.revision })
    this.frames.push({ type: "patch", from: this.revision - 1, to: this.revision, operations: [operation] })
    return "edited"
  }
}

function at(tree, path) {
  return path.reduce((container, step) => container[step], tree)
}

/** All places of a tree: their paths. */
function* places(tree, path = []) {
  if (typeof tree !== "object" || tree === null) return
  for (const key of Object.keys(tree)) {
    const place = [...path, Array.isArray(tree) ? Number(key) : key]
    yield place
    yield* places(tree[key], place)
  }
}

function wish(tree, roll) {
  const any = (choices) => choices[Math.floor(roll() * choices.length)]
  const value = any([0, "new", [7, 8], { text: "b" }, { c: [] }, []])
  const keys = typeof tree.map === "object" && tree.map !== null && !Array.isArray(tree.map) ? [["map", "d"]] : []
  const path = any([...places(tree), ...keys, ["list"]])
  const arrays = [["list"], ...places(tree)].filter((place) => Array.isArray(at(tree, place.slice(0, -1))?.[place.at(-1)]))
  const kind = roll()
  if (kind < 0.4 && arrays.length > 0) {
    const array = any(arrays)
    return { op: "insert", path: [...array, Math.floor(roll() * (at(tree, array).length + 1))], value }
  }
  const exists = at(tree, path.slice(0, -1)).hasOwnProperty(path.at(-1))
  return kind < 0.6 && exists && path.length > 1 ? { op: "remove", path } : { op: "set", path, value }
}

function operationFor(tree, { op, path, value }) {
  if (op === "remove") return { op, path: join(path) }
  const exists = op === "set" && at(tree, path.slice(0, -1)).hasOwnProperty(path.at(-1))
  return { op: exists ? "replace" : "add", path: join(path), value }
}

function attached(server, fields) {
  return { type: "attached", session: "s", client: "c", peer: "p", key: "k", epoch: "e", editable: [""], revision: server.revision, ...fields }
}

function run(seed, { refusals }) {
  const roll = random(seed)
  const server = new Server()
  const client = new ClientConnection({ session: "s", token: "t" })
  const isStrict = refusals === 0
  const outcomes = new Map()
  const kinds = new Map()
  const settle = (events) => {
    for (const { type, ticket, error } of events) {
      if (type !== "answered" && type !== "refused") continue
      assert(!outcomes.has(ticket), "settled once")
      outcomes.set(ticket, error?.kind ?? "edited")
    }
  }
  const receive = (frame) => settle(client.receive(JSON.stringify(frame)))
  let onTheWay = []
  const write = () => onTheWay.push(...client.outgoing().map((frame) => JSON.parse(frame)))

  client.opened()
  receive(attached(server, { resumed: false, received: 0 }))
  receive({ type: "snapshot", epoch: "e", revision: 0, data: server.data })
  for (let round = 0; round < 12; round++) {
    const kind = roll()
    if (kind < 0.35) {
      const { op, path, value } = wish(client.data, roll)
      client.edit(op, join(path), value)
      write()
    } else if (kind < 0.6) {
      server.change(operationFor(server.data, wish(server.data, roll)))
    } else if (kind < 0.8 && onTheWay.length > 0) {
      const frame = onTheWay.shift()
      kinds.set(frame.number, server.take(frame, { refuses: roll() < refusals }))
    } else if (server.frames.length > 0) {
      deliver(server, client, receive, write, isStrict)
    }
  }
  while (onTheWay.length > 0 || server.frames.length > 0) {
    if (onTheWay.length > 0) {
      const frame = onTheWay.shift()
      kinds.set(frame.number, server.take(frame, { refuses: roll() < refusals }))
    }
    while (server.frames.length > 0) deliver(server, client, receive, write, isStrict)
  }
  assert.deepEqual(client.data, server.data)
  for (const [number, kind] of kinds) assert.equal(outcomes.get(number), kind, `edit ${number}`)
}

/** The next frame reaches the client; an own edit that was done as it was wished changes nothing of what shows. */
function deliver(server, client, receive, write, isStrict) {
  const frame = server.frames.shift()
  const before = client.data
  receive(frame)
  if (frame.type === "edited") {
    receive(server.frames.shift())
    if (isStrict) assert.deepEqual(client.data, before, "an edit that is done already shows")
  } else if (isStrict && frame.kind === "conflict") {
    assert.deepEqual(client.data, before, "an edit that can't be done shows no more")
  }
  write()
}

test("what shows is what the server makes of it", () => {
  for (let seed = 1; seed <= 3000; seed++) named(seed, () => run(seed, { refusals: 0 }))
})

// Not strict: a base doesn't tell whether the client knew of a refusal when it wrote, and this server guesses that it didn't.
test("with refusals by the app, all are equal at the end and each edit is settled once", () => {
  for (let seed = 1; seed <= 3000; seed++) named(seed, () => run(seed, { refusals: 0.3 }))
})

function named(seed, play) {
  try {
    play()
  } catch (error) {
    error.message = `seed ${seed}: ${error.message}`
    throw error
  }
}
