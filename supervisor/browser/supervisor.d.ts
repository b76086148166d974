/**
 * The browser client of session-supervisor.
 *
 *     import { connect } from "{{ client_url }}"
 *     const session = await connect()
 *     session.subscribe("/prices", prices => draw(prices))
 *     button.onclick = () => session.send("Watch", { symbol: "ACME" })
 *     input.onchange = () => session.edit("/title", input.value)
 */

/** A value that JSON can carry, read-only in every depth: the mirror is frozen. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/**
 * - `connecting`: it was not live yet.
 * - `live`: the mirror follows the document.
 * - `restarting`: the session has failed, and is to have a new document; what is sent waits for it, and the mirror shows
 *   what was true before.
 * - `reconnecting`: it was live, and comes back by itself; the mirror shows what was true before.
 * - `ended`: it stays as it is. Only loading the page again helps, and sometimes not even that.
 */
export type State = "connecting" | "live" | "restarting" | "reconnecting" | "ended"

export interface Status {
  readonly state: State
  /** One or two sentences that may be shown to visitors; empty while all is well. */
  readonly reason: string
  /** The websocket close code that led here. Null if nothing was closed, and after `session.close()`. */
  readonly code: number | null
  /** When the next attempt to connect, or to build the document, is due, in milliseconds as of `Date.now()`; null if none
   * is waiting for its time. */
  readonly retryAt: number | null
}

export interface Options {
  /** Shows a banner while the page stands still; true by default. */
  banner?: boolean
  /**
   * Loads the page anew, once, when its session is gone or its token too old; true by default. With false the status
   * becomes `ended` with code 4404 or 4401, and the app does what it likes.
   */
  reload?: boolean
  /**
   * Resolves at once if the page carries its document for the first paint, so that it is drawn before the websocket is
   * up; false by default. `session.data` is then what the page was made with, and subscribers hear of what has changed
   * since. What is sent or edited meanwhile waits. Whether it works out, `onStatus` tells: nothing is rejected any more.
   */
  early?: boolean
  /** Like `session.onStatus()`, but from the start: `connect()` gives the session only once it is live. */
  onStatus?: (status: Status) => void
}

/**
 * Connects the page to its session, which the server named in the page's `<meta name="supervisor">`.
 *
 * Resolves when the session is live for the first time (see `early` for sooner), and that once: after each loss it comes
 * back by itself, with the same session object. Rejects with `SessionEnded` if the session ended before, and with an
 * `Error` if the page has no such element. Waits for as long as the server can't be reached. While the page is being
 * loaded anew it does neither.
 *
 * Each call makes a connection of its own; a page that needs the session in several places calls it once.
 */
export function connect<Data = Json>(options?: Options, environment?: Partial<Environment>): Promise<Session<Data>>

/** The page's live session. `connect()` makes it. */
export interface Session<Data = Json> {
  /** The session's id. */
  readonly id: string
  /**
   * What others call this client in `presence`; the same after it came back, if that was soon enough. Null before it was
   * attached for the first time.
   */
  readonly peer: string | null
  /**
   * The mirror of the session's document, with this page's own edits on top that the server hasn't taken yet: deeply
   * frozen, and a new object after each change. Parts that a change left alone stay identical, so
   * `before.prices !== session.data.prices` is all it takes to ask.
   */
  readonly data: Data
  /** The document's revision that the mirror shows; -1 while it waits for a snapshot. */
  readonly revision: number
  readonly status: Status

  /**
   * Calls back at once with the value at the path, and then whenever the value there is another one; `undefined` where
   * nothing is. A message handled by the server is one change: nobody is called between its parts.
   *
   * What the callback throws is reported as an error of the page, and stops nothing else.
   *
   * @param path a JSON Pointer (RFC 6901): `""` is the document, `"/prices/ACME"` a part of it
   * @returns a function that ends it; may be called twice
   */
  subscribe<Value = Json | undefined>(
    path: string,
    callback: (value: Value, before: Value | undefined) => void,
  ): () => void

  /** Calls back at once with the status, and then whenever it changes; the returned function ends it. */
  onStatus(callback: (status: Status) => void): () => void

  /**
   * Calls back whenever the document is another one, because the session was restarted after a failure; `data` shows the
   * new one by then, and subscribers have heard of what differs. The returned function ends it.
   */
  onRestart(callback: () => void): () => void

  /**
   * Sends a message to the session; the app must allow the type with `@receives(…, from_client=True)`.
   *
   * Resolves with what the handler returned, after the changes that it made have arrived. Rejects with `SendError`, or
   * with `TypeError` if JSON can't carry the fields. Without a connection up to 64 sends wait for the next one. A send
   * whose connection is lost is sent again by itself, and the server applies it once. `fields` is copied at once.
   */
  send<Answer = Json>(type: string, fields?: object): Promise<Answer>

