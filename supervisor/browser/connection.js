/**
 * The client's end of the wire: frames in, frames out, the mirror and the sends. Pure.
 *
 * It outlives its websockets. For each of them call `opened()` once and write what it returns, hand every frame to
 * `receive()`, and call `closed()` at the end. After each of these, and after `send()`, write what `outgoing()` gives.
 *
 * Rule: a send is applied once or its sender learns that nobody knows. It has a number from when it is first written;
 * the server counts numbers per client id and keeps its answers until they are confirmed, so whatever a connection
 * lost is sent again under the same number. Where the server has forgotten the client id, or its document lives in
 * another epoch, that bookkeeping is gone: what was ever written is then settled as "unknown" (it may have been
 * applied), and only what was never written is sent.
 */

import { SendError } from "./errors.js"
import { ProtocolError, decode, isObject } from "./messages.js"
import { patched, shared } from "./tree.js"
import { afterClose } from "./reconnect.js"

/** The server takes this many sends per client that are unanswered or whose answers are unconfirmed. */
export const WINDOW = 64
/** So many sends may be unsettled while there is no connection: what was clicked long ago should not all happen later. */
export const OFFLINE_LIMIT = 64
/** So many sends wait for room in the window. It catches a loop that sends without end, no visitor. */
export const QUEUE_LIMIT = 1000

export class ClientConnection {
  /** The mirror: a deeply frozen tree; parts that a patch left alone stay identical. Undefined before the first snapshot. */
  data = undefined
  /** One life of the document; null before the first `attached`. */
  epoch = null
  /** The mirror's revision; -1 without a usable mirror (`data` may then show an old state). */
  revision = -1
  /** @type {"connecting" | "live" | "reconnecting" | "ended"} */
  status = "connecting"

  #token
  #wasReload
  // What proves who we are when we come back; null until the server has given them.
  #client = null
  #key = null
  #attached = false
  #everLive = false
  // Of the present websocket: the server's `closing`, and whether we found the server breaking the rules.
  #closing = null
  #fault = false
  // How many connections in a row failed; the delay grows with it.
  #attempt = 0
  #lastTicket = 0
  #lastNumber = 0
  #confirmed = 0
  // Numbers above #confirmed that are answered: answers may overtake each other (an "invalid" needs no handler).
  #answered = new Set()
  // Written and unsettled, by number (so in order), and never written, in order.
  #written = new Map()
  #waiting = []
  #again = []

  /** @param {{session: string, token: string, wasReload?: boolean}} page wasReload: a client made this page load itself */
  constructor({ session, token, wasReload = false }) {
    this.session = session
    this.#token = token
    this.#wasReload = wasReload
  }

  /** Has the server announced that it closes the present websocket? */
  get isClosing() {
    return this.#closing !== null
  }

