/**
 * Finds a text in the keys and plain values of a tree. Pure.
 *
 * What is found is a filter: a Map that has, for each key that leads to something, the filter of what is below it, or null
 * where what is below is not to be filtered (it was found by its own key).
 */

/** So many places are found at most: who looks through more than that types one letter more. */
export const MOST_FOUND = 1000

/**
 * @param {unknown} tree
 * @param {string} text case doesn't matter
 * @returns {{filter: Map<string, Map | null>, count: number, isCut: boolean}} isCut: there would be more than `count`
 */
export function find(tree, text) {
  const wanted = text.toLowerCase()
  let count = 0
  const within = (value) => {
    const filter = new Map()
    for (const key of Object.keys(value)) {
      if (count >= MOST_FOUND) break
      const part = value[key]
      const isContainer = typeof part === "object" && part !== null
      const isFound = key.toLowerCase().includes(wanted) || (!isContainer && String(part).toLowerCase().includes(wanted))
      if (isFound) count++
      const below = isContainer ? within(part) : null
      if (below?.size > 0) filter.set(key, below)
      else if (isFound) filter.set(key, null)
    }
    return filter
  }
  const filter = within(tree)
  return { filter, count, isCut: count >= MOST_FOUND }
}
