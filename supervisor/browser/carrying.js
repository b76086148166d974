/**
 * Carrying edits and operations over each other, so that the paths of both go on naming what they named. Pure.
 *
 * These are the two tables of the wire's page ("Edits" in docs/reference/wire.md), and the server has the same ones.
 * An edit is `{op: "set" | "insert" | "remove", path: (string | number)[]}`: a string is the key of an object, a number
 * the index in an array. An operation is `{op: "add" | "remove" | "replace", path: string[]}`: a JSON Pointer's tokens,
 * with the array's length in the place of "-". What else they have stays as it is.
 */

import { shared } from "./tree.js"

/** The edit as it is after the operation; null if what it was to change has gone with that. */
export function carried(edit, operation) {
  const { op, path } = operation
  // Of the root: what is there now has nothing in common with what was there.
  if (path.length === 0) return edit.path.some(isIndex) ? null : edit
  const depth = path.length - 1
  if (edit.path.length < path.length || !startsEqual(edit.path, path, depth)) return edit
  const step = edit.path[depth]
  const isLast = depth === edit.path.length - 1
  if (!isIndex(step)) {
    if (step !== path[depth]) return edit
    if (op === "remove") return !isLast || edit.op === "remove" ? null : edit
    return replaced(edit, depth)
  }
  const index = indexOf(path[depth])
  if (op === "add") return index <= step ? moved(edit, depth, 1) : edit
  if (op === "remove") {
    if (index < step) return moved(edit, depth, -1)
    return index === step && !(isLast && edit.op === "insert") ? null : edit
  }
  return index === step ? replaced(edit, depth) : edit
}

/**
 * The operation as it is after the edit, which was not known where the operation comes from; null if nothing is left of
 * it. What was made on top of the edit is carried over this one.
 */
export function carriedOperation(operation, edit) {
  const depth = edit.path.length - 1
  if (operation.path.length <= depth || !startsEqual(edit.path, operation.path, depth)) return operation
  const step = edit.path[depth]
  const isLast = depth === operation.path.length - 1
  const isAdd = isLast && operation.op === "add"
  if (!isIndex(step)) return step === operation.path[depth] ? null : operation
  const index = indexOf(operation.path[depth])
  if (edit.op === "insert") {
    return index > step || (index === step && !isAdd) ? moved(operation, depth, 1) : operation
  }
  if (edit.op === "remove") {
    if (index > step) return moved(operation, depth, -1)
    return index === step && !isAdd ? null : operation
  }
  // An item that comes or goes at this place of the array is another one than the item that was set.
  return index !== step || (isLast && operation.op !== "replace") ? operation : null
}

/** The operation that undoes the edit, as far as paths of others are concerned: it has no value. */
export function inverse({ op, path }) {
  return { op: { insert: "remove", remove: "add", set: "replace" }[op], path: path.map(String) }
}

/**
 * What leads from the document with an edit on top, as it was made, to the one with the patch that brought it; its
 * operations and the edit have values here. Another value in the very place is a `replace`, so that what was done inside
 * of the first one goes on there by its keys; the essay in the server's supervisor/protocol/carrying.py tells why.
 */
export function difference(edit, operations) {
  if (operations.length !== 1 || !putsTheSame(edit, operations[0])) return [inverse(edit), ...operations]
  const [{ op, path, value }] = operations
  return op === "remove" || shared(edit.value, value) === edit.value ? [] : [{ op: "replace", path }]
}

/** Does the operation what the edit does, at its place? The value may be another one. */
function putsTheSame(edit, { op, path }) {
  if (path.length !== edit.path.length || path.some((token, depth) => token !== String(edit.path[depth]))) return false
  // An "add" to an array puts an item between others.
  if (edit.op === "set") return op === "replace" || (op === "add" && !isIndex(edit.path.at(-1)))
  return op === (edit.op === "insert" ? "add" : "remove")
}

/** The edit after there is another value at its step: what follows can mean the same there as before only if it is keys. */
function replaced(edit, depth) {
  return edit.path.slice(depth + 1).some(isIndex) ? null : edit
}

function moved(thing, depth, by) {
  const step = thing.path[depth]
  const place = Number(step) + by
  return { ...thing, path: thing.path.with(depth, isIndex(step) ? place : String(place)) }
}

function startsEqual(path, tokens, length) {
  for (let depth = 0; depth < length; depth++) if (String(path[depth]) !== tokens[depth]) return false
  return true
}

function isIndex(step) {
  return typeof step === "number"
}

/** NaN, which is neither below nor above any index, if the token can't be one. */
function indexOf(token) {
  return /^[0-9]+$/.test(token) ? Number(token) : NaN
}
