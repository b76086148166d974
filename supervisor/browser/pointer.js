/**
 * JSON Pointer (RFC 6901). Pure.
 */

/**
 * Splits a pointer into its unescaped tokens: "/a~1b/0" → ["a/b", "0"]; "" → [] (the whole document).
 *
 * @param {string} pointer
 * @returns {string[]}
 */
export function split(pointer) {
  if (typeof pointer !== "string") throw new TypeError(`a JSON Pointer is a string, got ${typeof pointer}`)
  if (pointer === "") return []
  if (pointer[0] !== "/") {
    throw new SyntaxError(`a JSON Pointer is empty or begins with "/", got ${JSON.stringify(pointer)}`)
  }
  return pointer.slice(1).split("/").map(unescape)
}

/** The pointer whose tokens these are; the other way round than `split`. */
export function join(tokens) {
  return tokens.map((token) => "/" + String(token).replaceAll("~", "~0").replaceAll("/", "~1")).join("")
}

/** The value at the tokens, or undefined where nothing is. */
export function resolve(value, tokens) {
  for (const token of tokens) {
    if (Array.isArray(value)) {
      // Not value[token]: "length" and "01" are no indices (RFC 6901, 4).
      if (!isIndex(token)) return undefined
      value = value[Number(token)]
    } else if (typeof value === "object" && value !== null && Object.hasOwn(value, token)) {
      value = value[token]
    } else {
      return undefined
    }
  }
  return value
}

/**
 * The tokens as steps in this very tree: a number is the index in an array, which "-" at the end means the end of.
 * Undefined if something on the way is no container, so that nobody can say what a token means.
 *
 * @returns {(string | number)[] | undefined}
 */
export function stepsTo(root, tokens) {
  const steps = []
  let container = root
  for (const [depth, token] of tokens.entries()) {
    const isEnd = token === "-" && depth === tokens.length - 1
    if (typeof container !== "object" || container === null) return undefined
    if (Array.isArray(container) && !isEnd && !isIndex(token)) return undefined
    steps.push(Array.isArray(container) ? (isEnd ? container.length : Number(token)) : token)
    container = resolve(container, [token])
  }
  return steps
}

/** Is the token an array index as RFC 6901, 4 spells it: no sign, no leading zero? */
export function isIndex(token) {
  return /^(?:0|[1-9][0-9]*)$/.test(token)
}

function unescape(token) {
  // RFC 6901, 3: "~" is only ever followed by 0 or 1.
  if (/~(?![01])/.test(token)) throw new SyntaxError(`"~" stands alone in the JSON Pointer token ${token}`)
  // "~1" first: the other order would make "/" of "~01", which means "~1" (RFC 6901, 4).
  return token.replaceAll("~1", "/").replaceAll("~0", "~")
}
