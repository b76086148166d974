/**
 * Who is there, as far as this client asked: what it says of itself, what it watches, and what it was told. Pure.
 *
 * Both of what it says and what it watches count for one connection, so they are written again after each `attached`.
 */

import { encode } from "./messages.js"

/** The server takes no more of what a client says of itself; it is for a cursor or a colour. Bytes of UTF-8. */
const MAX_METADATA = 1024
const SCOPES = ["session", "application"]

export class Presence {
  #isAttached = false
  // JSON; null if nothing was ever said.
  #metadata = null
  // What is not written yet on this connection.
  #isDue = { metadata: false, session: false, application: false }
  #watched = new Set()
  // The scopes that were asked for, and not answered yet by all who are there.
  #untold = new Set()
  // By scope, the peers by id, in the order in which they came.
  #peers = { session: new Map(), application: new Map() }

  /** What others are to know of this client. TypeError if it is no object that JSON can carry; RangeError if too large. */
  set(metadata) {
    const encoded = typeof metadata === "object" ? encode(metadata) : undefined
    if (encoded?.[0] !== "{") throw new TypeError("presence.set() takes an object that JSON can carry")
    const size = new TextEncoder().encode(encoded).length
    if (size > MAX_METADATA) throw new RangeError(`presence.set() takes ${MAX_METADATA} bytes at most, got ${size}`)
    this.#metadata = encoded
    this.#isDue.metadata = true
  }

  watch(scope) {
    if (!SCOPES.includes(scope)) throw new TypeError(`the scope of a presence is "session" or "application", got ${scope}`)
    if (this.#watched.has(scope)) return
    this.#watched.add(scope)
    this.#untold.add(scope)
    this.#isDue[scope] = true
  }

  /** The server goes on telling until the connection ends; nobody listens, and the next connection doesn't ask. */
  unwatch(scope) {
    this.#watched.delete(scope)
    this.#isDue[scope] = false
    this.#peers[scope].clear()
  }

  /** @returns {Array<{id: string, name: string | null, metadata: object}>} */
  peers(scope) {
    return [...this.#peers[scope].values()]
  }

  attached() {
    this.#isAttached = true
    this.#untold = new Set(this.#watched)
    this.#isDue.metadata = this.#metadata !== null
    for (const scope of SCOPES) this.#isDue[scope] = this.#watched.has(scope)
  }

  detached() {
    this.#isAttached = false
  }

  /** The frames to write now. */
  outgoing() {
    if (!this.#isAttached) return []
    const frames = []
    if (this.#isDue.metadata) frames.push(`{"type":"present","metadata":${this.#metadata}}`)
    for (const scope of SCOPES) if (this.#isDue[scope]) frames.push(JSON.stringify({ type: "watch", scope }))
    this.#isDue = { metadata: false, session: false, application: false }
    return frames
  }

  /**
   * The server has told something; false if nobody asked any more, or asked anew: what changes is told of an earlier
   * watch still, and means nothing before all who are there were told.
   */
  told({ scope, complete, present, left }) {
    if (!this.#watched.has(scope) || (this.#untold.has(scope) && !complete)) return false
    this.#untold.delete(scope)
    const peers = this.#peers[scope]
    if (complete) peers.clear()
    for (const id of left) peers.delete(id)
    for (const peer of present) peers.set(peer.id, peer)
    return true
  }
}
