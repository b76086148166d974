"""One shopping list for all visitors, who edit it at the same time."""

import attrs

from supervisor import Rejected, receives


@attrs.frozen
class Offer:
    """The shop has something for this price."""

    name: str
    price: float


def modify_document(doc):
    doc.data = {"items": [{"name": "milk", "done": False}], "left": 1, "offer": None}
    doc.allow_edits("/items/*", check_item)
    doc.on_change("/items", count_left)
    doc.add_periodic_callback(count_down, doc, seconds=1)


def check_item(doc, edit):
    """Asked for each edit: None takes it as it is, and an edit that is returned takes its place."""
    match edit.op, edit.keys, edit.value:
        case "insert", ("items", _), {"name": str(name)} if name.strip():
            return attrs.evolve(edit, value={"name": name.strip(), "done": False})
        case ("set", ("items", _, "done"), bool()) | ("remove", ("items", _), _):
            return None
    raise Rejected("A thing to buy has a name, and is done or not.")


def count_left(doc, change):
    """Called after each change of the list, whoever made it."""
    doc.data["left"] = sum(not item["done"] for item in doc.data["items"])


def count_down(doc):
    offer = doc.data["offer"]
    if offer is not None:
        offer["seconds"] -= 1
        if offer["seconds"] == 0:
            doc.data["offer"] = None


@receives(Offer)
def on_offer(doc, offer):
    if all(item["name"] != offer.name for item in doc.data["items"]):
        doc.data["offer"] = {"name": offer.name, "price": offer.price, "seconds": 3}
