/**
 * A document as a foldable tree, by the ARIA authoring practices' pattern for trees: one row at a time is where the
 * keyboard is, arrows lead from row to row, and letters to the next key that begins with them.
 */

import { find } from "./search.js"
import { Branch, moreOf, nodeOf } from "./tree_node.js"

/** Unfolding stops after so many rows; more than that are no overview. */
const EXPAND_LIMIT = 2000
/** Letters that are typed faster than this belong together. Milliseconds. */
const TYPING = 700
/** While a search is on, its time is at most this part of all time, however large the document is and often it changes. */
const SEARCH_SHARE = 0.2

export class TreeView {
  /** What is searched for, as it was typed. */
  query = ""
  #actions
  #root
  #value = undefined
  #filter = null
  #current = null
  #typed = { text: "", at: 0 }
  #searchAt = 0
  #searchTimer = null

  /**
   * @param {HTMLElement} host an empty element
   * @param {{isEditable: (node: object) => boolean, onSelect: (node: object | null) => void, onFound: Function,
   *   onLost: () => void, onKey: (event: KeyboardEvent, node: object) => boolean}} actions
   *   onLost: a row with an editor in it has gone; onKey: was it for the one who is asked?
   */
  constructor(host, actions) {
    this.#actions = actions
    this.#root = new Branch(this, null)
    this.#root.list.setAttribute("role", "tree")
    this.#root.list.setAttribute("aria-label", "The document")
    host.append(this.#root.list)
    host.addEventListener("keydown", (event) => this.#onKey(event))
    host.addEventListener("click", (event) => this.#onClick(event))
    host.addEventListener("focusin", ({ target }) => { if (target.role === "treeitem") this.#select(target) })
  }

  isEditable(node) {
    return this.#actions.isEditable(node)
  }

  /** The row where the keyboard is, or null. */
  get current() {
    return nodeOf.get(this.#current) ?? null
  }

  /** Draws the document; a part that changed since the last time flashes. */
  show(value) {
    const flashes = this.#value !== undefined
    this.#value = value
    if (this.query !== "" && !this.#mayFind()) return
    this.#draw(flashes)
  }

  /** Shows only what has this text in a key or a value, and the way to it; all of it for an empty text. */
  search(text) {
    this.query = text
    this.#searchAt = 0
    if (this.#value !== undefined) this.#draw(false)
  }

  /** Says anew what can be edited. */
  mark() {
    for (const node of this.#root.nodes.values()) node.mark({ below: true })
    this.#actions.onSelect(this.current)
  }

  /** Unfolds all rows. @returns {boolean} were there too many, so that some are folded still? */
  expandAll() {
    return unfold([this.#root])
  }

  collapseAll() {
    for (const node of this.#root.nodes.values()) collapse(node)
  }

  focus() {
    this.#current?.focus()
  }

  /** For the rows: this element is about to go, or to be hidden; the keyboard must not go with it. */
  leaving(going) {
    if (going.role === "treeitem" && going.querySelector(".editor") !== null) this.#actions.onLost()
    if (this.#current === null || !going.contains(this.#current)) return
    const hadFocus = going.contains(document.activeElement)
    // Within the list that is folded: the row that it belongs to. Else whatever is next to the row that goes.
    const next = going.role === "treeitem"
      ? going.nextElementSibling ?? going.previousElementSibling ?? parentOf(going)
      : parentOf(going)
    this.#select(next)
    if (hadFocus) next?.focus()
  }

  #draw(flashes) {
    if (this.query === "") {
      this.#filter = null
      this.#actions.onFound(null)
    } else {
      const began = performance.now()
      const found = find(this.#value, this.query)
      this.#searchAt = performance.now() + (performance.now() - began) / SEARCH_SHARE
      this.#filter = found.filter
      this.#actions.onFound(found)
    }
    this.#root.show(this.#value, { filter: this.#filter, flashes })
    if (this.#current?.isConnected !== true) this.#rest(this.#root.list.firstElementChild)
    else if (flashes) this.#actions.onSelect(this.current)
  }

  /** May the search be done again now? If not, it is done as soon as it may. */
  #mayFind() {
    const wait = this.#searchAt - performance.now()
    if (wait <= 0) return true
    this.#searchTimer ??= setTimeout(() => {
      this.#searchTimer = null
      this.#draw(true)
    }, wait)
    return false
  }

  /** The keyboard comes in here, but isn't here yet. */
  #rest(item) {
    if (this.#current !== null) this.#current.tabIndex = -1
    this.#current = item
    if (item !== null) item.tabIndex = 0
  }

  #select(item) {
    this.#current?.setAttribute("aria-selected", "false")
    this.#rest(item)
    item?.setAttribute("aria-selected", "true")
    this.#actions.onSelect(this.current)
  }

  #onClick(event) {
    const item = event.target.closest("[role=treeitem]")
    // What is clicked inside of an editor is the editor's.
    if (item === null || event.target.closest(".editor") !== null) return
    const node = nodeOf.get(item)
    item.focus({ preventScroll: true })
    if (node === undefined) this.#more(item)
    else if (node.branch !== null && node.row.contains(event.target)) node.isOpen = !node.isOpen
  }

  #onKey(event) {
    const item = event.target
    if (item.role !== "treeitem" || event.altKey) return
    const node = nodeOf.get(item)
    if (node !== undefined && this.#actions.onKey(event, node)) {
      event.preventDefault()
    } else if (!event.ctrlKey && !event.metaKey && (this.#move(event, item, node) || this.#jump(event.key, item))) {
      event.preventDefault()
    }
  }

  #move({ key, shiftKey }, item, node) {
    if (shiftKey) return false
    const moves = {
      ArrowDown: () => after(item),
      ArrowUp: () => before(item),
      ArrowRight: () => {
        if (node === undefined || node.branch === null) return null
        if (node.isOpen) return node.branch.list.firstElementChild
        node.isOpen = true
        return null
      },
      ArrowLeft: () => {
        if (node === undefined || node.branch === null || !node.isOpen) return parentOf(item)
        node.isOpen = false
        return null
      },
      Home: () => this.#root.list.firstElementChild,
      End: () => lastIn(this.#root.list.lastElementChild),
      Enter: () => this.#toggle(item, node),
      " ": () => this.#toggle(item, node),
    }
    if (!Object.hasOwn(moves, key)) return false
    this.#typed.text = ""
    moves[key]()?.focus()
    return true
  }

  #toggle(item, node) {
    if (node === undefined) this.#more(item)
    else node.isOpen = !node.isOpen
    return null
  }

  #more(item) {
    // The first of those that come takes the place of the row that offered them.
    const last = item.previousElementSibling
    moreOf.get(item).showMore()
    ;(last?.nextElementSibling ?? last)?.focus()
  }

  /** To the next row whose key begins with what was typed; "*" unfolds all rows of this list. */
  #jump(key, item) {
    if (key.length !== 1) return false
    if (key === "*") {
      unfold([parentOf(item) === null ? this.#root : nodeOf.get(parentOf(item)).branch], { isDeep: false })
      return true
    }
    const now = performance.now()
    const text = (now - this.#typed.at < TYPING ? this.#typed.text : "") + key.toLowerCase()
    this.#typed = { text, at: now }
    let at = text.length === 1 ? after(item) : item
    for (let isAround = false; ; at = after(at)) {
      if (at === null) {
        if (isAround) return true
        isAround = true
        at = this.#root.list.firstElementChild
      }
      if (nodeOf.get(at)?.key.toLowerCase().startsWith(text)) break
    }
    at.focus()
    return true
  }
}

/** Breadth first, so that what is too large for it is unfolded evenly. Was it too large? */
function unfold(branches, { isDeep = true } = {}) {
  let rows = 0
  let isCut = false
  for (const branch of branches) {
    for (const node of branch.nodes.values()) {
      if (node.branch === null) continue
      if (node.isOpen || rows < EXPAND_LIMIT) {
        node.isOpen = true
        rows += node.branch.nodes.size
        if (isDeep) branches.push(node.branch)
      } else {
        isCut = true
      }
    }
  }
  return isCut
}

function collapse(node) {
  for (const below of node.branch?.nodes.values() ?? []) collapse(below)
  node.isOpen = false
}

function parentOf(item) {
  return item.parentElement?.closest("[role=treeitem]") ?? null
}

function firstBelow(item) {
  const list = item.lastElementChild
  return list?.localName === "ul" && !list.hidden ? list.firstElementChild : null
}

/** The next row as it is seen, or null. */
function after(item) {
  const below = firstBelow(item)
  if (below !== null) return below
  for (let at = item; at !== null; at = parentOf(at)) if (at.nextElementSibling !== null) return at.nextElementSibling
  return null
}

function before(item) {
  return item.previousElementSibling === null ? parentOf(item) : lastIn(item.previousElementSibling)
}

function lastIn(item) {
  for (let at = item; ; ) {
    if (firstBelow(at) === null) return at
    at = at.lastElementChild.lastElementChild
  }
}

