/**
 * A document as a foldable tree of <details>, redrawn where it changed and nowhere else.
 *
 * Rule: a part that is identical to what was drawn is not looked into. The mirror keeps what is equal identical, so a
 * change costs as much as the path to it and its siblings, and what is closed costs nothing: its parts are not made
 * before it is opened. Elements stay as long as their key does, and so what a visitor opened stays open.
 */

/** So many parts of one container are drawn at first, and so many more at each wish. */
const PAGE = 200
/** A new container is open if it is at most this deep and this large. */
const OPEN_DEPTH = 3
const OPEN_SIZE = 50
/** Longer texts are cut: a page with a megabyte in one line helps nobody. Characters. */
const LONGEST_TEXT = 2000
/** "Open all" stops here; more rows than that are no overview. */
const OPEN_ALL_LIMIT = 2000

export class TreeView {
  #host
  #root = null

  /** @param {HTMLElement} host an empty element */
  constructor(host) {
    this.#host = host
    host.addEventListener("keydown", (event) => this.#onKey(event))
  }

  /** Draws the document; a part that changed since the last time flashes. */
  show(value) {
    if (this.#root === null) {
      this.#root = new Branch(null, 0)
      this.#host.append(this.#root.list)
      this.#root.isOpen = true
    }
    this.#root.show(value)
  }

  openAll() {
    // Breadth first, so that a document which is too large for it is open evenly.
    const queue = [this.#root]
    for (let count = 0; queue.length > 0 && count < OPEN_ALL_LIMIT; ) {
      const branch = queue.shift()
      branch?.open()
      for (const node of branch?.nodes.values() ?? []) {
        count++
        if (node.branch) queue.push(node.branch)
      }
    }
  }

  closeAll() {
    for (const details of this.#host.querySelectorAll("details")) details.open = false
  }

  /** Arrow keys as in a tree: up and down between what can be opened, right opens, left closes or goes one up. */
  #onKey(event) {
    const summary = event.target.closest?.("summary")
    if (!summary || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return
    const details = summary.parentElement
    // checkVisibility: what is inside a closed <details> is no stop.
    const stops = () => [...this.#host.querySelectorAll("summary")].filter((stop) => stop.checkVisibility())
    const moves = {
      ArrowDown: () => { const all = stops(); return all[all.indexOf(summary) + 1] },
      ArrowUp: () => { const all = stops(); return all[all.indexOf(summary) - 1] },
      ArrowRight: () => { details.open = true },
      ArrowLeft: () => {
        if (!details.open) return details.parentElement.closest("details")?.firstElementChild
        details.open = false
      },
    }
    if (!Object.hasOwn(moves, event.key)) return
    event.preventDefault()
    moves[event.key]()?.focus()
  }
}

/** The parts of one container. */
class Branch {
  list = element("ul")
  /** By key. @type {Map<string, Node>} */
  nodes = new Map()
  isOpen = false
  #details
  #depth
  #value
  #drawn = undefined
  #limit = PAGE
  #more = null

  /** @param {HTMLDetailsElement | null} details null: the document itself, which is always open */
  constructor(details, depth) {
    this.#details = details
    this.#depth = depth
    details?.addEventListener("toggle", () => {
      this.isOpen = details.open
      this.#draw(false)
    })
  }

  open() {
    if (this.#details !== null) this.#details.open = true
    this.isOpen = true
    this.#draw(false)
  }

  show(value) {
    this.#value = value
    this.#draw(this.#drawn !== undefined)
  }

  #draw(flashes) {
    if (!this.isOpen || this.#value === this.#drawn) return
    this.#drawn = this.#value
    const keys = Object.keys(this.#value)
    const shown = new Set(keys.slice(0, this.#limit))
    for (const [key, node] of this.nodes) {
      if (shown.has(key)) continue
      node.item.remove()
      this.nodes.delete(key)
    }
    let before = null
    for (const key of shown) {
      let node = this.nodes.get(key)
      if (node === undefined) {
        node = new Node(key, this.#depth)
        this.nodes.set(key, node)
      }
      node.show(this.#value[key], flashes)
      // Moved only when it isn't in its place: moving an element ends its animations and takes the focus from it.
      const place = before === null ? this.list.firstElementChild : before.nextElementSibling
      if (place !== node.item) this.list.insertBefore(node.item, place)
      before = node.item
    }
    this.#offerMore(keys.length)
    this.list.classList.toggle("empty", keys.length === 0)
    this.list.classList.toggle("array", Array.isArray(this.#value))
  }

  #offerMore(total) {
    if (total <= this.#limit) {
      this.#more?.remove()
      this.#more = null
      return
    }
    if (this.#more === null) {
      this.#more = element("li", "more")
      const button = element("button")
      button.type = "button"
      button.addEventListener("click", () => {
        this.#limit += PAGE
        this.#drawn = undefined
        this.#draw(false)
      })
      this.#more.append(button)
    }
    this.#more.firstChild.textContent = `Show more (${(total - this.#limit).toLocaleString()} left)`
    this.list.append(this.#more)
  }
}

/** One part: a key with a plain value, or with a branch of its own. */
class Node {
  item = element("li")
  /** @type {Branch | null} */
  branch = null
  #depth
  #key = element("span", "key")
  #text = element("span", "value")
  #details = null
  #value = undefined
  #flash = false

  constructor(key, depth) {
    this.#key.textContent = key
    this.#depth = depth
  }

  show(value, flashes) {
    if (Object.is(value, this.#value) && this.item.firstChild !== null) return
    if (isContainer(value)) this.#showContainer(value)
    else this.#showPlain(value)
    this.#value = value
    if (flashes) this.#flashOnce(this.branch === null ? this.#text : this.#details.firstElementChild)
  }

  #showPlain(value) {
    if (this.branch !== null || this.item.firstChild === null) {
      this.branch = null
      this.#details = null
      this.item.replaceChildren(this.#key, " ", this.#text)
    }
    this.#text.textContent = typeof value === "string" ? readable(value) : String(value)
    this.item.className = "leaf"
    this.#text.className = `value ${value === null ? "null" : typeof value}`
    this.#flash = false
  }

  #showContainer(value) {
    const size = Object.keys(value).length
    if (this.branch === null) {
      this.#details = element("details")
      const summary = element("summary")
      this.#text.className = "size"
      summary.append(this.#key, " ", this.#text)
      this.branch = new Branch(this.#details, this.#depth + 1)
      this.#details.append(summary, this.branch.list)
      this.item.className = ""
      this.item.replaceChildren(this.#details)
      if (this.#depth < OPEN_DEPTH && size > 0 && size <= OPEN_SIZE) {
        this.#details.open = true
        this.branch.isOpen = true
      }
    }
    const noun = Array.isArray(value) ? ["item", "items"] : ["entry", "entries"]
    this.#text.textContent = `${size.toLocaleString()} ${noun[size === 1 ? 0 : 1]}`
    this.branch.show(value)
  }

  #flashOnce(target) {
    // An open branch says nothing itself: its changed part does.
    if (this.branch !== null && this.branch.isOpen) return
    // Two classes with equal animations, in turn: setting the same one again would not start it again.
    this.#flash = !target.classList.contains("flash-a")
    target.classList.toggle("flash-a", this.#flash)
    target.classList.toggle("flash-b", !this.#flash)
  }
}

function readable(text) {
  const part = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text
  // As JSON spells it, so that line breaks and the like are seen.
  return JSON.stringify(part).slice(1, -1).replaceAll('\\"', '"')
}

function isContainer(value) {
  return typeof value === "object" && value !== null
}

function element(name, className = "") {
  const made = document.createElement(name)
  if (className) made.className = className
  return made
}
