"""Appends a number each 100 ms, so that a page can say which ones it saw; and ends when it is told to."""

import attrs

from supervisor import receives

KEPT = 500


@attrs.frozen
class End:
    reason: str


def modify_document(doc):
    doc.data = {"numbers": [0]}
    doc.add_periodic_callback(count, doc, seconds=0.1)


def count(doc):
    numbers = doc.data["numbers"]
    numbers.append(numbers[-1] + 1)
    if len(numbers) > KEPT:
        del numbers[0]


@receives(End, from_client=True)
def on_end(doc, end):
    doc.session_context.destroy(reason=end.reason)
