"""What the application knows of the database, for all sessions: a copy of the orders, and whether it is fresh."""

from __future__ import annotations

from collections.abc import Iterable

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

    def change(self, ids: Iterable[str], found: dict[str, Order]) -> None:
        """What became of these orders: the ones that were found are like this now, and the others are gone."""
        kept = {id: order for id, order in self.orders.items() if id not in set(ids)} | found
        self.orders = {id: kept[id] for id in sorted(kept, key=int, reverse=True)[:SHOWN]}


shop = Shop()
