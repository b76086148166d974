/** The mirror's tree and its pointers. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { join, resolve, split } from "../../supervisor/browser/pointer.js"
import { PatchError, frozen, overlaid, patched, shared } from "../../supervisor/browser/tree.js"

test("pointers are unescaped in the order that RFC 6901 asks for", () => {
  assert.deepEqual(split("/a~1b/m~0n/~01/"), ["a/b", "m~n", "~1", ""])
  assert.equal(join(split("/a~1b/m~0n/~01/")), "/a~1b/m~0n/~01/")
  for (const wrong of ["a", "/~", "/~2"]) assert.throws(() => split(wrong), SyntaxError)
  assert.throws(() => split(undefined), TypeError)
})

test("only what is there is found: no prototype, no length, no odd index", () => {
  const value = { list: [1, 2], text: "abc" }
  assert.equal(resolve(value, ["list", "1"]), 2)
  for (const path of ["/list/length", "/list/01", "/list/-", "/toString", "/text/0", "/nothing/at/all", "/__proto__"]) {
    assert.equal(resolve(value, split(path)), undefined, path)
  }
})

test("a patch that doesn't fit changes nothing", () => {
  const tree = frozen({ a: [1] })
  const operations = [{ op: "replace", path: "/a/0", value: 2 }, { op: "remove", path: "/a/7" }]
  assert.throws(() => patched(tree, operations), PatchError)
  assert.deepEqual(tree, { a: [1] })
})

test("a patch may change what it has added before", () => {
  const value = { list: [] }
  const { tree } = patched(frozen({}), [
    { op: "add", path: "/x", value },
    { op: "add", path: "/x/list/-", value: 1 },
    { op: "add", path: "/x/list/0", value: 0 },
  ])
  assert.deepEqual(tree, { x: { list: [0, 1] } })
  assert(Object.isFrozen(tree.x.list))
})

test("a key named __proto__ is a key like any other", () => {
  const { tree } = patched(frozen(JSON.parse('{"__proto__":{"a":1}}')), [
    { op: "replace", path: "/__proto__/a", value: 2 },
    { op: "add", path: "/x", value: JSON.parse('{"__proto__":1}') },
  ])
  assert.equal(JSON.stringify(tree), '{"__proto__":{"a":2},"x":{"__proto__":1}}')
  assert.equal(Object.getPrototypeOf(tree), Object.prototype)
})

test("many operations on a long list copy it once", () => {
  const tree = frozen({ list: Array.from({ length: 100_000 }, (_, index) => index) })
  const operations = Array.from({ length: 10_000 }, (_, index) => ({ op: "replace", path: `/list/${index}`, value: -1 }))
  const before = process.cpuUsage()
  patched(tree, operations)
  const { user, system } = process.cpuUsage(before)
  assert(user + system < 2_000_000) // microseconds of work, however long a busy machine took for it
})

test("a snapshot keeps each part that is equal", () => {
  const before = frozen({ a: { x: [1, { y: 2 }] }, b: [1], gone: 1 })
  const after = shared(before, { a: { x: [1, { y: 2 }] }, b: [1, 2] })
  assert.deepEqual(after, { a: { x: [1, { y: 2 }] }, b: [1, 2] })
  assert.equal(after.a, before.a)
  assert(Object.isFrozen(after) && Object.isFrozen(after.b))
  assert.equal(shared(after, JSON.parse(JSON.stringify(after))), after)
  assert.deepEqual(shared(frozen([1]), { 0: 1 }), { 0: 1 })
})

test("items that moved within an array are the same as before, though parts of their neighbours are equal", () => {
  const before = frozen([{ n: 0, tags: ["x"] }, { n: 1, tags: ["x"] }])
  const after = shared(before, frozen([before[1]]))
  assert.equal(after[0], before[1])
})

test("edits go on top in order, each that fits, and the tree below stays as it is", () => {
  const tree = frozen({ list: ["a", "b"], map: { k: 1 } })
  assert.deepEqual(overlaid(tree, [
    { op: "insert", path: ["list", 2], value: "c" },
    { op: "set", path: ["list", 3], value: "not there" },
    { op: "remove", path: ["list", 0] },
    { op: "set", path: ["list", "0"], value: "no key" },
    { op: "set", path: ["map", 0], value: "no index" },
    { op: "insert", path: ["map", "j"], value: "no array" },
    { op: "remove", path: ["map", "j"] },
    { op: "set", path: ["map", "k", "x"], value: "no container" },
    { op: "set", path: ["map", "__proto__"], value: 1 },
  ]), { list: ["b", "c"], map: JSON.parse('{"k":1,"__proto__":1}') })
  assert.deepEqual(tree, { list: ["a", "b"], map: { k: 1 } })
  assert.equal(overlaid(tree, []), tree)
})

test("a patch tells what it did, with the place that the end of an array was", () => {
  const { applied } = patched(frozen({ list: [1], "-": 0 }), [
    { op: "add", path: "/list/-", value: 2 },
    { op: "add", path: "/list/-", value: 3 },
    { op: "add", path: "/-", value: 4 },
  ])
  assert.deepEqual(applied.map(({ path }) => path), [["list", "1"], ["list", "2"], ["-"]])
})
