"""A shopping list that visitors add to, and that shows what the shop offers."""

import attrs

from supervisor import Rejected, receives


@attrs.frozen
class Add:
    """A visitor wants something on the list."""

    name: str


@attrs.frozen
class Offer:
    """The shop has something for this price."""

    name: str
    price: float


def modify_document(doc):
    doc.data = {"items": ["milk", "bread"], "offer": None}


@receives(Add, from_client=True)
def on_add(doc, add):
    name = add.name.strip()
    if not name:
        raise Rejected("Say what is to be bought.")
    if name in doc.data["items"]:
        raise Rejected(f"There is {name} on the list already.")
    doc.data["items"].append(name)
    return len(doc.data["items"])


@receives(Offer)
def on_offer(doc, offer):
    if offer.name not in doc.data["items"]:
        doc.data["offer"] = {"name": offer.name, "price": offer.price}
