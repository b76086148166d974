/**
 * The errors that an app's code meets. Pure.
 */

/** A send or an edit that was not done; `kind` says why, and so whether it may be tried again. */
export class SendError extends Error {
  name = "SendError"

  /**
   * @param {"rejected" | "invalid" | "conflict" | "failed" | "unknown" | "unsent"} kind
   * @param {string} text
   * @param {string | null} incident what to look for in the server's log
   */
  constructor(kind, text, incident = null) {
    super(incident === null ? text : `${text} (incident ${incident})`)
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
