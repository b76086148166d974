/** What the generic page's search finds. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { MOST_FOUND, find } from "../../supervisor/browser/search.js"

const plain = (filter) => filter && Object.fromEntries([...filter].map(([key, below]) => [key, plain(below)]))

test("it finds keys and plain values, whatever their case, and keeps the way to them", () => {
  const tree = { Machine: { name: "Press 4", speed: 4 }, orders: [{ number: 71 }, { number: 4 }], none: null, press: {} }
  assert.deepEqual(plain(find(tree, "press").filter), { Machine: { name: null }, press: null })
  assert.deepEqual(plain(find(tree, "4").filter), { Machine: { name: null, speed: null }, orders: { 1: { number: null } } })
  assert.deepEqual(plain(find(tree, "NULL").filter), { none: null })
  assert.equal(find(tree, "nowhere").filter.size, 0)
})

test("what is found by its own key is shown whole, unless more is found in it", () => {
  assert.deepEqual(plain(find({ list: { a: 1, b: { list: 2 } } }, "list").filter), { list: { b: { list: null } } })
  assert.deepEqual(find({ list: { a: 1 } }, "list"), { filter: new Map([["list", null]]), count: 1, isCut: false })
})

test("it stops where nobody would look through it", () => {
  const found = find(Array.from({ length: MOST_FOUND + 5 }, () => "x"), "x")
  assert.deepEqual([found.filter.size, found.count, found.isCut], [MOST_FOUND, MOST_FOUND, true])
})
