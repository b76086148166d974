"""An app whose document doesn't change by itself."""

import attrs

from supervisor import receives


@attrs.frozen
class Rename:
    name: str


def modify_document(doc):
    doc.data = {"name": "press 4"}


@receives(Rename, from_client=True)
def on_rename(doc, rename):
    doc.data["name"] = rename.name
