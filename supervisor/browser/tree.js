/**
 * The mirror's data: a deeply frozen tree that is never changed, only replaced along a path. Pure.
 *
 * Rule: what is equal stays identical. A patch makes new containers along its paths and keeps every other one; a
 * snapshot keeps each part that is equal to what was there. So `before !== after` is all that anyone needs to ask to
 * learn whether a part of the document changed, however large that part is.
 */

import { isIndex, split } from "./pointer.js"

/** An operation doesn't fit the tree. */
export class PatchError extends Error {
  name = "PatchError"
}

/**
 * The tree with the operations (RFC 6902: add, remove, replace) applied, all of them or, by PatchError, none.
 *
 * @param {unknown} root a frozen tree; it stays as it is
 * @param {ReadonlyArray<{op: string, path: string, value?: unknown}>} operations
 * @returns {unknown} a frozen tree
 */
export function patched(root, operations) {
  // Containers made by this patch: nobody else has seen them yet, so later operations change them in place.
  // Without it a patch of n operations on a list of m items would copy n·m of them.
  const ours = new Set()
  for (const operation of operations) root = applied(root, operation, ours)
  for (const container of ours) Object.freeze(container)
  return root
}

/** The new tree, but with each part that is equal to its counterpart in the old tree taken from there. */
export function shared(before, after) {
  if (Object.is(before, after)) return before
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after)) {
    return frozen(after)
  }
  const keys = Object.keys(after)
  let equal = keys.length === Object.keys(before).length
  for (const key of keys) {
    const known = Object.hasOwn(before, key)
    const part = known ? shared(before[key], after[key]) : frozen(after[key])
    if (part !== after[key]) put(after, key, part)
    if (!known || !Object.is(part, before[key])) equal = false
  }
  return equal ? before : Object.freeze(after)
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

function applied(root, { op, path, value }, ours) {
  let tokens
  try {
    tokens = split(path)
  } catch (error) {
    throw new PatchError(error.message)
  }
  if (tokens.length === 0) {
    if (op === "remove") throw new PatchError("the whole document can't be removed")
    return frozen(value)
  }
  root = own(root, ours, path)
  let container = root
  for (const token of tokens.slice(0, -1)) {
    const key = existing(container, token, path)
    const part = own(container[key], ours, path)
    put(container, key, part)
    container = part
  }
  const last = tokens.at(-1)
  if (op === "remove") {
    const key = existing(container, last, path)
    if (Array.isArray(container)) container.splice(key, 1)
    else delete container[key]
  } else if (op === "replace") {
    put(container, existing(container, last, path), frozen(value))
  } else if (op === "add") {
    if (Array.isArray(container)) container.splice(insertion(container, last, path), 0, frozen(value))
    else put(container, last, frozen(value))
  } else {
    throw new PatchError(`unknown operation ${JSON.stringify(op)}`)
  }
  return root
}

/** The container itself if this patch made it, else a copy of it that this patch may change. */
function own(value, ours, path) {
  if (!isContainer(value)) throw new PatchError(`nothing can be at ${path}: a part of it is no object and no array`)
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
  throw new PatchError(`nothing is at ${path}`)
}

function insertion(array, token, path) {
  if (token === "-") return array.length
  if (isIndex(token) && Number(token) <= array.length) return Number(token)
  throw new PatchError(`no place in the array for ${path}`)
}

function put(container, key, value) {
  // Assignment to "__proto__" would change the prototype; JSON.parse makes an own property of it, and so do we.
  if (key === "__proto__") {
    Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true })
  } else {
    container[key] = value
  }
}
