/**
 * What a visitor may do with a row of the tree: edit its value in place, add to it, remove it, copy its path.
 */

import { join } from "./pointer.js"
import { isContainer } from "./tree.js"
import { valueEditor } from "./value_editor.js"

/** A container with more values than this is not edited as a whole. */
const MOST_VALUES = 1000

export class TreeEditing {
  #session
  #say

  /** @param {object} session @param {(text: string, undo?: () => Promise<void>) => void} say tells the visitor */
  constructor(session, say) {
    this.#session = session
    this.#say = say
  }

  /** What can be done with this row now. */
  possible(node) {
    const { path } = node
    const may = (action, place = path) => this.#session.mayEdit(place, action)
    const isArray = Array.isArray(node.value)
    return {
      edit: may("edit") && isSmall(node.value, { left: MOST_VALUES }),
      // Nobody knows yet which key will be typed; "-" stands for one that nothing is said of.
      add: isContainer(node.value) && may(isArray ? "insert" : "edit", `${path}/-`),
      insert: Array.isArray(this.#around(node)) ? may("insert") : may("edit", `${path.slice(0, path.lastIndexOf("/"))}/-`),
      remove: may("remove"),
    }
  }

  edit(node) {
    if (!this.possible(node).edit || this.#hasEditor(node)) return
    const { value, place, path } = node
    const isText = typeof value === "string"
    const isLong = isContainer(value)
    const text = isText ? value : JSON.stringify(value, null, isLong ? 2 : 0)
    const editor = this.#open(node, {
      label: `Value of ${path}`,
      text,
      isText,
      isLong,
      save: (changed) => {
        if (JSON.stringify(changed) !== JSON.stringify(value)) this.#do(node, this.#session.edit(node.path, changed))
      },
      closed: () => { place.hidden = false },
    })
    place.hidden = true
    if (isLong) node.row.after(editor.form)
    else place.after(editor.form)
    editor.focus()
  }

  /** A new entry of an object, or a new item at an array's end. */
  add(node) {
    if (!this.possible(node).add) return
    if (Array.isArray(node.value)) {
      this.#draft(node, {
        label: "New item",
        isText: isAllText(node.value),
        save: (value) => this.#do(node, this.#session.insert(`${node.path}/-`, value)),
      })
    } else {
      this.#entry(node, node.value, () => node.path)
    }
    node.isOpen = true
  }

  /** A new item before this one, or a new entry beside it. */
  insert(node) {
    if (!this.possible(node).insert) return
    const around = this.#around(node)
    if (Array.isArray(around)) {
      this.#draft(node, {
        label: `New item before ${node.key}`,
        isText: isAllText(around),
        save: (value) => this.#do(node.parent ?? node, this.#session.insert(node.path, value)),
      })
    } else {
      this.#entry(node, around, () => node.parent?.path ?? "")
    }
  }

  remove(node) {
    if (!this.possible(node).remove) return
    const { path, value } = node
    const isInArray = Array.isArray(this.#around(node))
    this.#do(node, this.#session.remove(path))
    this.#say(`Removed ${path}`, () => (isInArray ? this.#session.insert(path, value) : this.#session.edit(path, value)))
  }

  async copy(node) {
    const { path } = node
    try {
      await navigator.clipboard.writeText(path)
      this.#say(`Copied ${path}`)
    } catch {
      // Without https, or without the visitor's leave; the path can be selected by hand.
      this.#say("The browser doesn't let this page copy. Select the path and copy it yourself.")
    }
  }

  /** Asks for a new entry of an object, in a row's place. */
  #entry(node, object, pathOf) {
    this.#draft(node, {
      label: "Value of the new entry",
      isText: isAllText(object),
      asksKey: true,
      save: (value, key) => {
        if (Object.hasOwn(object, key)) node.note(`There is "${key}" already.`)
        else this.#do(node, this.#session.edit(pathOf() + join([key]), value))
      },
    })
  }

  /** The container that has this row's value. */
  #around(node) {
    return node.parent === null ? this.#session.data : node.parent.value
  }

  #draft(node, wish) {
    if (this.#hasEditor(node)) return
    const editor = this.#open(node, { ...wish, closed: () => {} })
    editor.form.classList.add("draft")
    node.row.after(editor.form)
    editor.focus()
  }

  #open(node, { save, closed, ...wish }) {
    node.note("")
    const close = () => {
      const hadFocus = editor.form.contains(document.activeElement)
      editor.form.remove()
      closed()
      if (hadFocus) node.item.focus()
    }
    const editor = valueEditor({
      ...wish,
      save: (...given) => {
        close()
        save(...given)
      },
      cancel: close,
    })
    return editor
  }

  #hasEditor(node) {
    const own = [...node.item.children].find((child) => child.matches(".editor")) ?? node.row.querySelector(".editor")
    own?.querySelector("textarea").focus()
    return own !== undefined && own !== null
  }

  #do(node, editing) {
    editing.then(
      () => node.note(""),
      ({ kind, message }) => {
        const text = kind === "conflict" ? "Not changed: it was changed by somebody else meanwhile." : `Not changed: ${message}`
        if (node.item.isConnected) node.note(text)
        else this.#say(text)
      },
    )
  }
}

/** Are there items, and is each of them a text? */
function isAllText(container) {
  const values = Object.values(container)
  return values.length > 0 && values.every((value) => typeof value === "string")
}

/** Are there no more values in it than are left? Looks at no more of them either. */
function isSmall(value, budget) {
  if (--budget.left < 0) return false
  return !isContainer(value) || Object.values(value).every((part) => isSmall(part, budget))
}
