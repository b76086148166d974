/**
 * Makes the browser's client do what another client has done, step by step, and compares what comes of it.
 *
 * Called by test_same_client.py with a file that has one trace in each line: `[{do, outcome, …arguments}, …]`.
 */

import { readFileSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"

import { ClientConnection } from "../../supervisor/browser/connection.js"
import { SendError } from "../../supervisor/browser/errors.js"

const acts = {
  opened: (client) => JSON.parse(client.opened()),
  receive: (client, { frame }) => settled(client.receive(frame)),
  send: (client, { name, fields }) => ticket(() => client.send(name, fields)),
  edit: (client, { op, path, value }) => ticket(() => client.edit(op, path, value)),
  outgoing: (client) => client.outgoing().map((frame) => JSON.parse(frame)),
  closed: (client, { code, random }) => client.closed(code, "", { random }).decision.after,
}

function settled(events) {
  const outcomes = events
    .filter(({ type }) => type === "answered" || type === "arrived" || type === "refused")
    .map(({ type, ticket, error }) => [ticket, error?.kind ?? type])
  return outcomes.sort(([a, one], [b, other]) => a - b || (one < other ? -1 : 1))
}

/** Null where what was to be sent is refused at once. */
function ticket(take) {
  try {
    return take()
  } catch (error) {
    if (error instanceof SendError) return null
    throw error
  }
}

function done(client, step) {
  try {
    const given = acts[step.do](client, step)
    // Before there is a document, what is shown is each client's own choice.
    return { given, data: client.data ?? {}, revision: client.revision, status: client.status }
  } catch (error) {
    return { error: error.stack }
  }
}

for (const [trace, line] of readFileSync(process.argv[2], "utf8").trim().split("\n").entries()) {
  const client = new ClientConnection({ session: "s", token: "t" })
  for (const [index, { outcome, ...step }] of JSON.parse(line).entries()) {
    const own = done(client, step)
    if (isDeepStrictEqual(own, outcome)) continue
    console.log(`trace ${trace + 1}, step ${index + 1}: ${JSON.stringify(step)}`)
    for (const key of Object.keys(own).filter((key) => !isDeepStrictEqual(own[key], outcome[key]))) {
      console.log(`  ${key} of the browser's client: ${key === "error" ? own[key] : JSON.stringify(own[key])}`)
      console.log(`  ${key} of Python's client:    ${JSON.stringify(outcome[key])}`)
    }
    process.exit(1)
  }
}
