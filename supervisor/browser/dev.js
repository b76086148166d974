/**
 * For pages of a development server alone: follows the app's changes, and shows over the page what is wrong with them.
 *
 * The page knows the version that it was made of, from `<meta name="supervisor-dev" content='{"events":"/app/-/dev",
 * "version":"…","problem":null}'>`; the problem is a text if the page itself says what is wrong. The app's events tell the
 * version that is served and the problem, if there is one. Another version: the page is loaded anew, once for each. It listens only while somebody sees it, because a browser gives all tabs of a
 * server six connections together; a tab that was hidden catches up when it is shown.
 */

/** Asks for the session that this page had, which lives on if only a template has changed. Taken out of the address. */
const RETURN = "supervisor-dev-session"
/**
 * New code ends the session as well, and the browser client loads the page anew for that: it goes first, because a second
 * load would make a second session. Milliseconds.
 */
const AFTER_CLIENT = 250

const STYLE = `
  :host {
    position: fixed; z-index: 2147483646; inset: 0 0 auto 0; display: flex; justify-content: center; pointer-events: none;
    padding: max(0.75rem, env(safe-area-inset-top)) 0.75rem 0.75rem; color-scheme: light dark;
    --ink: #1d2430; --soft: #56606e; --paper: #ffffff; --line: #d5dae1; --bad: #b3403a; --code: #f6f7f9;
  }
  @media (prefers-color-scheme: dark) {
    :host { --ink: #e8ebf0; --soft: #a3acba; --paper: #20252d; --line: #3a424e; --bad: #ee8079; --code: #171b21; }
  }
  .box {
    box-sizing: border-box; width: min(48rem, 100%); max-height: 70vh; overflow: auto; pointer-events: auto;
    padding: 0.875rem 1rem; font: 400 0.9375rem/1.45 system-ui, sans-serif; text-align: start;
    color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-top: 3px solid var(--bad);
    border-radius: 0.625rem; box-shadow: 0 0.25rem 1.5rem rgb(0 0 0 / 0.2);
  }
  .box[hidden] { display: none; }
  .head { display: flex; align-items: start; gap: 0.75rem; margin-bottom: 0.375rem; }
  h2 { flex: 1; margin: 0; font-size: 1rem; font-weight: 650; color: var(--bad); }
  p { margin: 0 0 0.5rem; overflow-wrap: anywhere; }
  p:last-child { margin: 0; color: var(--soft); font-size: 0.875rem; }
  pre {
    margin: 0 0 0.625rem; padding: 0.625rem 0.75rem; overflow-x: auto; background: var(--code); border-radius: 0.4375rem;
    font: 400 0.8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  }
  pre:empty { display: none; }
  button {
    flex: none; font: inherit; font-size: 0.875rem; color: inherit; cursor: pointer; padding: 0.25rem 0.75rem;
    min-height: 2rem; background: transparent; border: 1px solid var(--line); border-radius: 0.4375rem;
  }
  button:hover { border-color: var(--soft); }
  :focus-visible { outline: 2px solid currentcolor; outline-offset: 2px; }
  @media print { :host { display: none; } }
`

const { events, version, problem: said } = JSON.parse(document.querySelector('meta[name="supervisor-dev"]').content)
const notice = build()
let source = null
let isLeaving = false

forgetReturn()
window.addEventListener("supervisor-reload", () => {
  isLeaving = true
  source?.close()
})
document.addEventListener("visibilitychange", listenWhileVisible)
listenWhileVisible()

function listenWhileVisible() {
  source?.close()
  source = null
  if (isLeaving || document.visibilityState !== "visible") return
  source = new EventSource(events)
  source.onmessage = ({ data }) => {
    const state = JSON.parse(data)
    if (state.version === version) render(state.problem?.text === said ? null : state.problem)
    else setTimeout(loadAnew, AFTER_CLIENT)
  }
}

function loadAnew() {
  if (isLeaving) return
  isLeaving = true
  source?.close()
  const session = document.querySelector('meta[name="supervisor"]')
  if (session === null) {
    location.reload()
    return
  }
  const url = new URL(location.href)
  url.searchParams.set(RETURN, JSON.parse(session.content).session)
  location.replace(url)
}

/** The address is the visitor's again: what they copy leads to a session of its own. */
function forgetReturn() {
  const url = new URL(location.href)
  if (!url.searchParams.has(RETURN)) return
  url.searchParams.delete(RETURN)
  history.replaceState(history.state, "", url)
}

function build() {
  const host = document.createElement("supervisor-dev")
  // There, and empty, before it says anything: screen readers only speak of what changes in a live region.
  host.setAttribute("role", "alert")
  const root = host.attachShadow({ mode: "open" })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(STYLE)
  root.adoptedStyleSheets = [sheet]
  const [box, head, title, hide, text, details, consequence] = ["div", "div", "h2", "button", "p", "pre", "p"].map(
    (name) => document.createElement(name),
  )
  box.className = "box"
  box.hidden = true
  head.className = "head"
  hide.type = "button"
  hide.textContent = "Hide"
  hide.addEventListener("click", () => { box.hidden = true })
  details.tabIndex = 0
  details.setAttribute("aria-label", "Where")
  head.append(title, hide)
  box.append(head, text, details, consequence)
  root.append(box)
  document.body.append(host)
  return { box, title, text, details, consequence }
}

function render(problem) {
  const { box, title, text, details, consequence } = notice
  box.hidden = problem === null
  // Emptied too: it must be a change again when the same words come back.
  title.textContent = problem === null ? "" : "The changed code can’t be loaded"
  text.textContent = problem?.text ?? ""
  details.textContent = problem?.details ?? ""
  consequence.textContent = problem?.consequence ?? ""
}
