"""What the application knows of the database, for all sessions: a copy of the orders, and whether it is fresh."""

from __future__ import annotations

import attrs

from .database import SHOWN, Order


@attrs.define
class Shop:
    # The producer writes it and sessions read it. That needs no lock: all of them run in one thread, and nobody awaits
    # while at it.
    orders: dict[str, Order] = attrs.field(factory=dict)
    is_away: bool = True

    def fill(self, orders: dict[str, Order]) -> None:
        self.orders = orders
        self.is_away = False

    def change(self, orders: dict[str, Order]) -> None:
        """These are new, or not as they were."""
        known = self.orders | orders
        self.orders = {id: known[id] for id in sorted(known, key=int, reverse=True)[:SHOWN]}


shop = Shop()
