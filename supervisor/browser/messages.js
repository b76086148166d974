/**
 * The server's messages, checked while they are decoded. Pure.
 *
 * Shapes, one literal each:
 *
 *     {"type":"attached","session":"ID","client":"…","key":"…","epoch":"…","revision":17,"resumed":true,"received":5}
 *     {"type":"snapshot","epoch":"…","revision":17,"data":{…}}
 *     {"type":"patch","from":16,"to":17,"operations":[{"op":"replace","path":"/a","value":1}]}
 *     {"type":"answer","number":4,"value":…}
 *     {"type":"error","number":4,"kind":"rejected"|"invalid"|"failed","text":"…","incident":"ab12cd34"|null}
 *     {"type":"closing","code":1012,"reason":"restarting","retry_after":1.7}
 */

/** The server broke the rules of the wire; `code` is what the connection is then closed with. */
export class ProtocolError extends Error {
  name = "ProtocolError"
  code = 4400
}

const text = (value) => typeof value === "string"
const count = (value) => Number.isSafeInteger(value) && value >= 0
const anything = () => true

const FIELDS = {
  attached: {
    session: text,
    client: text,
    key: text,
    epoch: text,
    revision: count,
    resumed: (value) => typeof value === "boolean",
    received: count,
  },
  snapshot: { epoch: text, revision: count, data: isObject },
  patch: { from: count, to: count, operations: (value) => Array.isArray(value) && value.every(isOperation) },
  answer: { number: count, value: anything },
  error: {
    number: count,
    kind: (value) => value === "rejected" || value === "invalid" || value === "failed",
    text,
    incident: (value) => value === null || text(value),
  },
  closing: {
    code: count,
    reason: text,
    retry_after: (value) => value === null || (typeof value === "number" && value >= 0),
  },
}

/**
 * The message that a frame carries. ProtocolError if it carries none: binary, no JSON, an unknown type, a field that is
 * missing, unknown or of the wrong type.
 *
 * @param {unknown} frame what the websocket gave; a string if it was a text frame
 */
export function decode(frame) {
  if (typeof frame !== "string") throw new ProtocolError("a binary frame")
  let message
  try {
    message = JSON.parse(frame)
  } catch {
    throw new ProtocolError("a frame that is no JSON")
  }
  if (!isObject(message)) throw new ProtocolError("a frame that is no object")
  const { type } = message
  if (!text(type) || !Object.hasOwn(FIELDS, type)) throw new ProtocolError("a message of unknown type")
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

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isOperation(value) {
  if (!isObject(value) || !text(value.path)) return false
  if (value.op === "remove") return Object.keys(value).length === 2
  return (value.op === "add" || value.op === "replace") && Object.hasOwn(value, "value") && Object.keys(value).length === 3
}
