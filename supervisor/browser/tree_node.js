/**
 * One row of the tree view, and the rows below it: made when they are unfolded, and redrawn only where they changed.
 *
 * Rule: a part that is identical to what was drawn is not looked into. The mirror keeps what is equal identical, so a
 * change costs as much as the path to it and its siblings, and what is folded costs nothing. Rows stay as long as what
 * they show: when items are put into an array or taken out of it, those behind go on in their rows, so that what a
 * visitor unfolded, looks at or just edits stays what it was.
 */

import { element, readable, write } from "./elements.js"
import { join } from "./pointer.js"
import { isContainer } from "./tree.js"

/** So many parts of one container are drawn at first, and so many more at each wish. */
const PAGE = 200
/** A new container is open if it is at most this deep and this large, and if there is room for those beside it too. */
const OPEN_DEPTH = 3
const OPEN_SIZE = 50
/** So many rows are there unasked, or as many as one container draws at first: more would keep the browser for seconds. */
const OPEN_ROWS = 1000

let lastId = 0
/** The row that an element is of. @type {WeakMap<Element, TreeNode>} */
export const nodeOf = new WeakMap()

export class TreeNode {
  item = element("li")
  row = element("div", "row")
  /** What is below it, if it is a container. @type {Branch | null} */
  branch = null
  value = undefined
  #view
  #room
  #key = element("span", "key")
  #text = element("span", "value")
  #note = null
  #isOpen = false
  // It was empty so far: whether it is unfolded is decided when something comes, unless the visitor does.
  #isUndecided = true
  // While a search filters what is below: is that unfolded?
  #isOpenForSearch = true
  #filter = null

