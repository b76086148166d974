/**
 * The session as an app's code sees it; `supervisor.d.ts` describes each member.
 */

import { Link } from "./link.js"
import { resolve, split } from "./pointer.js"

export class Session {
  #connection
  #link
  #reportError
  #watchers = new Set()
  #statusCallbacks = new Set()
  // What becomes of each send, by ticket.
  #outcomes = new Map()

  /**
   * The way to a session, for `connect()` alone: the session, and what its users must not do themselves.
   *
   * @param {{connection: object, url: string, environment: object, reload: () => boolean}} parts
   *   reload: loads the page anew and says true, or says false if that must not be
   */
  static open(parts) {
    const session = new Session(parts)
    return { session, start: () => session.#link.start(), retryNow: () => session.#link.retryNow() }
  }

  constructor({ connection, url, environment, reload }) {
    this.#connection = connection
    this.#reportError = environment.reportError
    const owner = { onEvents: (events) => this.#take(events), onStatus: () => this.#tellStatus(), reload }
    this.#link = new Link({ connection, url, environment, owner })
  }

  get id() {
    return this.#connection.session
  }

  get data() {
    return this.#connection.data
  }

  get revision() {
    return this.#connection.revision
  }

  get status() {
    return this.#link.status
  }

  subscribe(path, callback) {
    const watcher = { tokens: split(path), callback, value: undefined }
    this.#watchers.add(watcher)
    watcher.value = resolve(this.data, watcher.tokens)
    this.#call(callback, watcher.value, undefined)
    return () => void this.#watchers.delete(watcher)
  }

  onStatus(callback) {
    this.#statusCallbacks.add(callback)
    this.#call(callback, this.status)
    return () => void this.#statusCallbacks.delete(callback)
  }

  async send(type, fields = {}) {
    const ticket = this.#connection.send(type, fields)
    const outcome = new Promise((resolve, reject) => this.#outcomes.set(ticket, { resolve, reject }))
    this.#link.flush()
    return outcome
  }

  close() {
    if (this.status.state !== "ended") this.#link.stop()
  }

  #take(events) {
    if (events.some(({ type }) => type === "changed")) this.#tellChanges()
    for (const event of events) {
      const outcome = this.#outcomes.get(event.ticket)
      this.#outcomes.delete(event.ticket)
      if (event.type === "answered") outcome.resolve(event.value)
      if (event.type === "refused") outcome.reject(event.error)
    }
  }

  #tellChanges() {
    // A Set may be changed while it is walked: who unsubscribes is left out, who subscribes meanwhile is up to date.
    for (const watcher of this.#watchers) {
      const before = watcher.value
      const value = resolve(this.data, watcher.tokens)
      if (Object.is(value, before)) continue
      watcher.value = value
      this.#call(watcher.callback, value, before)
    }
  }

  #tellStatus() {
    for (const callback of this.#statusCallbacks) this.#call(callback, this.status)
  }

  /** Calls an app's code: what it throws is reported like any error of the page, and stops nobody else. */
  #call(callback, ...args) {
    try {
      callback(...args)
    } catch (error) {
      this.#reportError(error)
    }
  }
}
