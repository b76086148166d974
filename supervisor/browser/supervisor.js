/**
 * The browser client of session-supervisor: `connect()` gives the page's live session. `supervisor.d.ts` describes it.
 */

import { attachBanner } from "./banner.js"
import { ClientConnection } from "./connection.js"
import { SendError, SessionEnded } from "./errors.js"
import { ReloadGuard, readFirst, readPage } from "./page.js"
import { Session } from "./session.js"
// Imported so that the browser fetches all modules at once and does not find them one below the other.
import "./carrying.js"
import "./editable.js"
import "./edits.js"
import "./link.js"
import "./messages.js"
import "./mirror.js"
import "./pointer.js"
import "./presence.js"
import "./reconnect.js"
import "./sends.js"
import "./session_presence.js"
import "./tree.js"

export { SendError, SessionEnded }

export async function connect(options = {}, environment = {}) {
  const surroundings = { ...browser(), ...environment }
  const { location, document } = surroundings
  const page = readPage(document, location)
  const guard = new ReloadGuard(surroundings)
  const first = readFirst(document)
  const connection = new ClientConnection({ ...page, wasReload: guard.wasReload, first })

  let isLoadingAnew = false
  const reload = () => {
    isLoadingAnew = options.reload !== false && guard.mark()
    if (isLoadingAnew) {
      // For dev.js, which would load it too when it hears that the code has changed.
      surroundings.window.dispatchEvent(new Event("supervisor-reload"))
      location.reload()
    }
    return isLoadingAnew
  }

  const { session, start, retryNow } = Session.open({ connection, url: page.url, environment: surroundings, reload })
  if (options.onStatus) session.onStatus(options.onStatus)
  if (options.banner !== false) {
    attachBanner(session, { environment: surroundings, retry: retryNow, load: () => location.reload() })
  }

  return new Promise((resolve, reject) => {
    session.onStatus(({ state, code, reason }) => {
      if (state === "live") {
        guard.clear()
        resolve(session)
      } else if (state === "ended" && !isLoadingAnew) {
        // While the page is being loaded anew there is nobody left to whom a rejection would say anything.
        reject(new SessionEnded(code, reason))
      }
    })
    start()
    // Now that whatever can fail at once has failed.
    if (options.early === true && first !== null) resolve(session)
  })
}

/** What the client touches of the browser; tests put fakes in its place. */
function browser() {
  return {
    window: globalThis,
    document: globalThis.document,
    location: globalThis.location,
    WebSocket: globalThis.WebSocket,
    storage: () => globalThis.sessionStorage,
    setTimeout: (action, milliseconds) => globalThis.setTimeout(action, milliseconds),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    reportError: (error) => globalThis.reportError(error),
    random: Math.random,
    now: Date.now,
  }
}
