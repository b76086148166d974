"""Handlers that fail, each under a failure policy of its own."""

import attrs
import ledger
import small

from supervisor import Backoff, FailurePolicy, receives

failure_policy = FailurePolicy(max_restarts=3, within=60.0, backoff=Backoff(first=0.01, longest=0.05))
small.count_hooks(globals())
add = receives(small.Add, from_client=True)(small.on_add)


def modify_document(doc):
    small.build(doc)
    doc.add_periodic_callback(beat, doc, seconds=0.05)


def beat(doc):
    doc.data["tick"] += 1


def on_session_failed(session_context, error):
    ledger.note(session_context.id, "failed")


def fail(doc, message):
    doc.data["log"].append(message.label)
    raise ValueError("a handler was to raise")


@attrs.frozen
class FailAndResume:
    label: str


@attrs.frozen
class FailAndRestart:
    label: str


@attrs.frozen
class FailAndStop:
    label: str


receives(FailAndResume, from_client=True, on_failure="resume")(fail)
receives(FailAndRestart, from_client=True, on_failure="restart")(fail)
receives(FailAndStop, from_client=True, on_failure="stop")(fail)
