/**
 * Keeps a session connected: one websocket after the other, with the waits between them.
 *
 * All that is decided is decided in `ClientConnection`; this file owns the websocket, the timers and the listeners.
 */

/** A websocket that has not opened in this time is given up: browsers alone wait for minutes. Seconds. */
const ATTEMPT = 20
/** One that opened has this long for its first frame: the server lets it wait 30 s for its session's turn, then 10 s for
 * each hook that lets it in, and says so if that was not enough. Seconds. */
const ADMISSION = 60
/** A server that says at least every 45 s that it is there is believed to be gone after this. Seconds. */
const SILENCE = 60
/** Of a snapshot nothing is heard before it is whole; how long it may take is up to the server. Seconds. */
const SNAPSHOT = 600
/** A websocket whose end was announced has this long to close. Seconds. */
const LAST_WORDS = 5

export class Link {
  /** `code` is null while nothing was closed, and when the page itself closed the session.
   * @type {Readonly<{state: string, reason: string, code: number | null, retryAt: number | null}>} */
  status = Object.freeze({ state: "connecting", reason: "", code: null, retryAt: null })

  #connection
  #url
  #environment
  // What we tell: onEvents(events), onStatus(), and reload() → is the page being loaded anew?
  #owner
  #socket = null
  #retry = null
  #patience = null
  // Does the server say that it is there?
  #isKeptUp = false
  // Went the machine offline since the present websocket was made? It may be dead then without anyone noticing.
  #wasOffline = false
  // Is the page kept in the back/forward cache? Its websocket would keep it from being put there.
  #away = false
  #listening = []

  constructor({ connection, url, environment, owner }) {
    this.#connection = connection
    this.#url = url
    this.#environment = environment
    this.#owner = owner
  }

  /** Call it once. */
  start() {
    const { window, document } = this.#environment
    this.#listen(window, "offline", () => { this.#wasOffline = true })
    this.#listen(window, "online", () => this.#online())
    this.#listen(window, "pagehide", ({ persisted }) => { if (persisted) this.#leave() })
    this.#listen(window, "pageshow", () => this.#shown())
    this.#listen(document, "visibilitychange", () => { if (document.visibilityState === "visible") this.retryNow() })
    this.#open()
  }

  /** Ends it for good, from our side. */
  stop() {
    this.#drop(1000)
    this.#end(null, "closed by the page", this.#connection.end())
  }

  /** Writes what may be written; call it after each `connection.send()`. */
  flush() {
    // A websocket that is closing drops what is written, and the connection sends it again in the next one.
    for (const frame of this.#connection.outgoing()) this.#socket?.send(frame)
  }

  /** Comes back now, if it is only waiting for its time. */
  retryNow() {
    if (this.#retry !== null) this.#open()
  }

  #open() {
    this.#clear("retry")
    this.#wasOffline = false
    if (this.status.retryAt !== null) this.#tell({ ...this.status, retryAt: null })
    let socket
    try {
      socket = new this.#environment.WebSocket(this.#url)
    } catch (error) {
      this.#environment.reportError(error)
      this.#lost(1006, "")
      return
    }
    this.#socket = socket
    // Each handler asks whether it still is the present websocket's: events of one that was given up may come late.
    socket.onopen = () => {
      if (socket !== this.#socket) return
      socket.send(this.#connection.opened())
      this.#giveUpAfter(ADMISSION)
    }
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#received(data) }
    socket.onclose = ({ code, reason }) => { if (socket === this.#socket) this.#lost(code, reason) }
    this.#giveUpAfter(ATTEMPT)
  }

  #received(frame) {
    this.#clear("patience")
    let events
    try {
      events = this.#connection.receive(frame)
    } catch (error) {
      this.#environment.reportError(error)
      // A close reason has at most 123 bytes, and 40 characters never have more than 120.
      this.#drop(4400, error.message.slice(0, 40))
      this.#lost(4400, "")
      return
    }
    if (events.some(({ type }) => type === "alive")) this.#isKeptUp = true
    if (this.#connection.isClosing) this.#giveUpAfter(LAST_WORDS)
    else if (this.#isKeptUp) this.#giveUpAfter(this.#connection.isConnected ? SILENCE : SNAPSHOT)
    const restarting = events.find(({ type }) => type === "restarting")
    if (restarting !== undefined) {
      const retryAt = this.#environment.now() + restarting.after * 1000
      this.#tell({ state: "restarting", reason: "The session has failed and is restarting.", code: null, retryAt })
    } else if (this.#connection.status === "live" && this.status.state !== "live") {
      this.#tell({ state: "live", reason: "", code: null, retryAt: null })
    }
    this.#owner.onEvents(events)
    this.flush()
  }

  #lost(code, reason) {
    this.#clear("patience")
    this.#socket = null
    const { random, now } = this.#environment
    const { decision, events } = this.#connection.closed(code, reason, { random: random(), before: this.status.code })
    if (decision.type === "reconnect") {
      if (!this.#away) this.#retry = this.#later(() => this.#open(), decision.after)
      const state = this.#connection.status
      this.#tell({ state, reason: decision.reason, code: decision.code, retryAt: now() + decision.after * 1000 })
    } else if (decision.type === "reload" && this.#owner.reload()) {
      this.#end(decision.code, `${decision.reason} Loading the page again…`, events)
    } else {
      this.#end(decision.code, decision.reason, events)
    }
  }

  #end(code, reason, events) {
    this.#clear("retry")
    for (const [target, type, listener] of this.#listening.splice(0)) target.removeEventListener(type, listener)
    this.#tell({ state: "ended", reason, code, retryAt: null })
    this.#owner.onEvents(events)
  }

  #online() {
    // A websocket that only listens learns late that its line is dead. Resuming is cheap and loses nothing, so ask.
    if (this.#wasOffline && this.#socket !== null) {
      this.#drop(1000)
      this.#lost(1006, "")
    }
    this.retryNow()
  }

  #leave() {
    this.#away = true
    this.#clear("retry")
    if (this.#socket === null) return
    this.#drop(1000)
    this.#lost(1006, "")
  }

  #shown() {
    if (this.#away) {
      this.#away = false
      this.#open()
    } else {
      this.retryNow()
    }
  }

  /** Gives the present websocket up: nothing of it is heard any more. */
  #drop(code, reason = "") {
    this.#clear("patience")
    const socket = this.#socket
    this.#socket = null
    socket?.close(code, reason)
  }

  #giveUpAfter(seconds) {
    this.#clear("patience")
    this.#patience = this.#later(() => {
      this.#drop(1000)
      this.#lost(1006, "")
    }, seconds)
  }

  #tell(status) {
    this.status = Object.freeze(status)
    this.#owner.onStatus()
  }

  #later(action, seconds) {
    return this.#environment.setTimeout(action, seconds * 1000)
  }

  #clear(timer) {
    if (timer === "retry") {
      this.#environment.clearTimeout(this.#retry)
      this.#retry = null
    } else {
      this.#environment.clearTimeout(this.#patience)
      this.#patience = null
    }
  }

  #listen(target, type, listener) {
    target.addEventListener(type, listener)
    this.#listening.push([target, type, listener])
  }
}
