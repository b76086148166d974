/**
 * The page of an app that has no template: the document as a live tree, in `<main id="document">`.
 */

import { SessionEnded, connect } from "./supervisor.js"
import { TreeView } from "./tree_view.js"

const STATES = { connecting: "Connecting", live: "Live", reconnecting: "Connecting again", ended: "Ended" }

const main = document.getElementById("document")
const { status, revision, tools, open, close } = heading()
connect({ onStatus: showStatus }).then(show, (error) => {
  // The banner has said it.
  if (!(error instanceof SessionEnded)) throw error
})

function show(session) {
  const view = new TreeView(main)
  tools.hidden = false
  open.addEventListener("click", () => view.openAll())
  close.addEventListener("click", () => view.closeAll())
  // Drawn at most once per frame however often the document changes, and not at all while nobody sees the page.
  let isDue = false
  session.subscribe("", () => {
    if (isDue) return
    isDue = true
    requestAnimationFrame(() => {
      isDue = false
      view.show(session.data)
      revision.textContent = `Revision ${session.revision}`
    })
  })
}

function heading() {
  const header = element("header")
  const title = element("h1")
  title.textContent = document.title || "Document"
  const status = element("span", "status")
  const revision = element("span", "revision")
  const open = element("button")
  open.textContent = "Open all"
  const close = element("button")
  close.textContent = "Close all"
  for (const button of [open, close]) button.type = "button"
  const facts = element("p", "facts")
  facts.append(status, revision)
  const tools = element("p", "tools")
  tools.append(open, close)
  tools.hidden = true
  header.append(title, facts, tools)
  main.before(header)
  return { status, revision, tools, open, close }
}

function showStatus({ state, reason }) {
  status.className = `status ${state}`
  status.textContent = STATES[state]
  status.title = reason
}

function element(name, className = "") {
  const made = document.createElement(name)
  if (className) made.className = className
  return made
}
