/**
 * The document as this client has it: the mirror, and what is shown, which is the mirror with own edits on top. Pure.
 *
 * Both are deeply frozen trees, and parts of them that didn't change stay identical. Call `show()` after whatever has
 * changed one of them or the edits.
 */

import { PendingEdits } from "./edits.js"
import { ProtocolError, isObject } from "./messages.js"
import { frozen, patched, shared } from "./tree.js"

/** What edits are on top of while there is nothing yet. */
const NOTHING = Object.freeze({})

export class Mirror {
  /** Undefined before there is one. */
  data = undefined
  /** The mirror with those edits on top that it doesn't have yet. */
  shown = undefined
  /** One life of the document; null before the first `attached`, unless the page brought a first state. */
  epoch = null
  /** -1 without a usable mirror; `data` may then be of an older state. */
  revision = -1

  #edits = new PendingEdits()
  // Is what is shown just the mirror, as of the last `show()`?
  #isPlain = true

  /** @param {{epoch: string, data: object} | null} first the document as the page brought it, to be shown meanwhile */
  constructor(first) {
    if (first === null) return
    this.epoch = first.epoch
    this.data = this.shown = frozen(first.data)
  }

  /** The revision that a new edit is meant for; -1 while nobody could say where its path leads. */
  get base() {
    return this.#edits.isStale ? -1 : this.revision
  }

  /** The session was restarted: what comes next is another document. Returns those edits that were done before. */
  restart({ epoch, revision }) {
    if (this.revision < 0 || revision <= this.revision) throw new ProtocolError("a snapshot of another epoch than expected")
    this.epoch = epoch
    return this.#edits.clear()
  }

  /** Takes in a snapshot; returns those edits that are part of it. */
  replace({ revision, data }) {
    if (revision < this.revision) throw new ProtocolError("a snapshot of an older revision")
    this.data = shared(this.shown, data)
    this.revision = revision
    return this.#edits.replaced(revision)
  }

  /** Takes in a patch; returns those edits that it brought. */
  patch({ from, to, operations }) {
    if (from !== this.revision) throw new ProtocolError(`a patch from revision ${from}, not from ${this.revision}`)
    if (to <= from) throw new ProtocolError("a patch that leads nowhere")
    const { tree, applied } = patched(this.data, operations)
    if (!isObject(tree)) throw new ProtocolError("a patch that leaves no object")
    this.data = tree
    this.revision = to
    return this.#edits.patched(applied, to)
  }

  /** Puts an edit on top. */
  edit(edit) {
    this.#edits.add(edit)
  }

  /** The edit was not done, or nobody knows. */
  undo(edit) {
    this.#edits.undo(edit)
  }

  /** The edit is part of that revision. True: so it is part of the mirror; else `replace` or `patch` will tell. */
  settle(edit, revision) {
    edit.revision = revision
    if (revision > this.revision) return false
    this.#edits.undo(edit)
    return true
  }

  /** The server takes this client for another one from now on. */
  forget() {
    this.#edits.forget()
  }

  /** Nothing will come any more of that document; returns those edits that were done. */
  abandon() {
    return this.#edits.takeSettled()
  }

  /** Is something else shown now? */
  show() {
    const before = this.shown
    if (this.#edits.isEmpty && (this.#isPlain || this.data === undefined)) {
      this.shown = this.data
      return before !== this.shown
    }
    // What is shown is equal to the mirror nearly everywhere, and so let it be the same there: else each patch would
    // be compared with all that was ever edited.
    if (this.data !== undefined) this.data = shared(before, this.data)
    this.shown = shared(before, this.#edits.shownOn(this.data ?? NOTHING))
    this.#isPlain = this.shown === this.data
    return before !== this.shown
  }
}
