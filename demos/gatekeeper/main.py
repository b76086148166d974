"""A room that a link opens: who has the link can knock, and everybody in the room hears it.

    {"room": "tea-at-five", "node": "n1", "knocks": 3}

The room's name is the part of the session's id that was signed; the node is the server that has the session.
"""

from __future__ import annotations

import attrs

from supervisor import Document, receives

from .links import read_name
from .settings import NODE


@attrs.frozen
class Knock:
    pass


def modify_document(doc: Document) -> None:
    doc.data = {"room": read_name(doc.session_context.id), "node": NODE, "knocks": 0}


@receives(Knock, from_client=True)
def on_knock(doc: Document, _: Knock) -> int:
    doc.data["knocks"] += 1
    return int(doc.data["knocks"])
