/**
 * The client's end of the wire: frames in, frames out, the mirror, the sends and the edits. Pure.
 *
 * It outlives its websockets. For each of them call `opened()` once and write what it returns, hand every frame to
 * `receive()`, and call `closed()` at the end. After each of these, and after whatever else asks for something to be
 * written (`send()`, `edit()`, and what `presence` has), write what `outgoing()` gives.
 */

import { Edit, arrived } from "./edits.js"
import { GONE, OTHER_DOCUMENT, OVER, SendError, UNKNOWN } from "./errors.js"
import { ProtocolError, decode, encode, isObject } from "./messages.js"
import { Mirror } from "./mirror.js"
import { split } from "./pointer.js"
import { Presence } from "./presence.js"
import { afterClose } from "./reconnect.js"
import { Sends } from "./sends.js"
import { frozen, shared } from "./tree.js"

export class ClientConnection {
  /** @type {"connecting" | "live" | "restarting" | "reconnecting" | "ended"} */
  status = "connecting"
  /** What others call this client; null before the first `attached`. */
  peer = null
  /** What clients may edit. @type {readonly string[]} */
  editable = Object.freeze([])
  presence = new Presence()

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
  // Is the mirror of an epoch before the server's?
  #isOfBefore = false
  #sends
  #mirror

  /**
   * @param {{session: string, token: string, maxMessageSize?: number, wasReload?: boolean, first?: object | null}} page
   *   as `readPage()` and `readFirst()` have it; wasReload: a client made this page load itself
   */
  constructor({ session, token, maxMessageSize = Infinity, wasReload = false, first = null }) {
    this.session = session
    this.#token = token
    this.#wasReload = wasReload
    this.#sends = new Sends(maxMessageSize)
    this.#mirror = new Mirror(first)
  }

