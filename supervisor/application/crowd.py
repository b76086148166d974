"""How many sessions each remote address has: a count for those that have any. Pure."""

from __future__ import annotations

from typing import final


@final
class Crowd:
    """Counts members by the name of their group; what has no member is not remembered.

    So it holds at most as many names as there are members, however many addresses knock.

    Args:
        limit: members of one group at once; None for any number.
    """

    __slots__ = ("_counts", "_limit")

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}

    def has_room(self, group: str | None) -> bool:
        """Whether the group may have one more; those of no group always may."""
        return group is None or self._limit is None or self._counts.get(group, 0) < self._limit

    def enter(self, group: str | None) -> None:
        """One more; whether there is room was asked before."""
        if group is not None:
            self._counts[group] = self._counts.get(group, 0) + 1

    def leave(self, group: str | None) -> None:
        """One who entered leaves."""
        if group is None:
            return
        left = self._counts[group] - 1
        if left:
            self._counts[group] = left
        else:
            del self._counts[group]

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"<Crowd of {sum(self._counts.values())} in {len(self._counts)} groups>"
