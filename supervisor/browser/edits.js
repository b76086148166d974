/**
 * The edits of this client that its mirror doesn't have yet, in order, and how they follow what changes there. Pure.
 *
 * Rule: each edit's path is meant for the mirror with all edits before it on top. What comes from the server changes
 * the mirror below all of them, so it is carried over the first edit to be what it is for the second, and so on.
 */

import { carried, carriedOperation, difference, inverse } from "./carrying.js"
import { SendError } from "./errors.js"
import { encode } from "./messages.js"
import { split, stepsTo } from "./pointer.js"
import { fits, frozen, overlaid } from "./tree.js"

/** The server takes no longer path, and no longer key in it. */
const MOST_STEPS = 200
const LONGEST_KEY = 4096

/** One edit; made by `session.edit()`, `insert()` and `remove()`. */
export class Edit {
  needsMirror = true
  /** Was what it is to change taken away meanwhile? It is shown no more, and the server will say so too. */
  isLost = false
  /** The revision that it is part of, as `edited` told; null before. */
  revision = null

  // Once it was written.
  #frame = null
  /**
   * Can't what is on top of it be written before it leaves? It was written before a snapshot came, so that nobody knows
   * what its indices name now; or answered before the server forgot this client, so that to the server it is another's.
   */
  isStale = false

  /**
   * SendError if it can't be: "conflict" where it doesn't fit what is shown, "invalid" where it never would. TypeError or
   * SyntaxError if the path is no JSON Pointer, or JSON can't carry the value.
   *
   * @param {"set" | "insert" | "remove"} op
   * @param {string} pointer
   * @param {unknown} value of "set" and "insert"
   * @param {unknown} shown what the pointer is meant for
   */
  constructor(op, pointer, value, shown) {
    this.op = op
    this.path = stepsTo(shown, split(pointer))
    // A copy, as of now, and just what the server will get: what the caller does to its value later must not matter.
    const encoded = op === "remove" ? "null" : encode(value)
    encode(pointer)
    if (encoded === undefined) throw new TypeError("an edit needs a value that JSON can carry")
    this.value = op === "remove" ? undefined : frozen(JSON.parse(encoded))
    /** See `Sends`. */
    this.size = JSON.stringify(this.path ?? []).length + encoded.length
    if (pointer === "") throw new SendError("invalid", "The document as a whole can't be edited, only what is in it.")
    if (this.path === undefined) throw new SendError("conflict", `Nothing is above ${pointer} that could have it.`)
    if (this.path.length > MOST_STEPS || this.path.some((step) => step.length > LONGEST_KEY)) {
      throw new SendError("invalid", "The path is too long.")
    }
    if (!fits(shown, this)) {
      const isPlace = op === "insert" && typeof this.path.at(-1) === "string"
      throw new SendError("conflict", isPlace ? `${pointer} is in no array to insert into.` : `Nothing is at ${pointer}.`)
    }
  }

  /** Does a snapshot leave it without a place? */
  get hasIndex() {
    return this.path.some((step) => typeof step === "number")
  }

  get wasWritten() {
    return this.#frame !== null
  }

  /** The very same each time: base and confirmed tell the server what the path knew of. */
  frame(number, base, confirmed) {
    const value = this.op === "remove" ? "" : `,"value":${JSON.stringify(this.value)}`
    const what = `"op":"${this.op}","path":${JSON.stringify(this.path)}${value}`
    this.#frame ??= `{"type":"edit","number":${number},"base":${base},${what},"confirmed":${confirmed}}`
    return this.#frame
  }
}

/** The event that an edit's change is in the mirror. */
export function arrived({ ticket }) {
  return { type: "arrived", ticket }
}

export class PendingEdits {
  /** @type {Edit[]} */
  #edits = []

  get isEmpty() {
    return this.#edits.length === 0
  }

  /** Is there one on top of which none can be written? */
  get isStale() {
    return this.#edits.some(({ isStale }) => isStale)
  }

  add(edit) {
    this.#edits.push(edit)
  }

  /** The mirror with the edits on top. */
  shownOn(mirror) {
    return overlaid(mirror, this.#edits.filter(({ isLost }) => !isLost))
  }

  /** The edit was not done, or changed nothing, or nobody knows: those behind it lose what it had changed. */
  undo(edit) {
    const place = this.#edits.indexOf(edit)
    if (place < 0) return
    this.#edits.splice(place, 1)
    // One that is lost has changed nothing any more.
    if (!edit.isLost) this.#carry(inverse(edit), place)
  }

  /**
   * The mirror has got a patch; it may have brought some of the edits.
   *
   * @param {Array<{op: string, path: string[], value?: unknown}>} operations as `patched` gives them
   * @param {number} revision the mirror's, now
   * @returns {Edit[]} those that are in the mirror now
   */
  patched(operations, revision) {
    const done = this.#edits.filter((edit) => edit.revision !== null && edit.revision <= revision)
    let below
    if (done.length === 1 && !done[0].isLost) {
      below = this.#edits.indexOf(done[0])
      this.#edits.splice(below, 1)
      for (const operation of difference(done[0], operations)) this.#carry(operation, below)
    } else {
      // From the last one on, since each was made on top of those before it.
      for (const edit of done.toReversed()) this.undo(edit)
      below = this.#edits.length
    }
    for (const operation of operations) this.#carry(operation, 0, below)
    return done
  }

  /** The mirror is another one, and nobody says what has changed; those edits that it has are returned. */
  replaced(revision) {
    const done = this.#edits.filter((edit) => edit.revision !== null && edit.revision <= revision)
    this.#edits = this.#edits.filter((edit) => !done.includes(edit))
    for (const edit of this.#edits) edit.isStale ||= edit.wasWritten && edit.hasIndex && !edit.isLost
    return done
  }

  /** The server takes this client for another one from now on. */
  forget() {
    for (const edit of this.#edits) edit.isStale = edit.revision !== null
  }

  /** The document is another one: none of them is shown any more, and those that were done are returned. */
  clear() {
    const settled = this.takeSettled()
    this.#edits = []
    return settled
  }

  /** Takes away those whose `edited` has come, but not yet what it announced. */
  takeSettled() {
    const settled = this.#edits.filter(({ revision }) => revision !== null)
    this.#edits = this.#edits.filter(({ revision }) => revision === null)
    return settled
  }

  /** Carries the edits from one place to another over what happened below them. */
  #carry(operation, from, to = this.#edits.length) {
    for (let place = from; place < to && operation !== null; place++) {
      const edit = this.#edits[place]
      if (edit.isLost) continue
      const after = carried(edit, operation)
      operation = carriedOperation(operation, edit)
      if (after === null) edit.isLost = true
      else edit.path = after.path
    }
  }
}
