/**
 * The session's data: a deeply frozen tree that is never changed, only replaced along a path. Pure.
 *
 * Rule: what is equal stays identical. A patch or an edit makes new containers along its path and keeps every other one;
 * a snapshot keeps each part that is equal to what was there. So `before !== after` is all that anyone needs to ask to
 * learn whether a part of the document changed, however large that part is.
 */

import { isIndex, join, split } from "./pointer.js"

/** An operation doesn't fit the tree. */
export class PatchError extends Error {
  name = "PatchError"
}

/**
 * The tree with the operations (RFC 6902: add, remove, replace) applied, all of them or, by PatchError, none.
 *
 * @param {unknown} root a frozen tree; it stays as it is
 * @param {ReadonlyArray<{op: string, path: string, value?: unknown}>} operations
 * @returns {{tree: unknown, applied: Array<{op: string, path: string[], value?: unknown}>}} tree: frozen, like the values
 *   in applied, which has each operation with its path's tokens, and the place that "-" stood for
 */
export function patched(root, operations) {
  // Containers made by this patch: nobody else has seen them yet, so later operations change them in place.
  // Without it a patch of n operations on a list of m items would copy n·m of them.
  const ours = new Set()
  const applied = []
  for (const { op, path, value } of operations) {
    const operation = { op, path: tokensOf(path), value }
    root = changed(root, operation, ours)
    applied.push(operation)
  }
  for (const container of ours) Object.freeze(container)
  return { tree: root, applied }
}

/**
 * The tree with the edits on top, in order; each that doesn't fit there is left out.
 *
 * @param {unknown} root a frozen tree; it stays as it is
 * @param {Iterable<{op: "set" | "insert" | "remove", path: (string | number)[], value?: unknown}>} edits
 * @returns {unknown} a frozen tree
 */
export function overlaid(root, edits) {
  const ours = new Set()
  for (const edit of edits) {
    const op = operationOf(root, edit)
    if (op !== null) root = changed(root, { op, path: edit.path.map(String), value: edit.value }, ours)
  }
  for (const container of ours) Object.freeze(container)
  return root
}

/** Does the edit fit the tree? */
export function fits(root, edit) {
  return operationOf(root, edit) !== null
}

/** What a patch would say for this edit of the tree: "add", "remove" or "replace"; null if the edit doesn't fit. */
function operationOf(root, { op, path }) {
  let container = root
  for (const step of path.slice(0, -1)) {
    if (!has(container, step)) return null
    container = container[step]
  }
  const step = path.at(-1)
  if (op === "insert") return Array.isArray(container) && Number.isInteger(step) && step <= container.length ? "add" : null
  if (has(container, step)) return op === "set" ? "replace" : op
  const isNewKey = op === "set" && isContainer(container) && !Array.isArray(container) && typeof step === "string"
  return isNewKey ? "add" : null
}

function has(container, step) {
  if (typeof step === "number") return Array.isArray(container) && step < container.length
  return isContainer(container) && !Array.isArray(container) && Object.hasOwn(container, step)
}

/**
 * The new tree, but with each part that is equal to its counterpart in the old tree taken from there.
 *
 * @param {unknown} before a frozen tree
 * @param {unknown} after a frozen tree, which stays as it is, or one that nobody else has seen yet
 */
export function shared(before, after) {
  if (Object.is(before, after)) return before
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after)) {
    return frozen(after)
  }
  const keys = Object.keys(after)
  // Items that only moved keep who they are: compared place by place, each would be taken for another one.
  const items = Array.isArray(before) ? new Set(before) : null
  let equal = keys.length === Object.keys(before).length
  let result = after
  for (const key of keys) {
    const known = Object.hasOwn(before, key)
    if (known && Object.is(after[key], before[key])) continue
    const part = known && !items?.has(after[key]) ? shared(before[key], after[key]) : frozen(after[key])
    if (part !== after[key]) {
      if (Object.isFrozen(result)) result = Array.isArray(after) ? [...after] : { ...after }
      put(result, key, part)
    }
    if (!known || !Object.is(part, before[key])) equal = false
  }
  return equal ? before : Object.freeze(result)
}

/** The value itself, frozen in every depth. */
export function frozen(value) {
  if (isContainer(value) && !Object.isFrozen(value)) {
    for (const key of Object.keys(value)) frozen(value[key])
    Object.freeze(value)
  }
  return value
}

export function isContainer(value) {
  return typeof value === "object" && value !== null
}

/** The tree after one operation; "-" in the operation's path becomes the place that it stands for. */
function changed(root, operation, ours) {
  const { op, path, value } = operation
  if (path.length === 0) {
    if (op === "remove") throw new PatchError("the whole document can't be removed")
    return frozen(value)
  }
  root = own(root, ours, path)
  let container = root
  for (const token of path.slice(0, -1)) {
    const key = existing(container, token, path)
    const part = own(container[key], ours, path)
    put(container, key, part)
    container = part
  }
  const last = path.at(-1)
  if (op === "remove") {
    const key = existing(container, last, path)
    if (Array.isArray(container)) container.splice(key, 1)
    else delete container[key]
  } else if (op === "replace") {
    put(container, existing(container, last, path), frozen(value))
  } else if (op === "add") {
    if (Array.isArray(container)) {
      const place = insertion(container, last, path)
      path[path.length - 1] = String(place)
      container.splice(place, 0, frozen(value))
    } else {
      put(container, last, frozen(value))
    }
  } else {
    throw new PatchError(`unknown operation ${JSON.stringify(op)}`)
  }
  return root
}

function tokensOf(pointer) {
  try {
    return split(pointer)
  } catch (error) {
    throw new PatchError(error.message)
  }
}

/** The container itself if this patch made it, else a copy of it that this patch may change. */
function own(value, ours, path) {
  if (!isContainer(value)) throw new PatchError(`nothing can be at ${join(path)}: a part of it is no object and no array`)
  if (ours.has(value)) return value
  const copy = Array.isArray(value) ? [...value] : { ...value }
  ours.add(copy)
  return copy
}

function existing(container, token, path) {
  if (Array.isArray(container)) {
    if (isIndex(token) && Number(token) < container.length) return Number(token)
  } else if (Object.hasOwn(container, token)) {
    return token
  }
  throw new PatchError(`nothing is at ${join(path)}`)
}

function insertion(array, token, path) {
  if (token === "-") return array.length
  if (isIndex(token) && Number(token) <= array.length) return Number(token)
  throw new PatchError(`no place in the array for ${join(path)}`)
}

function put(container, key, value) {
  // Assignment to "__proto__" would change the prototype; JSON.parse makes an own property of it, and so do we.
  if (key === "__proto__") {
    Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true })
  } else {
    container[key] = value
  }
}
