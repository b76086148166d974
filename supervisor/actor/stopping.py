"""Stopping: how a connection, a session, an application and the server end: softly, then hard.

Essay: two kinds of stop, one mechanism. The rule: a soft stop is a moment, after which no new work is accepted; a hard
stop is a deadline, by which existing work has finished or is cancelled. So a `Stopping` is a flag and a deadline, and
everything that its owner does is inside one of two blocks:

    with stopping.waiting(): ...     a wait for new work; the soft stop ends it, quietly
    with stopping.working(): ...     work; the deadline ends it

To stop hard at once is to stop softly with no time left. Work that something else must follow, as hooks follow the
mailbox and unload hooks follow destroyed hooks, keeps a reserve for that.

Stoppings form a tree, as nurseries do: server ⊃ application ⊃ its sessions ⊃ each session. An inner one never has more
time than the one around it, less the reserve. A deadline only moves nearer, and it moves in one step for everything
below: a second signal that leaves six seconds shortens every hook, borrow and wait that is under way, however deep, and
nobody has to look for them.

Nested cancel scopes of trio have deadlines in a tree as well. But hooks must run even if what is around them was
cancelled, so they are shielded, and a shield hides the deadline together with the cancellation. The soft half alone is
known as a soft-cancelled scope (trio's issue 147); it has no deadline of its own, and so can't be shortened later.

What ends together, such as the connections of a session, is `Children`: their owner stops them softly, waits for them
until the deadline, and then stops them hard, each by its own function.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, final

import trio

T = TypeVar("T")


@final
class Stopping:
    """How one thing stops. Everything but the waits is a plain call, in trio's thread once trio runs."""

    __slots__ = ("_begun", "_bounded", "_waits", "_within", "at", "has_begun")

    def __init__(self, within: Stopping | None = None, *, reserve: float = 0.0) -> None:
        """`within` is what this is part of: its deadline, less `reserve` seconds, bounds this one's."""
        self.at = math.inf
        """When what is there must be over, by `trio.current_time()`; infinity while there is no hurry."""
        self.has_begun = False
        """Whether it was told to stop: it takes no new work."""
        # What is told when it begins; made when somebody waits for that.
        self._begun: trio.Event | None = None
        # The scopes of waits for new work.
        self._waits: dict[trio.CancelScope, None] = {}
        # What the deadline ends, each with the seconds that it must leave.
        self._bounded: dict[trio.CancelScope | Stopping, float] = {}
        self._within = within
        if within is not None:
            within._bounded[self] = reserve
            self.at = within.at - reserve

    def soft(self, at: float = math.inf) -> None:
        """Begin to stop: take no new work, and finish what is there by `at`. May be called again, with less time."""
        self.move(at)
        if not self.has_begun:
            self.has_begun = True
            if self._begun is not None:
                self._begun.set()
            for scope in self._waits:
                scope.cancel()

    def hard(self) -> None:
        """Stop at once: all that goes on is cancelled. Before any of it began, it is cancelled as it begins."""
        self.soft(-math.inf)

    def move(self, at: float) -> None:
        """Make the deadline nearer, without a stop, also for all that is under way; a later time changes nothing."""
        if at < self.at:
            self.at = at
            for bounded, reserve in self._bounded.items():
                _bound(bounded, at - reserve)

    def leave(self) -> None:
        """It is over: what this is part of can forget it. May be called again."""
        if self._within is not None:
            self._within._bounded.pop(self, None)
            self._within = None

    @property
    def waits(self) -> int:
        """How many wait for new work now."""
        return len(self._waits)

    async def wait(self) -> None:
        """Wait until it was told to stop."""
        if self._begun is None:
            self._begun = trio.Event()
            if self.has_begun:
                self._begun.set()
        await self._begun.wait()

    @contextlib.contextmanager
    def waiting(self, timeout: float = math.inf) -> Iterator[None]:
        """Around a wait for new work: left quietly when the stop begins, and after `timeout` seconds.

        What has come in the same moment wins: its wait is over, and the block has no other.
        """
        with trio.move_on_after(timeout) as scope:
            if self.has_begun:
                scope.cancel()
            self._waits[scope] = None
            try:
                yield
            finally:
                del self._waits[scope]

    @contextlib.contextmanager
    def working(
        self, reserve: float = 0.0, *, timeout: float = math.inf, shield: bool = False
    ) -> Iterator[trio.CancelScope]:
        """Around work: cancelled `reserve` seconds before the deadline, wherever that moves, and after `timeout`."""
        scope = trio.CancelScope(deadline=trio.current_time() + timeout, shield=shield)
        with self.bounding(scope, reserve), scope:
            yield scope

    @contextlib.contextmanager
    def bounding(self, scope: trio.CancelScope, reserve: float = 0.0) -> Iterator[None]:
        """The same, for a scope that somebody else enters, such as a nursery's."""
        _bound(scope, self.at - reserve)
        self._bounded[scope] = reserve
        try:
            yield
        finally:
            del self._bounded[scope]

    def __repr__(self) -> str:
        state = "begun" if self.has_begun else "not begun"
        return f"<Stopping {state}, until {self.at:g}, {self.waits} waits, {len(self._bounded)} bounded>"


def _bound(bounded: trio.CancelScope | Stopping, at: float) -> None:
    if isinstance(bounded, Stopping):
        bounded.move(at)
    elif at == -math.inf:  # at once, and not when the loop next looks at its deadlines
        bounded.cancel()
    else:
        bounded.deadline = min(bounded.deadline, at)


@final
class Children(Generic[T]):
    """What ends together, in order of arrival; its owner bounds how many there are."""

    __slots__ = ("_empty", "_members")

    def __init__(self) -> None:
        self._members: dict[T, None] = {}
        # What is told when the last one has gone; made when somebody waits for that.
        self._empty: trio.Event | None = None

    def add(self, child: T) -> None:
        """One more."""
        self._members[child] = None

    def discard(self, child: T) -> None:
        """It is over; it need not be there."""
        self._members.pop(child, None)
        if not self._members and self._empty is not None:
            self._empty.set()
            self._empty = None

    def __iter__(self) -> Iterator[T]:
        """A snapshot: they may come and go meanwhile."""
        return iter(list(self._members))

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, child: object) -> bool:
        return child in self._members

    async def wait_empty(self) -> None:
        """Wait until there is none. Safe to cancel."""
        while self._members:
            if self._empty is None:
                self._empty = trio.Event()
            await self._empty.wait()

    async def finish(self, stopping: Stopping, hard: Callable[[T], object], *, timeout: float = math.inf) -> None:
        """Wait for those who were told to stop softly; at the deadline stop the others by `hard`, and wait for them.

        The deadline is that of `stopping`, or comes in `timeout` seconds.
        """
        with stopping.working(timeout=timeout):
            await self.wait_empty()
        for child in self:
            hard(child)
        await self.wait_empty()

    def __repr__(self) -> str:
        return f"<Children: {len(self)}>"
