/** Plays the vectors that all clients of the wire share; tests/vectors/README.md says what each step means. */

import assert from "node:assert/strict"
import { readFileSync, readdirSync } from "node:fs"
import { test } from "node:test"

import { carried, carriedOperation } from "../../supervisor/browser/carrying.js"
import { ClientConnection } from "../../supervisor/browser/connection.js"
import { SendError } from "../../supervisor/browser/errors.js"
import { ProtocolError } from "../../supervisor/browser/messages.js"
import { join, split } from "../../supervisor/browser/pointer.js"

const folder = new URL("../vectors/", import.meta.url)
// The least and the greatest jitter: every vector must hold for both.
const randoms = [0, 0.999999]

for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")).sort()) {
  for (const vector of JSON.parse(readFileSync(new URL(file, folder), "utf8"))) {
    const run = file === "carried.json" ? carry : () => randoms.forEach((random) => play(vector, random))
    test(`${file}: ${vector.name}`, () => run(vector))
  }
}

function carry({ edit, operation, expect_edit, expect_operation }) {
  const path = split(operation.path)
  const before = JSON.stringify(edit)
  assert.deepEqual(carried(edit, { ...operation, path })?.path ?? null, expect_edit)
  const after = carriedOperation({ ...operation, path }, edit)
  assert.deepEqual(after && { ...after, path: join(after.path) }, expect_operation === null ? null : { ...operation, path: expect_operation })
  assert.equal(JSON.stringify(edit), before, "nothing is changed in its place")
}

function play(vector, random) {
  const page = { session: "s-1", token: "t-1", wasReload: vector.was_reload ?? false, maxMessageSize: vector.max_message_size }
  const connection = new ClientConnection(page)
  const frames = []
  const names = new Map()
  const settled = {}

  const settle = (events) => {
    for (const event of events) {
      if (event.type === "answered") settled[names.get(event.ticket)] = { value: event.value }
      if (event.type === "refused") settled[names.get(event.ticket)] = { error: event.error }
    }
  }
  const send = (take, as) => {
    try {
      names.set(take(), as)
    } catch (error) {
      assert(error instanceof SendError, String(error))
      settled[as] = { error }
    }
  }

  for (const [index, step] of vector.steps.entries()) {
    const where = `step ${index + 1}: ${JSON.stringify(step)}`
    if (step.do === "open") {
      frames.push(connection.opened())
    } else if (step.do === "receive") {
      const frame = step.text ?? JSON.stringify(step.frame)
      if (step.expect === "protocol error") assert.throws(() => connection.receive(frame), ProtocolError, where)
      else settle(connection.receive(frame))
    } else if (step.do === "send") {
      const take = () => connection.send(step.name, step.fields)
      if (step.times === undefined) send(take, step.as)
      else for (let time = 1; time <= step.times; time++) send(take, `${step.as}${time}`)
    } else if (step.do === "edit") {
      send(() => connection.edit(step.op, step.path, step.value), step.as)
    } else if (step.do === "watch") {
      connection.presence.watch(step.scope)
    } else if (step.do === "present") {
      connection.presence.set(step.metadata)
    } else if (step.do === "lost") {
      const { decision, events } = connection.closed(step.code, step.reason ?? "", { random })
      settle(events)
      assert.equal(decision.type, step.expect ?? "reconnect", where)
      if (step.after) {
        const [least, most] = step.after
        assert(decision.after >= least && decision.after <= most, `${where}: it comes back after ${decision.after} s`)
      }
    } else {
      assert.fail(`a step of unknown kind; ${where}`)
    }
    frames.push(...connection.outgoing())
  }

  const expectations = {
    expect_frames: (expected) => assert.deepEqual(frames.map((frame) => JSON.parse(frame)), expected),
    expect_settled: (expected) => {
      assert.deepEqual(Object.keys(settled).sort(), Object.keys(expected).sort())
      for (const [name, outcome] of Object.entries(expected)) {
        if ("value" in outcome) assert.deepEqual(settled[name].value, outcome.value, name)
        for (const [key, value] of Object.entries(outcome.error ?? {})) assert.equal(settled[name].error?.[key], value, name)
      }
    },
    // By way of JSON, because deepEqual asks for equal prototypes, and an own "__proto__" confuses that question.
    expect_data: (expected) => assert.deepEqual(JSON.parse(JSON.stringify(connection.data ?? null)), expected),
    expect_epoch: (expected) => assert.equal(connection.epoch, expected),
    expect_session: (expected) => assert.equal(connection.session, expected),
    expect_peer: (expected) => assert.equal(connection.peer, expected),
    expect_presence: (expected) => {
      for (const [scope, peers] of Object.entries(expected)) assert.deepEqual(connection.presence.peers(scope), peers)
    },
    expect_revision: (expected) => assert.equal(connection.revision, expected),
    expect_status: (expected) => assert.equal(connection.status, expected),
  }
  for (const [key, expected] of Object.entries(vector)) {
    if (!key.startsWith("expect")) continue
    assert(key in expectations, `a vector expects what this runner doesn't know: ${key}`)
    expectations[key](expected)
  }
}
