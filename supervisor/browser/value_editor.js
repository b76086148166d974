/**
 * A small form in the tree: one value, with a name before it where a new key is wanted.
 */

import { element } from "./elements.js"

let lastId = 0

/**
 * Makes the form; put it into the page, and then call its `focus()`.
 *
 * @param {{label: string, text?: string, isText: boolean, isLong?: boolean, asksKey?: boolean, save: Function,
 *   cancel: () => void}} wish isText: plain text and no JSON; isLong: of several lines; save(value, key) and cancel: called
 *   once together, and take the form away
 * @returns {{form: HTMLFormElement, focus: () => void}}
 */
export function valueEditor({ label, text = "", isText, isLong = false, asksKey = false, save, cancel }) {
  const form = element("form", isLong ? "editor long" : "editor")
  const field = element("textarea")
  const key = asksKey ? element("input") : null
  const [saving, cancelling] = [element("button", "save"), element("button")]
  const problem = element("span", "note")
  let isDone = false

  const end = (action) => {
    if (isDone) return
    isDone = true
    action()
  }
  const complain = (one, text) => {
    problem.textContent = text
    for (const each of [key, field]) each?.setAttribute("aria-invalid", String(each === one))
    one.focus()
  }
  const submit = () => {
    if (key?.value === "") {
      complain(key, "The new entry needs a name.")
      return
    }
    let value
    try {
      value = isText ? field.value : JSON.parse(field.value)
    } catch {
      complain(field, 'This is not JSON. A text needs quotation marks around it, as in "milk".')
      return
    }
    end(() => save(value, key?.value))
  }

  field.value = text
  field.setAttribute("aria-label", label)
  field.spellcheck = false
  field.autocapitalize = "off"
  problem.id = `problem-${++lastId}`
  problem.setAttribute("role", "alert")
  field.setAttribute("aria-describedby", problem.id)
  const fit = () => { field.rows = Math.min(Math.max(field.value.split("\n").length, isLong ? 3 : 1), 16) }
  fit()
  if (key !== null) {
    key.setAttribute("aria-label", "Name of the new entry")
    key.placeholder = "name"
    key.autocapitalize = "off"
    key.spellcheck = false
    form.append(key)
  }
  field.placeholder = isText ? "text" : "JSON"
  saving.textContent = "Save"
  saving.type = "submit"
  cancelling.textContent = "Cancel"
  cancelling.type = "button"
  form.append(field, saving, cancelling, problem)

  form.addEventListener("submit", (event) => {
    event.preventDefault()
    submit()
  })
  cancelling.addEventListener("click", () => end(cancel))
  field.addEventListener("input", fit)
  form.addEventListener("keydown", (event) => {
    // While an input method is at work, its keys are its own.
    if (event.isComposing) return
    const saves = event.key === "Enter" && event.target === field && (isLong ? event.ctrlKey || event.metaKey : !event.shiftKey)
    if (event.key === "Escape" || saves) {
      event.preventDefault()
      if (saves) submit()
      else end(cancel)
    }
  })
  return {
    form,
    focus() {
      ;(key ?? field).focus()
      if (!isLong) field.select()
    },
  }
}
