/**
 * What a client has sent and has no answer to: numbers, window, queue, and what becomes of it across reconnects. Pure.
 *
 * Rule: a send is applied once or its sender learns that nobody knows. It has a number from when it is first written;
 * the server counts numbers per client id and keeps its answers until they are confirmed, so whatever a connection
 * lost is sent again under the same number. Where the server has forgotten the client id, or its document lives in
 * another epoch, that bookkeeping is gone: what was ever written is then settled as "unknown" (it may have been
 * applied), and only what was never written is sent.
 *
 * An item is a message or an edit: `{frame(number, base, confirmed): string, size: number, needsMirror: boolean}`; size:
 * characters of what its sender put in, as JSON. It gets a ticket when it is taken, and its number when it is first written.
 */

import { SendError } from "./errors.js"
import { ProtocolError } from "./messages.js"

/** The server takes this many sends per client that are unanswered or whose answers are unconfirmed. */
export const WINDOW = 64
/** So many sends may be unsettled while there is no connection: what was clicked long ago should not all happen later. */
export const OFFLINE_LIMIT = 64
/** So many sends wait for room in the window. It catches a loop that sends without end, no visitor. */
export const QUEUE_LIMIT = 1000
/** Characters of a frame beside what its sender put in, at most: names of fields, and three numbers of 16 digits. */
const ENVELOPE = 160

export class Sends {
  #maxMessageSize
  #lastTicket = 0
  #lastNumber = 0
  #confirmed = 0
  // Numbers above #confirmed that are answered: answers may overtake each other (an "invalid" needs no handler).
  #answered = new Set()
  // Written and unsettled, by number (so in order), and never written, in order.
  #written = new Map()
  #waiting = []
  #again = []

  /** @param {number} maxMessageSize characters of a frame that the server takes */
  constructor(maxMessageSize) {
    this.#maxMessageSize = maxMessageSize
  }

  /** The highest number up to which every answer has arrived. */
  get confirmed() {
    return this.#confirmed
  }

  /** Those that were never written, in order. */
  get waiting() {
    return [...this.#waiting]
  }

  /** Takes an item; its ticket. SendError ("unsent") if too many wait already, or if it would end the connection. */
  add(item, { isAttached }) {
    const size = item.size + ENVELOPE
    if (size > this.#maxMessageSize) {
      const [has, takes] = [size, this.#maxMessageSize].map((number) => number.toLocaleString("en"))
      throw new SendError("unsent", `This is too large to be sent: it has ${has} characters, and the server takes ${takes}.`)
    }
    const full = isAttached
      ? this.#waiting.length >= QUEUE_LIMIT + this.#room()
      : this.#written.size + this.#waiting.length >= OFFLINE_LIMIT
    if (full) throw new SendError("unsent", "Too many messages are waiting to be sent.")
    item.ticket = ++this.#lastTicket
    this.#waiting.push(item)
    return item.ticket
  }

  /** The frames to write now, in order; base: the revision that edits are meant for, -1 while there is none. */
  outgoing(base) {
    const frame = (number) => this.#written.get(number).frame(number, base, this.#confirmed)
    const frames = this.#again.splice(0).map(frame)
    while (this.#waiting.length > 0 && this.#room() > 0) {
      if (this.#waiting[0].needsMirror && base < 0) break
      this.#written.set(++this.#lastNumber, this.#waiting.shift())
      frames.push(frame(this.#lastNumber))
    }
    return frames
  }

  /**
   * The server has answered a first frame, to the same client as before or to a new one.
   *
   * @returns {object[]} the written items of which nobody will ever know whether they were done
   */
  attached(received, { isSameClient }) {
    const [least, most] = isSameClient ? [Math.max(this.#confirmed, ...this.#answered), this.#lastNumber] : [0, 0]
    if (received < least || received > most) throw new ProtocolError("attached has received what it can't have")
    const lost = isSameClient ? [] : this.takeWritten()
    if (!isSameClient) {
      this.#lastNumber = 0
      this.#confirmed = 0
      this.#answered.clear()
    }
    this.#again = [...this.#written.keys()].filter((number) => number > received)
    return lost
  }

  /** The connection is gone, and with it what was to be written on it. */
  detached() {
    this.#again = []
  }

  /** The item that this number's answer is for, and undefined if it has come before. Call `settle()` next. */
  find(number) {
    if (number < 1 || number > this.#lastNumber) throw new ProtocolError("an answer to nothing that was sent")
    // After a resume the server repeats each answer above `confirmed`, and some of those had overtaken another one.
    return this.#written.get(number)
  }

  settle(number) {
    this.#written.delete(number)
    this.#answered.add(number)
    while (this.#answered.delete(this.#confirmed + 1)) this.#confirmed++
  }

  /** Takes away one that was never written. */
  drop(item) {
    this.#waiting = this.#waiting.filter((other) => other !== item)
  }

  takeWritten() {
    const items = [...this.#written.values()]
    this.#written.clear()
    this.#again = []
    return items
  }

  takeWaiting() {
    return this.#waiting.splice(0)
  }

  /** How many may be written now: the newest number may be WINDOW above what is confirmed. */
  #room() {
    return WINDOW - (this.#lastNumber - this.#confirmed)
  }
}
