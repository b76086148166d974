"""Who waits for whom: the graph that finds a circle before it closes. Pure.

Rule: a wait that would close a circle fails at once, in the actor that would close it, and the error names the circle.
The nodes are actors (anything hashable whose `str` names it); an edge `a → b` means that `a` can't go on before `b` has
done something. One handler can wait for several actors at once, through its child tasks, so an actor can have any
number of edges, and the search is a walk over the graph, not along a chain.

The search goes backwards from the actors that want to wait: they must not wait for an actor that waits for them,
directly or through others. Backwards, because one search then covers any number of targets (`update_sessions` has
thousands), and because usually nobody waits for the actor that wants to wait, so that the search is empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Hashable, Iterable
from typing import final

import attrs

Node = Hashable


@final
@attrs.frozen(eq=False)
class Wait:
    """One wait that is going on: each of `waiters` waits for each of `targets`."""

    waiters: Collection[Node]
    """The actors that can't go on until the wait is over; none if only a task waits that holds nobody up."""
    targets: Collection[Node]
    """The actors that must do something first."""
    doing: str = ""
    """What is waited for, in words."""
    task: str = ""
    """The name of the task that waits."""
    since: float = 0.0
    """When it began."""
    until: float = math.inf
    """When it is given up."""
    left: Callable[[], Iterable[Node]] | None = None
    """Who of the targets is waited for still, if some may be done before others."""


@final
@attrs.frozen(kw_only=True)
class WaitStatistics:
    """One wait that is going on, in words; times are in seconds, by `trio.current_time()`."""

    waiters: tuple[str, ...]
    """Who can't go on: sessions. Empty if the task holds nobody up."""
    task: str
    """The name of the task that waits."""
    targets: tuple[str, ...]
    """Who must do something first."""
    doing: str
    """What is waited for: "ask() of session 1a2b3c4d"."""
    since: float
    """When the wait began."""
    until: float
    """When it is given up; infinity if nothing bounds it."""


@final
class WaitGraph:
    """The waits that are going on now, and the search for the circle that one more would close."""

    def __init__(self) -> None:
        # For each actor that is waited for, the waits that have it as a target.
        self._waits_for: dict[Node, list[Wait]] = {}
        # All of them, in order of their beginnings: also those that hold nobody up, which no circle can go through.
        self._waits: dict[Wait, None] = {}

    def add(self, wait: Wait) -> None:
        """Note a wait that begins; end it with `remove`. Look for a circle first: this doesn't."""
        self._waits[wait] = None
        if wait.waiters:
            for target in wait.targets:
                self._waits_for.setdefault(target, []).append(wait)

    def remove(self, wait: Wait) -> None:
        """Note that a wait is over."""
        del self._waits[wait]
        for target in wait.targets if wait.waiters else ():
            waits = self._waits_for[target]
            waits.remove(wait)
            if not waits:
                del self._waits_for[target]

    def circle(self, waiters: Iterable[Node], targets: Iterable[Node]) -> tuple[Node, ...] | None:
        """The circle that would close if `waiters` waited for `targets`, or None.

        It begins and ends with the same actor, one of `waiters`: `(a, b, a)` for "a waits for b, and b for a".
        """
        reaches = self._that_wait_for(waiters)
        for target in targets:
            if target in reaches:
                return self._spell(target, reaches)
        return None

    def in_circle(self, waiters: Iterable[Node]) -> Collection[Node]:
        """All actors that `waiters` must not wait for, since those wait for them (themselves included)."""
        return self._that_wait_for(waiters).keys()

    def statistics(self, among: Container[Node]) -> tuple[WaitStatistics, ...]:
        """The waits that go on in which one of these waits or is waited for, the oldest first."""
        return tuple(
            WaitStatistics(
                waiters=tuple(map(str, wait.waiters)),
                task=wait.task,
                targets=tuple(map(str, wait.targets if wait.left is None else wait.left())),
                doing=wait.doing,
                since=wait.since,
                until=wait.until,
            )
            for wait in self._waits
            if any(node in among for node in (*wait.waiters, *wait.targets))
        )

    def __len__(self) -> int:
        return len(self._waits)

    def _that_wait_for(self, waiters: Iterable[Node]) -> dict[Node, Node | None]:
        """Every actor that waits for one of `waiters`, each with the next actor on its way there."""
        reaches: dict[Node, Node | None] = dict.fromkeys(waiters)
        unseen = list(reaches)
        for node in unseen:
            for wait in self._waits_for.get(node, ()):
                for waiter in wait.waiters:
                    if waiter not in reaches:
                        reaches[waiter] = node
                        unseen.append(waiter)
        return reaches

    @staticmethod
    def _spell(target: Node, reaches: dict[Node, Node | None]) -> tuple[Node, ...]:
        path: list[Node] = [target]
        following = reaches[target]
        while following is not None:
            path.append(following)
            following = reaches[following]
        return (path[-1], *path)


def in_words(circle: Iterable[Node]) -> str:
    """The circle as people read it: "session A → session B → session A"."""
    return " → ".join(str(node) for node in circle)
