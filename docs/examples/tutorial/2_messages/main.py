"""A shopping list that visitors add to."""

import attrs

from supervisor import Rejected, receives


@attrs.frozen
class Add:
    """A visitor wants something on the list."""

    name: str


def modify_document(doc):
    doc.data = {"items": ["milk", "bread"]}


@receives(Add, from_client=True)
def on_add(doc, add):
    name = add.name.strip()
    if not name:
        raise Rejected("Say what is to be bought.")
    if name in doc.data["items"]:
        raise Rejected(f"There is {name} on the list already.")
    doc.data["items"].append(name)
    return len(doc.data["items"])