  /**
   * Sets the value at the path: of a key, which may be new, or of an index that is there.
   *
   * It shows in `data` at once, and subscribers hear of it before this returns. The server's order is the one that
   * counts: what arrives from it goes below this page's own edits, and these are carried over it, so that their paths go
   * on naming what they named. Resolves when the mirror has it; the app may have made something else of the value.
   * Rejects with `SendError`, and then the change is undone, of which subscribers hear too. Without a connection edits
   * wait for the next one, like sends, and like them they are applied once; if the server can't tell by then what has
   * changed, those that name an item of an array by its index are in `conflict`. The value is copied at once.
   *
   * @param path a JSON Pointer into `data` as it is shown now; not `""`
   */
  edit(path: string, value: unknown): Promise<void>

  /** Inserts an item before the one at the path's index, or with `-` in its place at the array's end. See `edit()`. */
  insert(path: string, value: unknown): Promise<void>

  /** Removes the key or the index at the path. See `edit()`. */
  remove(path: string): Promise<void>

  /**
   * What the app lets clients edit, as patterns: JSON Pointers in which `*` stands for any one step. Frozen; empty before
   * it was attached for the first time.
   */
  readonly editable: readonly string[]

  /** Calls back at once with `editable`, and then whenever the app changes it; the returned function ends it. */
  onEditable(callback: (patterns: readonly string[]) => void): () => void

  /**
   * Does the app let clients do this there? A pattern allows to edit the place that it names and all that is in it; to
   * insert or remove at the place itself only if it ends with `*`. It's for showing what can be done: the server decides.
   *
   * @param action `"edit"` if it is left out
   */
  mayEdit(path: string, action?: "edit" | "insert" | "remove"): boolean

  /** Who else is there. */
  readonly presence: Presence

  /** Ends it from the page's side: status `ended`, unanswered sends rejected, the banner gone. May be called twice. */
  close(): void
}

/** Who is there, and what they say of themselves. */
export interface Presence {
  /**
   * Calls back at once with those who are known to be there (none before the server has answered), and then whenever
   * somebody comes, goes, or says something else; at most twenty times a second. This page's own client is among them.
   *
   * @param options scope: `"application"` for all sessions of the app, which the app must have allowed; else nobody is
   *   told. `"session"` if it is left out
   * @returns a function that ends it; may be called twice
   */
  watch(callback: (peers: readonly Peer[]) => void, options?: { scope?: "session" | "application" }): () => void

  /**
   * Says something of this client to the others, in the place of what it said before: a cursor, a colour, and no document.
   * Said again by itself after each reconnect. Throws `TypeError` if it is no object that JSON can carry, and `RangeError`
   * if it has more than 1,024 bytes as JSON.
   */
  set(metadata: object): void
}

/** Somebody who is there. Frozen. */
export interface Peer {
  /** See `Session.peer`; it opens nothing. */
  readonly id: string
  /** What the app calls it; null if it doesn't. */
  readonly name: string | null
  /** What it says of itself. Written by another browser: don't trust it. */
  readonly metadata: { readonly [key: string]: Json }
  /** Is it this page's own client? */
  readonly self: boolean
}

/**
 * Why a send or an edit was not done:
 *
 * - `rejected`: the app said no; `text` is its reason. Nothing was changed.
 * - `invalid`: the app takes no such message from browsers, or a field is wrong; `text` names it. Nothing was changed.
 * - `conflict`: what an edit was to change has gone meanwhile, or was never there. Nothing was changed.
 * - `failed`: the handler failed, and the server's log has more under `incident`. Nothing was changed, but for what the
 *   handler had committed itself.
 * - `unsent`: it never left the page, because too many wait already or the session has ended, because it is larger than
 *   the server takes, or because an edit's document is gone. Nothing was changed.
 * - `unknown`: it left the page, and the answer can't come any more. It may have been applied.
 */
export type SendErrorKind = "rejected" | "invalid" | "conflict" | "failed" | "unsent" | "unknown"

/** A send or an edit that was not done. */
export class SendError extends Error {
  constructor(kind: SendErrorKind, text: string, incident?: string | null)
  readonly kind: SendErrorKind
  readonly text: string
  /** What to look for in the server's log; only with `failed`. */
  readonly incident: string | null
}

/** The session ended before it was live for the first time. */
export class SessionEnded extends Error {
  constructor(code: number | null, reason: string)
  /** The close code; see `Status.code`. */
  readonly code: number | null
  /** Fit to be shown to visitors. */
  readonly reason: string
}

/** What the client touches of the browser. Tests pass fakes; whatever is left out is the browser's own. */
export interface Environment {
  /** Where `online`, `offline`, `pageshow` and `pagehide` are heard of. */
  window: EventTarget
  document: Document
  location: Pick<Location, "href" | "pathname" | "reload">
  WebSocket: new (url: string) => WebSocket
  /** The session storage; may throw. */
  storage: () => Pick<Storage, "getItem" | "setItem" | "removeItem">
  setTimeout: (action: () => void, milliseconds: number) => unknown
  clearTimeout: (timer: unknown) => void
  reportError: (error: unknown) => void
  /** A number from [0, 1), as `Math.random()`. */
  random: () => number
  /** Milliseconds, as `Date.now()`. */
  now: () => number
}
