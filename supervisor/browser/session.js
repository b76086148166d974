/**
 * The session as an app's code sees it; `supervisor.d.ts` describes each member.
 */

import { allows } from "./editable.js"
import { Link } from "./link.js"
import { resolve, split } from "./pointer.js"
import { SessionPresence } from "./session_presence.js"

export class Session {
  #connection
  #link
  #reportError
  #presence
  #watchers = new Set()
  #statusCallbacks = new Set()
  #editableCallbacks = new Set()
  #restartCallbacks = new Set()
  // What becomes of each send and edit, by ticket.
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
    const call = (callback, ...args) => this.#call(callback, ...args)
    this.#presence = new SessionPresence({ connection, call, flush: () => this.#link.flush() })
  }

  get id() {
    return this.#connection.session
  }

  get peer() {
    return this.#connection.peer
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

  get editable() {
    return this.#connection.editable
  }

  get presence() {
    return this.#presence
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

  onEditable(callback) {
    this.#editableCallbacks.add(callback)
    this.#call(callback, this.editable)
    return () => void this.#editableCallbacks.delete(callback)
  }

  onRestart(callback) {
    this.#restartCallbacks.add(callback)
    return () => void this.#restartCallbacks.delete(callback)
  }

  mayEdit(path, action = "edit") {
    return allows(this.editable, split(path), action)
  }

  async send(type, fields = {}) {
    return this.#outcome(this.#connection.send(type, fields))
  }

  async edit(path, value) {
    return this.#edit("set", path, value)
  }

  async insert(path, value) {
    return this.#edit("insert", path, value)
  }

  async remove(path) {
    return this.#edit("remove", path)
  }

  close() {
    if (this.status.state !== "ended") this.#link.stop()
  }

  async #edit(op, path, value) {
    const outcome = this.#outcome(this.#connection.edit(op, path, value), "arrived")
    this.#tellChanges()
    await outcome
  }

  /** @param {"answered" | "arrived"} end the event that it's all over with, if it isn't "refused" */
  #outcome(ticket, end = "answered") {
    const outcome = new Promise((resolve, reject) => this.#outcomes.set(ticket, { resolve, reject, end }))
    this.#link.flush()
    return outcome
  }

  #take(events) {
    if (events.some(({ type }) => type === "changed")) this.#tellChanges()
    for (const event of events) {
      if (event.type === "editable") for (const callback of this.#editableCallbacks) this.#call(callback, this.editable)
      if (event.type === "restarted") for (const callback of this.#restartCallbacks) this.#call(callback)
      if (event.type === "presence") this.#presence.tell(event.scope)
      const outcome = this.#outcomes.get(event.ticket)
      if (event.type === outcome?.end) outcome.resolve(event.value)
      else if (event.type === "refused") outcome.reject(event.error)
      else continue
      this.#outcomes.delete(event.ticket)
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
