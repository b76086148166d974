/**
 * What to do when a connection has ended: come back, load the page anew, or stay away. Pure.
 *
 * Rule: a code that says "no" is believed, and everything else is weather. Weather is waited out for ever, with growing
 * delays; a "no" is shown to the visitor once. Neither ever becomes a loop of popups or of page loads.
 */

/** The first delay is at most this, and each further one at most twice the one before. Seconds. */
export const FIRST_DELAY = 0.5
/** Delays stop growing here: a server that comes back finds its visitors back within this time. Seconds. */
export const LONGEST_DELAY = 30
/** A delay asked for by the server is believed up to this. Beyond 2^31 ms, timers of browsers fire at once. Seconds. */
const LONGEST_SERVER_DELAY = 3600

/** The close codes that mean something to a client; each other one is weather. */
export const CloseCode = Object.freeze({
  DONE: 1000,
  MESSAGE_TOO_BIG: 1009,
  RESTARTING: 1012,
  TOO_SLOW: 1013,
  PROTOCOL_ERROR: 4400,
  TOKEN_REFUSED: 4401,
  REFUSED: 4403,
  GONE: 4404,
  NO_FIRST_FRAME: 4408,
  DESTROYED: 4410,
  TOO_MANY: 4429,
})

const STAYS_AWAY = new Map([
  [CloseCode.DONE, "The session is over."],
  [CloseCode.MESSAGE_TOO_BIG, "A message was too big for the server."],
  [CloseCode.PROTOCOL_ERROR, "The server did not understand this page."],
  [CloseCode.REFUSED, "The application refuses this connection."],
  [CloseCode.DESTROYED, "The session was ended."],
])

const LOADS_ANEW = new Map([
  [CloseCode.TOKEN_REFUSED, "This page is too old to connect."],
  [CloseCode.GONE, "The session does not exist any more."],
])

/** The codes with which the server says when to come back. */
const HAVE_A_DELAY = [CloseCode.RESTARTING, CloseCode.TOO_SLOW, CloseCode.TOO_MANY]

const COMES_BACK = new Map([
  [CloseCode.RESTARTING, "The server is restarting."],
  [CloseCode.TOO_SLOW, "The connection was too slow."],
  [CloseCode.TOO_MANY, "There was too much at once."],
])

/**
 * @param {number} code the close code: the announced one, if the server announced its close
 * @param {string} reason in the server's words; may be empty
 * @param {{attempt: number, random: number, retryAfter?: number | null, before?: number | null}} circumstances
 *   attempt: how many times in a row it has failed before (0 after having been live); random: from [0, 1);
 *   retryAfter: seconds, as the server asked for with 1012, 1013 or 4429; before: the code that was told last, if it
 *   hasn't been live since. What the server said explains more than that it can't be reached since then.
 * @returns {{type: "reconnect", after: number, code: number, reason: string}
 *   | {type: "reload" | "ended", code: number, reason: string}} after: seconds; reason: fit to be shown
 */
export function afterClose(code, reason, { attempt, random, retryAfter = null, before = null }) {
  if (STAYS_AWAY.has(code)) return { type: "ended", code, reason: reason || STAYS_AWAY.get(code) }
  if (LOADS_ANEW.has(code)) return { type: "reload", code, reason: LOADS_ANEW.get(code) }
  const asked = HAVE_A_DELAY.includes(code) ? retryAfter : null
  // The server has spread its visitors already, so its delay gets no further jitter.
  const after = asked === null ? delay(attempt, random) : Math.min(Math.max(asked, 0), LONGEST_SERVER_DELAY)
  const told = COMES_BACK.has(before) && !COMES_BACK.has(code) ? before : code
  return { type: "reconnect", after, code: told, reason: COMES_BACK.get(told) ?? "The connection was lost." }
}

/**
 * Seconds to wait before the next attempt: between half and the whole of 0.5, 1, 2, 4, … 30.
 *
 * The jitter is what keeps the visitors of a server that went down from coming back in the same moment.
 */
export function delay(attempt, random) {
  const whole = Math.min(FIRST_DELAY * 2 ** Math.min(attempt, 16), LONGEST_DELAY)
  return whole * (0.5 + 0.5 * random)
}
