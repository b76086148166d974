"""Begins again when it breaks, after a pause that a person notices."""

import attrs

from supervisor import Backoff, FailurePolicy, receives

failure_policy = FailurePolicy(directive="restart", backoff=Backoff(first=6, jitter=0))


@attrs.frozen
class Fail:
    pass


def modify_document(doc):
    doc.data = {"lives": doc.session_context.restarts}


@receives(Fail, from_client=True)
def on_fail(doc, message):
    raise RuntimeError("it is tired")
