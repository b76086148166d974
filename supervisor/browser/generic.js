/**
 * The page of an app that has no template: the document as a live tree, in `<main id="document">`.
 */

import { element } from "./elements.js"
import { SessionEnded, connect } from "./supervisor.js"
import { TreeEditing } from "./tree_editing.js"
import { TreeView } from "./tree_view.js"

const STATES = {
  connecting: "Connecting",
  live: "Live",
  restarting: "Restarting",
  reconnecting: "Connecting again",
  ended: "Ended",
}
/** The search waits for the next letter this long. Milliseconds. */
const TYPING = 120
/** How long it can be undone that something was removed. Milliseconds. */
const REGRET = 8000

const part = (id) => document.getElementById(id)
const main = part("document")

connect({ onStatus: showStatus, early: true }).then(show, (error) => {
  // The banner has said it.
  if (!(error instanceof SessionEnded)) throw error
})

function show(session) {
  const editing = new TreeEditing(session, say)
  const bar = selectionBar(editing)
  const view = new TreeView(main, {
    isEditable: (node) => editing.possible(node).edit,
    onSelect: bar.show,
    onFound: showFound,
    onLost: () => say("What you were editing has gone."),
    onKey: (event, node) => onKey(event, node, editing),
  })
  main.addEventListener("click", ({ target }) => {
    const isValue = target.closest(".editable > .row > .value") !== null && document.getSelection().isCollapsed
    if (isValue) editing.edit(view.current)
  })
  tools(view)
  // Drawn at most once per frame however often the document changes, and not at all while nobody sees the page.
  let isDue = false
  session.subscribe("", () => {
    if (isDue) return
    isDue = true
    requestAnimationFrame(() => {
      isDue = false
      view.show(session.data)
      showRevision(session.revision)
    })
  })
  // A change that changes nothing of the data, or a snapshot that is what was shown.
  session.onStatus(() => showRevision(session.revision))
  session.onEditable((patterns) => {
    document.body.classList.toggle("editing", patterns.length > 0)
    view.mark()
  })
  session.presence.watch(showPeers)
}

function onKey(event, node, editing) {
  const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey
  const actions = {
    Enter: () => node.branch === null && editing.possible(node).edit && void editing.edit(node),
    F2: () => editing.edit(node),
    Delete: () => editing.remove(node),
    Insert: () => (editing.possible(node).add ? editing.add(node) : editing.insert(node)),
    "/": () => part("search").focus(),
  }
  if ((event.ctrlKey || event.metaKey) && event.key === "c" && document.getSelection().isCollapsed) {
    editing.copy(node)
    return true
  }
  if (!isPlain || !Object.hasOwn(actions, event.key)) return false
  return actions[event.key]() !== false
}

function tools(view) {
  const search = part("search")
  let timer = null
  search.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(() => view.search(search.value.trim()), TYPING)
  })
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault()
      view.focus()
    } else if (event.key === "Escape" && search.value !== "") {
      search.value = ""
      view.search("")
    }
  })
  part("expand").addEventListener("click", () => {
    if (view.expandAll()) say("These are too many rows to unfold all of them. Open those that you want to see.")
  })
  part("collapse").addEventListener("click", () => view.collapseAll())
  part("tools").hidden = false
}

/** What is known of the selected row, and what can be done with it; the same by mouse, finger and keyboard. */
function selectionBar(editing) {
  const names = ["copy", "edit", "add", "insert", "remove"]
  let selected = null
  for (const name of names) part(name).addEventListener("click", () => editing[name](selected))
  return {
    show(node) {
      selected = node
      part("selection").hidden = node === null
      if (node === null) return
      const possible = { copy: true, ...editing.possible(node) }
      if (part("path").textContent !== node.path) part("path").textContent = node.path
      for (const name of names) part(name).hidden = !possible[name]
      part("insert").textContent = Array.isArray(node.parent?.value) ? "Insert before" : "Add beside"
    },
  }
}

function showStatus({ state, reason }) {
  const status = part("status")
  status.className = `status ${state}`
  status.textContent = STATES[state]
  status.title = reason
  document.body.dataset.state = state
}

function showRevision(revision) {
  if (revision >= 0) part("revision").textContent = `Revision ${revision.toLocaleString()}`
}

function showPeers(peers) {
  if (peers.length === 0) return
  const present = part("present")
  present.textContent = `${peers.length.toLocaleString()} here`
  present.title = peers.map(({ name, self }) => (name ?? "Somebody") + (self ? " (you)" : "")).join(", ")
}

function showFound(found) {
  const text = part("found")
  main.classList.toggle("nothing", found?.count === 0)
  if (found === null) text.textContent = ""
  else if (found.count === 0) text.textContent = "Nothing found"
  else text.textContent = `${found.count.toLocaleString()}${found.isCut ? " and more" : ""} found`
}

let saying = null

/** Tells the visitor what was done, and how to undo it. */
function say(text, undo) {
  const message = part("message")
  clearTimeout(saying)
  message.replaceChildren(text)
  if (undo !== undefined) {
    const button = element("button")
    button.type = "button"
    button.textContent = "Undo"
    button.addEventListener("click", () => {
      undo().then(() => say(""), (error) => say(`Not undone: ${error.message}`))
    })
    message.append(" ", button)
  }
  saying = setTimeout(() => message.replaceChildren(), REGRET)
}