  /** The first frame for a websocket that has opened. */
  opened() {
    if (this.#key === null) return JSON.stringify({ type: "attach", token: this.#token })
    return JSON.stringify({
      type: "resume",
      session: this.session,
      key: this.#key,
      client: this.#client,
      epoch: this.epoch,
      revision: this.revision,
      confirmed: this.#confirmed,
    })
  }

  /**
   * Takes in one frame. ProtocolError: close the websocket with 4400 and then call `closed()`; what still arrives
   * is not looked at, and the mirror counts as unusable, so that the next connection begins with a snapshot.
   *
   * @param {unknown} frame
   * @returns {Array<{type: "live", resumed: boolean} | {type: "changed"} | {type: "answered", ticket: number, value: unknown}
   *   | {type: "refused", ticket: number, error: SendError}>}
   */
  receive(frame) {
    if (this.#fault) return []
    try {
      const message = decode(frame)
      if (!this.#attached && message.type !== "attached" && message.type !== "closing") {
        throw new ProtocolError(`${message.type} before attached`)
      }
      return this.#taken(message)
    } catch (error) {
      this.#fault = true
      this.revision = -1
      // A PatchError, or what the engine says of a tree that is too deep for it: either way the frame is at fault.
      throw error instanceof ProtocolError ? error : new ProtocolError(`a frame that can't be used: ${error.message}`)
    }
  }

  /**
   * Takes in a message for the server; its outcome will be an event with the ticket that is returned.
   * SendError ("unsent") if too many wait already, or after the end. TypeError if JSON can't carry the fields.
   */
  send(name, fields = {}) {
    if (typeof name !== "string" || !isObject(fields)) {
      throw new TypeError("send() takes the name of a message type and an object of its fields")
    }
    // Now and not when it is written: what the caller does to its object afterwards must not matter.
    const encoded = JSON.stringify(fields)
    if (this.status === "ended") throw new SendError("unsent", "The session has ended.")
    const full = this.#attached
      ? this.#waiting.length >= QUEUE_LIMIT + this.#room()
      : this.#written.size + this.#waiting.length >= OFFLINE_LIMIT
    if (full) throw new SendError("unsent", "Too many messages are waiting to be sent.")
    const ticket = ++this.#lastTicket
    this.#waiting.push({ ticket, name: JSON.stringify(name), fields: encoded })
    return ticket
  }

  /** The frames to write now, in order. */
  outgoing() {
    if (!this.#attached) return []
    const frames = this.#again.splice(0).map((number) => this.#frame(number))
    while (this.#waiting.length > 0 && this.#room() > 0) {
      this.#written.set(++this.#lastNumber, this.#waiting.shift())
      frames.push(this.#frame(this.#lastNumber))
    }
    return frames
  }

  /**
   * The websocket is closed. Says what to do, and settles sends if that is the end.
   *
   * @param {number} code the websocket's close code; what the server announced goes before it
   * @param {string} reason
   * @param {{random: number}} entropy from [0, 1)
   * @returns {{decision: ReturnType<typeof afterClose>, events: ReturnType<ClientConnection["receive"]>}}
   */
  closed(code, reason, { random }) {
    // Our own 4400 says nothing about us: as if the line had broken.
    const end = this.#closing ?? { code: this.#fault ? 1006 : code, reason, retry_after: null }
    if (this.status === "live" && !this.#fault) this.#attempt = 0
    let decision = afterClose(end.code, end.reason, { attempt: this.#attempt++, random, retryAfter: end.retry_after })
    if (decision.type === "reload" && this.#wasReload && !this.#everLive) decision = { ...decision, type: "ended" }
    // Here and not in `opened()`: the next websocket may end before it ever opened, and has announced nothing.
    this.#closing = null
    this.#fault = false
    this.#attached = false
    this.#again = []
    if (decision.type !== "reconnect") return { decision, events: this.end() }
    this.status = this.#everLive ? "reconnecting" : "connecting"
    return { decision, events: [] }
  }

  /** Ends it from our side; `send()` is refused from now on. */
  end() {
    this.status = "ended"
    this.#attached = false
    const events = [...this.#lost()]
    for (const { ticket } of this.#waiting) {
      events.push({ type: "refused", ticket, error: new SendError("unsent", "The session ended before this was sent.") })
    }
    this.#waiting = []
    return events
  }

  #taken(message) {
    switch (message.type) {
      case "attached":
        return this.#begun(message)
      case "snapshot":
        return this.#replaced(message)
      case "patch":
        return this.#patched(message)
      case "answer":
        return this.#settled(message.number, (ticket) => ({ type: "answered", ticket, value: message.value }))
      case "error": {
        const { kind, text, incident } = message
        const error = new SendError(kind, text, incident)
        return this.#settled(message.number, (ticket) => ({ type: "refused", ticket, error }))
      }
      default:
        this.#closing = message
        return []
    }
  }

  #begun({ session, client, key, epoch, revision, resumed, received }) {
    if (this.#attached) throw new ProtocolError("attached twice")
    if (resumed && (epoch !== this.epoch || this.revision < 0 || revision < this.revision)) {
      throw new ProtocolError("attached resumes what we don't have")
    }
    const same = client === this.#client && epoch === this.epoch
    if (session !== this.session) throw new ProtocolError("attached to another session")
    const [least, most] = same ? [Math.max(this.#confirmed, ...this.#answered), this.#lastNumber] : [0, 0]
    if (received < least || received > most) throw new ProtocolError("attached has received what it can't have")
    this.#attached = true
    const events = same ? [] : [...this.#lost()]
    if (!same) {
      this.#lastNumber = 0
      this.#confirmed = 0
      this.#answered.clear()
    }
    this.#again = [...this.#written.keys()].filter((number) => number > received)
    this.epoch = epoch
    this.#client = client
    this.#key = key
    if (!resumed) {
      this.revision = -1
      return events
    }
    return [...events, ...this.#live(true)]
  }

  #replaced({ epoch, revision, data }) {
    if (epoch !== this.epoch) throw new ProtocolError("a snapshot of another epoch")
    if (revision < this.revision) throw new ProtocolError("a snapshot from before")
    this.data = shared(this.data, data)
    this.revision = revision
    return [{ type: "changed" }, ...this.#live(false)]
  }

  #patched({ from, to, operations }) {
    if (from !== this.revision) throw new ProtocolError(`a patch from revision ${from}, not from ${this.revision}`)
    if (to <= from) throw new ProtocolError("a patch that leads nowhere")
    const data = patched(this.data, operations)
    if (!isObject(data)) throw new ProtocolError("a patch that leaves no object")
    this.data = data
    this.revision = to
    return [{ type: "changed" }]
  }

  /** How many sends may be written now: the newest number may be WINDOW above what is confirmed. */
  #room() {
    return WINDOW - (this.#lastNumber - this.#confirmed)
  }

  #live(resumed) {
    if (this.status === "live") return []
    this.status = "live"
    this.#everLive = true
    return [{ type: "live", resumed }]
  }

  #settled(number, event) {
    if (number < 1 || number > this.#lastNumber) throw new ProtocolError("an answer to nothing that was sent")
    const send = this.#written.get(number)
    // After a resume the server repeats each answer above `confirmed`, and some of those had overtaken another one.
    if (send === undefined) return []
    this.#written.delete(number)
    this.#answered.add(number)
    while (this.#answered.delete(this.#confirmed + 1)) this.#confirmed++
    return [event(send.ticket)]
  }

  *#lost() {
    const text = "The connection was lost before the answer came; the server may have handled this or not."
    for (const { ticket } of this.#written.values()) {
      yield { type: "refused", ticket, error: new SendError("unknown", text) }
    }
    this.#written.clear()
  }

  #frame(number) {
    const { name, fields } = this.#written.get(number)
    return `{"type":"send","number":${number},"name":${name},"fields":${fields},"confirmed":${this.#confirmed}}`
  }
}
