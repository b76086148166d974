/**
 * The errors that an app's code meets. Pure.
 */

// What a client itself says of sends that it refuses.
export const UNKNOWN = "The connection was lost before the answer came; the server may have handled this or not."
export const OVER = "The session ended before this was sent."
export const OTHER_DOCUMENT = "The document that this was meant for is gone."
export const GONE = "What this was to change has gone meanwhile."

/** A send or an edit that was not done; `kind` says why, and so whether it may be tried again. */
export class SendError extends Error {
  name = "SendError"

  /**
   * @param {"rejected" | "invalid" | "conflict" | "failed" | "unknown" | "unsent"} kind
   * @param {string} text
   * @param {string | null} incident what to look for in the server's log
   */
  constructor(kind, text, incident = null) {
    // The server's own text names it already.
    super(incident === null || text.includes(incident) ? text : `${text} (incident ${incident})`)
    this.kind = kind
    this.text = text
    this.incident = incident
  }
}

/** The session ended before it was live for the first time; `reason` is fit to be shown. */
export class SessionEnded extends Error {
  name = "SessionEnded"

  constructor(code, reason) {
    super(reason)
    this.code = code
    this.reason = reason
  }
}
