/**
 * What clients may edit, as the server's patterns say it: JSON Pointers in which "*" stands for any one step. Pure.
 */

import { split } from "./pointer.js"

/**
 * Does a pattern allow this?
 *
 * @param {readonly string[]} patterns
 * @param {readonly string[]} tokens the place, as a pointer's tokens
 * @param {"edit" | "insert" | "remove"} action
 */
export function allows(patterns, tokens, action) {
  return patterns.some((pattern) => {
    const steps = split(pattern)
    if (steps.length > tokens.length || !steps.every((step, depth) => step === "*" || step === tokens[depth])) return false
    // What stands at a place that is named alone is not to be taken away: an app relies on it.
    return action === "edit" || steps.length < tokens.length || steps.at(-1) === "*"
  })
}