  /** What is shown: the mirror with this client's own edits on top; see `Mirror`, also for the next two. */
  get data() { return this.#mirror.shown }
  get epoch() { return this.#mirror.epoch }
  get revision() { return this.#mirror.revision }

  /** Has the server announced that it closes the present websocket? */
  get isClosing() { return this.#closing !== null }
  get isConnected() { return this.status === "live" || this.status === "restarting" }  // the mirror has all that there is

  /** The first frame for a websocket that has opened. */
  opened() {
    if (this.#key === null) return JSON.stringify({ type: "attach", token: this.#token })
    const { session, epoch, revision } = this
    const confirmed = this.#sends.confirmed
    return JSON.stringify({ type: "resume", session, key: this.#key, client: this.#client, epoch, revision, confirmed })
  }

  /**
   * Takes in one frame. ProtocolError: close the websocket with 4400 and then call `closed()`; what still arrives
   * is not looked at, and the mirror counts as unusable, so that the next connection begins with a snapshot.
   *
   * @param {unknown} frame
   * @returns {Array<{type: "live", resumed: boolean} | {type: "changed"} | {type: "restarting", after: number} | {type: "alive"}
   *   | {type: "restarted"} | {type: "editable"} | {type: "presence", scope: string} | {type: "arrived", ticket: number}
   *   | {type: "answered", ticket: number, value: unknown} | {type: "refused", ticket: number, error: SendError}>}
   */
  receive(frame) {
    if (this.#fault) return []
    try {
      const message = decode(frame)
      if (message === null) return []
      if (!this.#attached && message.type !== "attached" && message.type !== "closing") {
        throw new ProtocolError(`${message.type} before attached`)
      }
      const events = this.#taken(message)
      // What was lost before it was ever written has no other answer than this one.
      return [...events, ...this.#dropped(({ isLost }) => isLost, "conflict", GONE)]
    } catch (error) {
      this.#fault = true
      this.#mirror.revision = -1
      // A PatchError, or what the engine says of a tree that is too deep for it: either way the frame is at fault.
      throw error instanceof ProtocolError ? error : new ProtocolError(`a frame that can't be used: ${error.message}`)
    }
  }

  /**
   * Takes in a message for the server; its outcome will be an event with the ticket that is returned.
   * SendError ("unsent") if too many wait already, if it is too large, or after the end. TypeError if JSON can't carry the fields.
   */
  send(name, fields = {}) {
    if (typeof name !== "string" || !isObject(fields)) {
      throw new TypeError("send() takes the name of a message type and an object of its fields")
    }
    // Now and not when it is written: what the caller does to its object afterwards must not matter.
    const encoded = encode(fields)
    const type = encode(name)
    const frame = (number, base, confirmed) =>
      `{"type":"send","number":${number},"name":${type},"fields":${encoded},"confirmed":${confirmed}}`
    return this.#take({ frame, size: type.length + encoded.length, needsMirror: false })
  }

  /** Takes in an edit, which is shown from now on; see `send()`, and `Edit` for what else may be wrong with it. */
  edit(op, path, value) {
    const edit = new Edit(op, path, value, this.data ?? {})
    const ticket = this.#take(edit)
    this.#mirror.edit(edit)
    this.#show()
    return ticket
  }

  /** The frames to write now, in order. */
  outgoing() {
    if (!this.#attached) return []
    return [...this.presence.outgoing(), ...this.#sends.outgoing(this.#mirror.base)]
  }

  /**
   * The websocket is closed. Says what to do, and settles sends if that is the end.
   *
   * @param {number} code the websocket's close code; what the server announced goes before it
   * @param {string} reason
   * @param {{random: number, before?: number | null}} circumstances see `afterClose()`
   * @returns {{decision: ReturnType<typeof afterClose>, events: ReturnType<ClientConnection["receive"]>}}
   */
  closed(code, reason, { random, before = null }) {
    // Our own 4400 says nothing about us: as if the line had broken.
    const end = this.#closing ?? { code: this.#fault ? 1006 : code, reason, retry_after: null }
    if (this.isConnected && !this.#fault) this.#attempt = 0
    const circumstances = { attempt: this.#attempt++, random, retryAfter: end.retry_after, before }
    let decision = afterClose(end.code, end.reason, circumstances)
    if (decision.type === "reload" && this.#wasReload && !this.#everLive) decision = { ...decision, type: "ended" }
    // Here and not in `opened()`: the next websocket may end before it ever opened, and has announced nothing.
    this.#closing = null
    this.#fault = false
    this.#detach()
    if (decision.type !== "reconnect") return { decision, events: this.end() }
    this.status = this.#everLive ? "reconnecting" : "connecting"
    return { decision, events: [] }
  }

  /** Ends it from our side; `send()` is refused from now on. */
  end() {
    this.status = "ended"
    this.#detach()
    const events = this.#mirror.abandon().map(arrived)
    events.push(...this.#refused(this.#sends.takeWritten(), "unknown", UNKNOWN))
    events.push(...this.#refused(this.#sends.takeWaiting(), "unsent", OVER))
    return [...this.#show(), ...events]
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
      case "error":
      case "edited":
        return this.#settled(message)
      case "editable":
        return this.#allowed(message.patterns)
      case "presence":
        return this.presence.told(message) ? [{ type: "presence", scope: message.scope }] : []
      case "restarting":
        if (!this.isConnected) throw new ProtocolError("restarting, before there is a mirror")
        this.status = "restarting"  // and falls through
      case "alive":
        return [message]
      default:
        this.#closing = message
        return []
    }
  }

  #begun({ session, client, peer, key, epoch, revision, resumed, received, editable }) {
    if (this.#attached) throw new ProtocolError("attached twice")
    if (resumed && (epoch !== this.epoch || this.revision < 0 || revision < this.revision)) {
      throw new ProtocolError("attached resumes what we don't have")
    }
    if (session !== this.session) throw new ProtocolError("attached to another session")
    const isSameClient = client === this.#client && epoch === this.epoch
    const lost = this.#sends.attached(received, { isSameClient })
    const events = this.#refused(lost, "unknown", UNKNOWN)
    if (this.epoch !== null && epoch !== this.epoch) {
      events.push(...this.#replacedDocument(this.#mirror.abandon()))
    } else if (!isSameClient) this.#mirror.forget()
    this.#attached = true
    this.presence.attached()
    this.#mirror.epoch = epoch
    this.#client = client
    this.peer = peer
    this.#key = key
    events.push(...this.#allowed(editable), ...this.#show())
    if (resumed) return [...events, ...this.#live(true)]
    // What comes next is a snapshot; until then no patch fits, though what is shown may stay.
    this.#mirror.revision = -1
    return events
  }

  #replaced(message) {
    const events = message.epoch === this.epoch ? [] : this.#replacedDocument(this.#mirror.restart(message))
    events.push(...this.#mirror.replace(message).map(arrived))
    events.push(...this.#dropped(({ hasIndex }) => hasIndex, "conflict", GONE))
    // While restarting, a snapshot of the old document is one for a client that reads slowly.
    const live = this.#isOfBefore || this.status !== "restarting" ? this.#live(false) : []
    if (this.#isOfBefore) events.unshift({ type: "restarted" })
    this.#isOfBefore = false
    return [...this.#show(), ...live, ...events]
  }

  /** The document is another one; `done`: those edits of the old one that it had. */
  #replacedDocument(done) {
    this.#isOfBefore = true
    return [...done.map(arrived), ...this.#dropped(({ needsMirror }) => needsMirror, "unsent", OTHER_DOCUMENT)]
  }

  #patched(message) {
    const events = this.#mirror.patch(message).map(arrived)
    return [...this.#show(), ...events]
  }

  #settled(message) {
    const { type, number, kind, text, incident } = message
    const item = this.#sends.find(number)
    if (item === undefined) return []
    const isEdit = item instanceof Edit
    if (isEdit ? type === "answer" : type === "edited" || kind === "conflict") {
      throw new ProtocolError("an edit's answer for another send, or the other way round")
    }
    this.#sends.settle(number)
    if (type === "answer") return [{ type: "answered", ticket: item.ticket, value: message.value }]
    if (type === "edited") {
      const answered = { type: "answered", ticket: item.ticket, value: null }
      return [answered, ...(this.#mirror.settle(item, message.revision) ? [...this.#show(), arrived(item)] : [])]
    }
    const events = this.#refused([item], kind, text, incident)
    return [...this.#show(), ...events]
  }

  #allowed(patterns) {
    for (const pattern of patterns) split(pattern)
    if (shared(this.editable, patterns) === this.editable) return []
    this.editable = frozen(patterns)
    return [{ type: "editable" }]
  }

  #take(item) {
    if (this.status === "ended") throw new SendError("unsent", "The session has ended.")
    return this.#sends.add(item, { isAttached: this.#attached })
  }

  /** Refuses those that were never written and are such. */
  #dropped(isSuch, kind, text) {
    const items = this.#sends.waiting.filter(isSuch)
    for (const item of items) this.#sends.drop(item)
    return this.#refused(items, kind, text)
  }

  #refused(items, kind, text, incident = null) {
    // From the last one on: each edit was made on top of those before it.
    for (const item of items.toReversed()) if (item instanceof Edit) this.#mirror.undo(item)
    return items.map(({ ticket }) => ({ type: "refused", ticket, error: new SendError(kind, text, incident) }))
  }

  #show() {
    return this.#mirror.show() ? [{ type: "changed" }] : []
  }

  #live(resumed) {
    if (this.status === "live") return []
    this.status = "live"
    this.#everLive = true
    return [{ type: "live", resumed }]
  }

  #detach() {
    this.#attached = false
    this.presence.detached()
    this.#sends.detached()
  }
}
