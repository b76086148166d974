/**
 * The server's messages, checked while they are decoded. Pure.
 *
 * Shapes, one literal each:
 *
 *     {"type":"attached","session":"ID","client":"…","peer":"…","key":"…","epoch":"…","revision":17,"resumed":true,
 *      "received":5,"editable":["/notes"]}
 *     {"type":"snapshot","epoch":"…","revision":17,"data":{…}}
 *     {"type":"patch","from":16,"to":17,"operations":[{"op":"replace","path":"/a","value":1}]}
 *     {"type":"answer","number":4,"value":…}
 *     {"type":"error","number":4,"kind":"rejected"|"invalid"|"conflict"|"failed","text":"…","incident":"ab12cd34"|null}
 *     {"type":"edited","number":5,"revision":18}
 *     {"type":"editable","patterns":["/notes"]}
 *     {"type":"presence","scope":"session"|"application","complete":false,"present":[{"id":"…","name":"Ada"|null,
 *      "metadata":{}}],"left":["…"]}
 *     {"type":"restarting","after":1.7}
 *     {"type":"alive"}
 *     {"type":"closing","code":1012,"reason":"restarting","retry_after":1.7}
 */

/** The server broke the rules of the wire; `code` is what the connection is then closed with. */
export class ProtocolError extends Error {
  name = "ProtocolError"
  code = 4400
}

const text = (value) => typeof value === "string"
const count = (value) => Number.isSafeInteger(value) && value >= 0
const seconds = (value) => typeof value === "number" && value >= 0
const anything = () => true
const truth = (value) => typeof value === "boolean"
const listOf = (fits) => (value) => Array.isArray(value) && value.every(fits)
const oneOf = (...values) => (value) => values.includes(value)

const FIELDS = {
  attached: {
    session: text,
    client: text,
    peer: text,
    key: text,
    epoch: text,
    revision: count,
    resumed: truth,
    received: count,
    editable: listOf(text),
  },
  snapshot: { epoch: text, revision: count, data: isObject },
  patch: { from: count, to: count, operations: listOf(isOperation) },
  answer: { number: count, value: anything },
  error: {
    number: count,
    kind: oneOf("rejected", "invalid", "conflict", "failed"),
    text,
    incident: (value) => value === null || text(value),
  },
  edited: { number: count, revision: count },
  editable: { patterns: listOf(text) },
  presence: {
    scope: oneOf("session", "application"),
    complete: truth,
    present: listOf(isPeer),
    left: listOf(text),
  },
  restarting: { after: seconds },
  alive: {},
  closing: {
    code: count,
    reason: text,
    retry_after: (value) => value === null || seconds(value),
  },
}

/**
 * The message that a frame carries; null if it is of a type that a later version has, and to be ignored. ProtocolError
 * if it carries none: binary, no JSON, no type, a field that is missing, unknown or of the wrong type.
 *
 * @param {unknown} frame what the websocket gave; a string if it was a text frame
 */
export function decode(frame) {
  if (typeof frame !== "string") throw new ProtocolError("a binary frame")
  let message
  try {
    message = JSON.parse(frame)
  } catch {
    throw new ProtocolError("a frame that is not JSON")
  }
  if (!isObject(message)) throw new ProtocolError("a frame that is no object")
  const { type } = message
  if (!text(type)) throw new ProtocolError("a message without a type")
  if (!Object.hasOwn(FIELDS, type)) return null
  const fields = FIELDS[type]
  for (const name of Object.keys(message)) {
    if (name !== "type" && !Object.hasOwn(fields, name)) throw new ProtocolError(`${type} has an unknown field: ${name}`)
  }
  for (const [name, fits] of Object.entries(fields)) {
    if (!Object.hasOwn(message, name)) throw new ProtocolError(`${type} has no field ${name}`)
    if (!fits(message[name])) throw new ProtocolError(`${type} has a wrong ${name}`)
  }
  return message
}

/**
 * The JSON of what an app gave; undefined if it has none. TypeError if the server could not read it: it would take a
 * surrogate without its other half, of which JavaScript's strings and JSON think nothing, for a broken frame.
 */
export function encode(value) {
  const encoded = JSON.stringify(value)
  // Only such surrogates are written as escapes; a backslash of the value's own is written as two.
  if (encoded !== undefined && /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/.test(encoded)) {
    throw new TypeError("a text with half a surrogate pair can't be sent; see toWellFormed()")
  }
  return encoded
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isOperation(value) {
  if (!isObject(value) || !text(value.path)) return false
  if (value.op === "remove") return Object.keys(value).length === 2
  return (value.op === "add" || value.op === "replace") && Object.hasOwn(value, "value") && Object.keys(value).length === 3
}

function isPeer(value) {
  if (!isObject(value) || Object.keys(value).length !== 3 || !text(value.id) || !isObject(value.metadata)) return false
  return value.name === null || text(value.name)
}
