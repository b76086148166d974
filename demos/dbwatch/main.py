"""A session's part: its document shows the orders, and follows them.

    {"orders": {"7": {"customer": "Ada", "item": "Tea", "quantity": 2, "status": "new", "changed_at": "2026-…"}, …},
     "away": false}

While the database is away, the orders are what they were.
"""

from __future__ import annotations

from typing import Any

import attrs

from supervisor import Document, receives

from .database import Order
from .shop import shop


@attrs.frozen
class Changed:
    """Something in the shop is not as it was."""


def modify_document(doc: Document) -> None:
    doc.data = {"orders": {}, "away": True}
    on_changed(doc, Changed())


# From the producer only: no from_client. One that waits says all that a second one would.
@receives(Changed, conflate=lambda _: None)
def on_changed(doc: Document, _: Changed) -> None:
    doc.data["away"] = shop.is_away
    shown: dict[str, Any] = doc.data["orders"]
    for id in [id for id in shown if id not in shop.orders]:
        del shown[id]
    for id, order in shop.orders.items():
        row = as_row(order)
        if shown.get(id) != row:  # what browsers get is a patch of this order, not the table
            shown[id] = row


def as_row(order: Order) -> dict[str, Any]:
    return {
        "customer": order.customer,
        "item": order.item,
        "quantity": order.quantity,
        "status": order.status,
        "changed_at": order.changed_at.isoformat(),
    }
