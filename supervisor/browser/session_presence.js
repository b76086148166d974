/**
 * `session.presence`: who is there, as an app's code sees it; `supervisor.d.ts` describes it.
 */

export class SessionPresence {
  #connection
  #call
  #flush
  #watchers = { session: new Set(), application: new Set() }

  /** @param {{connection: object, call: Function, flush: () => void}} parts call: calls an app's code */
  constructor({ connection, call, flush }) {
    this.#connection = connection
    this.#call = call
    this.#flush = flush
  }

  set(metadata) {
    this.#connection.presence.set(metadata)
    this.#flush()
  }

  watch(callback, { scope = "session" } = {}) {
    this.#connection.presence.watch(scope)
    this.#watchers[scope].add(callback)
    this.#call(callback, this.#peers(scope))
    this.#flush()
    return () => {
      const isLast = this.#watchers[scope].delete(callback) && this.#watchers[scope].size === 0
      if (isLast) this.#connection.presence.unwatch(scope)
    }
  }

  /** For the session: what is known of this scope has changed. */
  tell(scope) {
    const peers = this.#peers(scope)
    for (const callback of this.#watchers[scope]) this.#call(callback, peers)
  }

  #peers(scope) {
    const own = this.#connection.peer
    const peers = this.#connection.presence.peers(scope)
    return Object.freeze(peers.map(({ id, name, metadata }) => Object.freeze({ id, name, metadata, self: id === own })))
  }
}
