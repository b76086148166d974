/**
 * The banner that tells a visitor why the page stands still; shown only when it does for longer than a moment.
 *
 * It lives in a shadow root with a constructed style sheet: the page's styles don't reach it, its styles don't reach the
 * page, and a Content-Security-Policy without "unsafe-inline" has nothing to object to.
 */

/** How long each state stays unsaid: most interruptions are over before anybody noticed. Seconds. */
const UNSAID = { connecting: 2, restarting: 0.4, reconnecting: 0.4, ended: 0.4 }
/** A wait that is longer than this gets a button that ends it. Seconds. */
const LONG_WAIT = 3

const STYLE = `
  :host {
    position: fixed; z-index: 2147483647; inset: auto 0 0 0;
    display: flex; justify-content: center; pointer-events: none;
    padding: 0.75rem max(0.75rem, env(safe-area-inset-right)) max(0.75rem, env(safe-area-inset-bottom));
    color-scheme: light dark;
    --ink: #1d2430; --soft: #5b6472; --paper: #ffffff; --line: #d5dae1; --waiting: #b7791f; --ended: #b3403a;
  }
  @media (prefers-color-scheme: dark) {
    :host { --ink: #e8ebf0; --soft: #a3acba; --paper: #20252d; --line: #3a424e; --waiting: #e0a94a; --ended: #ee8079; }
  }
  .box {
    box-sizing: border-box; max-width: min(34rem, 100%); pointer-events: auto;
    display: flex; align-items: center; gap: 0.75rem; padding: 0.5rem 0.875rem; min-height: 2.75rem;
    font: 400 0.9375rem/1.35 system-ui, sans-serif; text-align: start;
    color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 0.625rem;
    box-shadow: 0 0.25rem 1.25rem rgb(0 0 0 / 0.16);
    animation: rise 180ms ease-out;
  }
  .box[hidden] { display: none; }
  .dot { flex: none; width: 0.5625rem; height: 0.5625rem; border-radius: 50%; background: var(--waiting); }
  .ended .dot { background: var(--ended); }
  .waiting .dot { animation: breathe 1.6s ease-in-out infinite; }
  .text { flex: 1; overflow-wrap: anywhere; }
  button {
    flex: none; font: inherit; font-weight: 600; color: inherit; cursor: pointer;
    padding: 0.3125rem 0.75rem; min-height: 2rem; margin-inline-end: -0.25rem;
    background: transparent; border: 1px solid var(--line); border-radius: 0.4375rem;
  }
  button:hover { border-color: var(--soft); }
  button:focus-visible { outline: 2px solid currentcolor; outline-offset: 2px; }
  button[hidden] { display: none; }
  @keyframes rise { from { opacity: 0; transform: translateY(0.5rem); } }
  @keyframes breathe { 50% { opacity: 0.35; } }
  @media (prefers-reduced-motion: reduce) { .box, .waiting .dot { animation: none; } }
  @media print { :host { display: none; } }
`

/**
 * Puts a banner for the session's status at the end of the page; it goes when the app itself closes the session.
 *
 * @param {{onStatus: Function}} session
 * @param {{environment: object, retry: () => void, load: () => void}} actions what the buttons do
 */
export function attachBanner(session, { environment, retry, load }) {
  const { document, setTimeout, clearTimeout, now } = environment
  const parts = build(document)
  const host = parts.host
  let timer = null
  let state = null
  let since = 0

  parts.button.addEventListener("click", () => (parts.box.classList.contains("ended") ? load() : retry()))

  session.onStatus((status) => {
    clearTimeout(timer)
    if (status.state !== state) {
      // Once one state has been said, the next one may be said at once: the visitor knows already that something is.
      since = parts.box.hidden ? now() : 0
      state = status.state
    }
    if (state === "live") {
      render(parts, null, environment)
    } else if (state === "ended" && status.code === null) {
      host.remove()
    } else {
      timer = setTimeout(() => render(parts, status, environment), Math.max(since + UNSAID[state] * 1000 - now(), 0))
    }
  })
}

function build(document) {
  const host = document.createElement("supervisor-banner")
  // The live region is there, and empty, before it says anything: screen readers only speak of what changes in one.
  host.setAttribute("role", "status")
  host.setAttribute("aria-live", "polite")
  const root = host.attachShadow({ mode: "open" })
  const sheet = new document.defaultView.CSSStyleSheet()
  sheet.replaceSync(STYLE)
  root.adoptedStyleSheets = [sheet]
  const [box, dot, text, button] = ["div", "span", "span", "button"].map((name) => document.createElement(name))
  box.hidden = true
  dot.className = "dot"
  text.className = "text"
  button.type = "button"
  box.append(dot, text, button)
  root.append(box)
  document.body.append(host)
  return { host, box, text, button }
}

function render({ box, text, button }, status, { now }) {
  box.hidden = status === null
  // Emptied too: it must be a change again when the same words come back.
  const words = status === null ? "" : wording(status)
  // Written only when they differ: what is written is spoken, and each attempt would repeat it.
  if (text.textContent !== words) text.textContent = words
  if (status === null) return
  const isEnded = status.state === "ended"
  box.className = isEnded ? "box ended" : "box waiting"
  button.textContent = isEnded ? "Load again" : "Try now"
  // A restart is the server's: nobody here can make it come sooner.
  const isLong = status.state !== "restarting" && status.retryAt !== null && status.retryAt - now() > LONG_WAIT * 1000
  button.hidden = !isEnded && !isLong
}

function wording({ state, reason }) {
  if (state === "ended" || state === "restarting") return reason
  if (state === "connecting") return "Connecting…"
  return `${reason} Connecting again…`
}
