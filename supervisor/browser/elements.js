/**
 * Elements of the generic page, and the texts in them.
 */

/** Longer texts are cut: a page with a megabyte in one line helps nobody. Characters. */
const LONGEST_TEXT = 2000

export function element(name, className = "") {
  const made = document.createElement(name)
  if (className) made.className = className
  return made
}

/**
 * Writes a text, with what is searched for marked in it. Touches nothing that is right already: a text that is written
 * anew loses what a visitor selected in it.
 */
export function write(place, text, query = "") {
  const at = query === "" ? -1 : text.toLowerCase().indexOf(query.toLowerCase())
  if (at >= 0) {
    const mark = element("mark")
    mark.textContent = text.slice(at, at + query.length)
    place.replaceChildren(text.slice(0, at), mark, text.slice(at + query.length))
  } else if (place.textContent !== text || place.childElementCount > 0) {
    place.textContent = text
  }
}

/** As JSON spells it, so that line breaks and the like are seen, but for quotes and backslashes. */
export function readable(text) {
  const part = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text
  return JSON.stringify(part).slice(1, -1).replaceAll('\\"', '"').replaceAll("\\\\", "\\")
}