  /**
   * @param {{query: string, isEditable: (node: TreeNode) => boolean, leaving: (item: Element) => void}} view
   * @param {number} room how many rows may be below it unasked
   */
  constructor(view, parent, key, room) {
    this.#view = view
    this.#room = room
    this.parent = parent
    this.depth = parent === null ? 0 : parent.depth + 1
    this.row.id = `row-${++lastId}`
    this.item.setAttribute("role", "treeitem")
    this.item.setAttribute("aria-labelledby", this.row.id)
    this.item.tabIndex = -1
    this.row.append(this.#key, " ", this.#text)
    this.item.append(this.row)
    nodeOf.set(this.item, this)
    this.key = key
  }

  /** The steps from the root, as texts. */
  get tokens() {
    return [...(this.parent?.tokens ?? []), this.key]
  }

  get path() {
    return join(this.tokens)
  }

  get isOpen() {
    return this.#filter === null ? this.#isOpen : this.#isOpenForSearch
  }

  set isOpen(isOpen) {
    if (this.branch === null || isOpen === this.isOpen) return
    this.#isUndecided = false
    if (this.#filter === null) this.#isOpen = isOpen
    else this.#isOpenForSearch = isOpen
    this.#unfold(false)
  }

  /** Where its value is shown. */
  get place() {
    return this.#text
  }

  show(value, { filter = null, flashes = false } = {}) {
    const isNew = this.item.isConnected === false
    const isOther = isNew || !Object.is(value, this.value)
    if ((this.#filter === null) !== (filter === null)) this.#isOpenForSearch = true
    this.#filter = filter
    this.value = value
    if (isContainer(value)) this.#showContainer(flashes && isOther)
    else this.#showPlain()
    this.mark()
    if (isOther && flashes) this.#flash()
  }

  /** Says beside the value why an edit was not done; an empty text takes that away. */
  note(text) {
    this.#note?.remove()
    this.#note = null
    if (text === "") return
    this.#note = element("span", "note")
    this.#note.setAttribute("role", "alert")
    this.#note.textContent = text
    this.row.append(" ", this.#note)
  }

  /** Shows whether it can be edited here; also for all that is drawn below. */
  mark({ below = false } = {}) {
    this.item.classList.toggle("editable", this.branch === null && this.#view.isEditable(this))
    if (below) for (const node of this.branch?.nodes.values() ?? []) node.mark({ below })
  }

  #showPlain() {
    this.#fold()
    const { value } = this
    write(this.#key, this.key, this.#view.query)
    write(this.#text, typeof value === "string" ? readable(value) : String(value), this.#view.query)
    this.#text.className = `value ${value === null ? "null" : typeof value}`
  }

  #showContainer(flashes) {
    const size = sizeOf(this.value)
    if (this.branch === null) {
      this.branch = new Branch(this.#view, this, this.#room)
      this.branch.list.setAttribute("role", "group")
      this.item.append(this.branch.list)
      this.#isUndecided = true
    }
    if (this.#isUndecided) {
      this.#isOpen = this.depth < OPEN_DEPTH && size > 0 && size <= Math.min(OPEN_SIZE, this.#room)
      this.#isUndecided = size === 0
    }
    const noun = Array.isArray(this.value) ? ["item", "items"] : ["entry", "entries"]
    write(this.#key, this.key, this.#view.query)
    write(this.#text, `${size.toLocaleString()} ${noun[size === 1 ? 0 : 1]}`)
    this.#text.className = "size"
    this.#unfold(flashes)
  }

  /** It is no container any more. */
  #fold() {
    this.branch?.list.remove()
    this.branch = null
    this.item.removeAttribute("aria-expanded")
  }

  #unfold(flashes) {
    const { isOpen } = this
    this.item.setAttribute("aria-expanded", isOpen)
    if (!isOpen) this.#view.leaving(this.branch.list)
    this.branch.list.hidden = !isOpen
    if (isOpen) this.branch.show(this.value, { filter: this.#filter, flashes })
  }

  #flash() {
    // An unfolded container says nothing itself: its changed part does.
    if (this.branch !== null && this.isOpen) return
    // Two classes with equal animations, in turn: setting the same one again would not start it again.
    const isFirst = !this.#text.classList.contains("flash-a")
    this.#text.classList.toggle("flash-a", isFirst)
    this.#text.classList.toggle("flash-b", !isFirst)
  }
}

/** The parts of one container, or of the document itself. */
export class Branch {
  list = element("ul")
  /** By key, those that are drawn. @type {Map<string, TreeNode>} */
  nodes = new Map()
  #view
  #owner
  #room
  #drawn = undefined
  #filter = undefined
  #limit = PAGE
  #more = null

  /** @param {TreeNode | null} owner null: of the document itself */
  constructor(view, owner, room = OPEN_ROWS) {
    this.#view = view
    this.#owner = owner
    this.#room = room
  }

  show(value, { filter = null, flashes = false } = {}) {
    if (value === this.#drawn && filter === this.#filter) return
    this.#rename(value)
    const isFirst = this.#drawn === undefined || filter !== this.#filter
    this.#drawn = value
    this.#filter = filter
    this.#draw(flashes && !isFirst)
  }

  /** Draws the next ones. */
  showMore() {
    this.#limit += PAGE
    this.#draw(false)
  }

  #draw(flashes) {
    const value = this.#drawn
    const total = this.#filter === null ? sizeOf(value) : this.#filter.size
    const shown = new Set(this.#filter === null ? firstKeys(value, this.#limit) : [...this.#filter.keys()].slice(0, this.#limit))
    for (const [key, node] of this.nodes) {
      if (shown.has(key)) continue
      this.#view.leaving(node.item)
      node.item.remove()
      this.nodes.delete(key)
    }
    // What is left is shared out evenly: then all rows of a kind are open, or none.
    const roomOfEach = (this.#room - shown.size) / shown.size
    let before = null
    for (const key of shown) {
      let node = this.nodes.get(key)
      if (node === undefined) {
        node = new TreeNode(this.#view, this.#owner, key, roomOfEach)
        this.nodes.set(key, node)
      }
      node.show(value[key], { filter: this.#filter?.get(key) ?? null, flashes })
      // Moved only when it isn't in its place: moving an element ends its animations and takes the focus from it.
      const place = before === null ? this.list.firstElementChild : before.nextElementSibling
      if (place !== node.item) this.list.insertBefore(node.item, place)
      before = node.item
    }
    this.#offerMore(total)
    this.list.classList.toggle("empty", total === 0)
    this.list.classList.toggle("array", Array.isArray(value))
  }

  /** Gives the rows of an array's items their new indices, if items came or went between others. */
  #rename(after) {
    const before = this.#drawn
    if (!Array.isArray(before) || !Array.isArray(after) || before.length === after.length) return
    const shorter = Math.min(before.length, after.length)
    let same = 0
    while (same < shorter && Object.is(before[same], after[same])) same++
    let behind = 0
    while (behind < shorter - same && Object.is(before.at(-1 - behind), after.at(-1 - behind))) behind++
    const nodes = new Map()
    for (const [key, node] of this.nodes) {
      const index = Number(key)
      if (index >= before.length - behind) node.key = String(index + after.length - before.length)
      else if (index >= after.length - behind) {
        this.#view.leaving(node.item)
        node.item.remove()
        continue
      }
      nodes.set(node.key, node)
    }
    this.nodes = nodes
  }

  #offerMore(total) {
    const left = total - this.#limit
    if (left <= 0) {
      if (this.#more !== null) this.#view.leaving(this.#more)
      this.#more?.remove()
      this.#more = null
      return
    }
    if (this.#more === null) {
      this.#more = element("li", "more")
      this.#more.setAttribute("role", "treeitem")
      this.#more.tabIndex = -1
      moreOf.set(this.#more, this)
    }
    this.#more.textContent = `Show more (${left.toLocaleString()} left)`
    if (this.list.lastElementChild !== this.#more) this.list.append(this.#more)
  }
}

/** The branch whose further parts an element offers. @type {WeakMap<Element, Branch>} */
export const moreOf = new WeakMap()

function sizeOf(container) {
  return Array.isArray(container) ? container.length : Object.keys(container).length
}

function firstKeys(container, count) {
  if (!Array.isArray(container)) return Object.keys(container).slice(0, count)
  return Array.from({ length: Math.min(count, container.length) }, (_, index) => String(index))
}
