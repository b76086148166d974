"""A machine that begins again when it breaks."""

import attrs

from supervisor import Backoff, FailurePolicy, receives

failure_policy = FailurePolicy(directive="restart", backoff=Backoff(first=0.2, jitter=0))


@attrs.frozen
class Turn:
    by: int


def modify_document(doc):
    doc.data = {"angle": 0, "turns": []}


@receives(Turn, from_client=True)
def on_turn(doc, message):
    doc.data["angle"] += message.by
    doc.data["turns"].append(message.by)
    if message.by > 90:
        raise RuntimeError("the gear has broken")
