"""How many connections a server has, and which of them have said nothing yet.

Essay: who gives way. When all places are taken, the next connection is refused: the existing ones may be in the middle
of something. Among websockets without a first frame it is the other way round. Clients send it at once, so the one that
has waited longest will most likely never send it. If the newest were refused, a thousand silent ones could keep
everybody out until their timeout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, final


class Newcomer(Protocol):
    """A websocket that has yet to send its first frame."""

    def make_way(self) -> None:
        """End, since others need the room; returns at once."""


@final
class Occupancy:
    """The places of one server. All methods are plain, and belong to trio's thread.

    Args:
        max_connections: how many may be there.
        max_newcomers: how many of them may be websockets without a first frame.
        on_full: a plain function, called when the first one is turned away; and again only after a tenth of the places
            were free.
    """

    def __init__(self, *, max_connections: int, max_newcomers: int, on_full: Callable[[], None]) -> None:
        self.max_connections = max_connections
        """As it was given."""
        self.connections = 0
        """How many are there."""
        self._max_newcomers = max_newcomers
        self._on_full = on_full
        self._was_full = False
        # Those without a first frame, the oldest first.
        self._newcomers: dict[Newcomer, None] = {}

    @property
    def newcomers(self) -> int:
        """How many websockets have sent no first frame."""
        return len(self._newcomers)

    def enter(self) -> bool:
        """Take a place, which `leave` must give back; False if there is none."""
        if self.connections >= self.max_connections:
            if not self._was_full:
                self._was_full = True
                self._on_full()
            return False
        self.connections += 1
        return True

    def leave(self) -> None:
        """Give a place back."""
        self.connections -= 1
        if self.connections <= self.max_connections * 9 // 10:
            self._was_full = False

    def wait_for(self, newcomer: Newcomer) -> None:
        """A websocket's first frame is waited for, until `heard`; the oldest such one may have to make way."""
        if len(self._newcomers) >= self._max_newcomers:
            oldest = next(iter(self._newcomers))
            del self._newcomers[oldest]
            oldest.make_way()
        self._newcomers[newcomer] = None

    def heard(self, newcomer: Newcomer) -> None:
        """Its first frame has come, or it ends; may be called again."""
        self._newcomers.pop(newcomer, None)

    def __repr__(self) -> str:
        return f"<Occupancy {self.connections} of {self.max_connections}, {self.newcomers} new>"
