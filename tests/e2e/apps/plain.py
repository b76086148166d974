"""An app without a page of its own: the generic one shows its document."""

import attrs

from supervisor import receives


@attrs.frozen
class Rename:
    name: str


def modify_document(doc):
    doc.data = {
        "machine": {"name": "press 4", "running": True, "speed": 118.5, "alarm": None},
        "orders": [{"number": 71, "parts": 12}, {"number": 72, "parts": 3}],
        "ticks": 0,
        "log": [f"line {number}" for number in range(300)],
        "empty": {},
    }
    doc.add_periodic_callback(tick, doc, seconds=0.2)


def tick(doc):
    doc.data["ticks"] += 1


@receives(Rename, from_client=True)
def on_rename(doc, rename):
    doc.data["machine"]["name"] = rename.name
