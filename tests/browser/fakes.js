/** What the client touches of a browser, as fakes that a test drives step by step; no real time passes. */

export class FakeBrowser {
  /** Every websocket that was ever made, in order. @type {FakeWebSocket[]} */
  sockets = []
  reported = []
  reloads = 0
  window = new EventTarget()
  random = () => 0.999999
  #now = 1_000_000
  #timers = new Map()
  #lastTimer = 0

  /** @param {{items?: Map<string, string> | null, path?: string}} tab items: the tab's session storage; null: forbidden */
  constructor({ items = new Map(), path = "/ticker", scheme = "http:" } = {}) {
    const browser = this
    this.location = {
      href: `${scheme}//host.example:5006${path}?session=s-1`,
      pathname: path,
      reload: () => { this.reloads++ },
    }
    this.document = Object.assign(new EventTarget(), {
      visibilityState: "visible",
      meta: { session: "s-1", token: "t-1", websocket: "/prefix/ticker/-/websocket", max_message_size: 2000 },
      // The document for the first paint, as the page has it. @type {{epoch: string, revision: number, data: object}}
      data: null,
      querySelector: () => this.document.meta && { content: JSON.stringify(this.document.meta) },
      getElementById: () => this.document.data && { textContent: JSON.stringify(this.document.data) },
    })
    this.WebSocket = class extends FakeWebSocket {
      constructor(url) {
        super(url)
        browser.sockets.push(this)
      }
    }
    this.storage = () => {
      if (items === null) throw new Error("SecurityError")
      return {
        getItem: (key) => items.get(key) ?? null,
        setItem: (key, value) => void items.set(key, value),
        removeItem: (key) => void items.delete(key),
      }
    }
    this.setTimeout = (action, milliseconds) => {
      this.#timers.set(++this.#lastTimer, { action, at: this.#now + milliseconds })
      return this.#lastTimer
    }
    this.clearTimeout = (timer) => void this.#timers.delete(timer)
    this.reportError = (error) => void this.reported.push(error)
    this.now = () => this.#now
  }

  get socket() {
    return this.sockets.at(-1)
  }

  get pendingTimers() {
    return this.#timers.size
  }

  /** Lets seconds pass; what falls due runs in order. */
  advance(seconds) {
    const end = this.#now + seconds * 1000
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0]
      if (due === undefined) break
      const [timer, { action, at }] = due
      this.#timers.delete(timer)
      this.#now = at
      action()
    }
    this.#now = end
  }

  fire(type, fields = {}, target = this.window) {
    target.dispatchEvent(Object.assign(new Event(type), fields))
  }
}

class FakeWebSocket {
  sent = []
  closedWith = null

  constructor(url) {
    this.url = url
  }

  send(frame) {
    this.sent.push(JSON.parse(frame))
  }

  close(code, reason) {
    this.closedWith = { code, reason }
  }

  // What the other side does.

  open() {
    this.onopen({})
  }

  receive(message) {
    this.onmessage({ data: typeof message === "string" ? message : JSON.stringify(message) })
  }

  receiveRaw(data) {
    this.onmessage({ data })
  }

  lose(code = 1006, reason = "") {
    this.onclose({ code, reason })
  }

  /** Opens, attaches and brings a snapshot. */
  goLive(data = {}, { revision = 0, epoch = "e-1", ...fields } = {}) {
    this.attach({ resumed: false, revision, epoch, ...fields })
    this.receive({ type: "snapshot", epoch, revision, data })
  }

  /** Opens and resumes where the client was. */
  resume(fields = {}) {
    this.attach({ resumed: true, ...fields })
  }

  attach(fields) {
    this.open()
    this.receive({
      type: "attached", session: "s-1", client: "c-1", peer: "p-1", key: "k-1", epoch: "e-1", revision: 0, received: 0,
      editable: [], ...fields,
    })
  }

  patch(from, ...operations) {
    this.receive({ type: "patch", from, to: from + 1, operations })
  }
}
