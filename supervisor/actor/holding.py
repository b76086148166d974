"""Whom a task holds up: the actors that must wait until it has finished its current work.

Essay: the tree of nurseries decides whose wait it is when a task waits. A context variable with the current actor would
not do: every task that a handler starts inherits it, including background tasks of the session. Those hold nobody up,
and a check by context would report circles that don't exist. In the tree, a handler ends only after the nurseries
opened *inside* it. So a task started in one of those holds the actor up, and a task in the session's own nursery, which
was opened before the handler began, does not. The same is true of a borrower and the session that lent it its document:
the session waits for everything that the borrower opened inside the borrow.

But once the session ends, it waits for its background tasks too, so its end has a hold of its own for those.

So a hold is (actor, task, depth): the actor waits for what `task` does itself, and for those of its nurseries that were
opened when `depth` of them were already open. To find the actors that a task holds up, walk from it through its parent
nurseries: at each ancestor, a hold counts if the nursery that we came through was opened inside it.

Essay: threads in between. A handler that awaits `trio.to_thread.run_sync(func)` waits for the thread, and the thread
waits for what it calls in the loop; but the task of that call is in another nursery. So such a task `works_for` the one
that waits for its thread, and the walk goes on there. (Our own worker threads call into a nursery of the right task,
and need none of this; see `workers`.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

import attrs
import trio

from supervisor.actor.waiting import Node, Wait, WaitGraph, in_words
from supervisor.errors import DeadlockError


@final
@attrs.frozen(eq=False)
class Hold:
    """`actor` waits for what `task` does in nurseries opened at `depth` or deeper."""

    actor: Node
    task: trio.lowlevel.Task
    depth: int

    def covers(self, task: trio.lowlevel.Task) -> bool:
        """Whether `task` is the holder, or runs in a nursery that the holder opened inside the hold."""
        return any(ancestor is self.task and depth >= self.depth for ancestor, depth in ancestry(task))


@final
class Holds:
    """All holds and waits of one server."""

    def __init__(self) -> None:
        self.graph = WaitGraph()
        self._by_task: dict[trio.lowlevel.Task, list[Hold]] = {}

    def take(self, actor: Node) -> Hold:
        """From now on, `actor` waits for the current task; `release` it in the same task."""
        task = trio.lowlevel.current_task()
        return self._take(Hold(actor, task, len(task.child_nurseries)))

    def take_all_of(self, task: trio.lowlevel.Task, actor: Node) -> Hold:
        """From now on, `actor` waits for this task and for all that runs in its nurseries, those that are open too."""
        return self._take(Hold(actor, task, 0))

    def _take(self, hold: Hold) -> Hold:
        self._by_task.setdefault(hold.task, []).append(hold)
        return hold

    def release(self, hold: Hold) -> None:
        """The actor doesn't wait for that task any more."""
        holds = self._by_task[hold.task]
        holds.remove(hold)
        if not holds:
            del self._by_task[hold.task]

    def held_up(self) -> Sequence[Node]:
        """The actors that wait for the current task, the innermost first."""
        by_task = self._by_task
        actors: list[Node] = []
        for task, depth in ancestry(trio.lowlevel.current_task()):
            actors += [hold.actor for hold in reversed(by_task.get(task, ())) if depth >= hold.depth]
        return actors

    @contextmanager
    def waiting_for(
        self, targets: Collection[Node], doing: str, *, left: Callable[[], Iterable[Node]] | None = None
    ) -> Iterator[None]:
        """The current task waits for `targets` inside this block; enter the scope of its deadline before.

        Raises:
            DeadlockError: the wait would close a circle; nothing was noted and nobody waits. The message says what
                was tried (`doing`) and names the circle.
        """
        waiters = self.held_up()
        circle = self.graph.circle(waiters, targets) if waiters else None  # one that holds nobody up closes none
        if circle is not None:
            raise DeadlockError(
                f"{doing} would wait for ever: {in_words(circle)}; "
                "send a message with tell() and handle the answer as a message of its own"
            )
        wait = self._wait(waiters, targets, doing, trio.lowlevel.current_task(), left)
        self.graph.add(wait)
        try:
            yield
        finally:
            self.graph.remove(wait)

    @contextmanager
    def shown(self, waiter: Node, target: str, doing: str) -> Iterator[None]:
        """While the current task is in this block, `waiter` is shown to wait for what `target` names in words.

        No search for circles looks at it. It is for what a hold says to that already, such as a document that is lent,
        and for waits that any one of several can end: to count them as waits for all would accuse falsely.
        """
        wait = self._wait((waiter,), (target,), doing, trio.lowlevel.current_task(), None)
        self.graph.add(wait)
        try:
            yield
        finally:
            self.graph.remove(wait)

    @staticmethod
    def _wait(
        waiters: Collection[Node],
        targets: Collection[Node],
        doing: str,
        task: trio.lowlevel.Task,
        left: Callable[[], Iterable[Node]] | None,
    ) -> Wait:
        until = trio.current_effective_deadline()
        return Wait(waiters, targets, doing, task.name, trio.current_time(), until, left)


def ancestry(task: trio.lowlevel.Task) -> Iterator[tuple[trio.lowlevel.Task, float]]:
    """The task and its ancestors, each with the index of the nursery that we came through."""
    depth: float = float("inf")  # the task's own code is inside every hold that it has
    while True:
        yield task, depth
        if _hosts and (host := _hosts.get(task)) is not None:
            task, depth = host, float("inf")
            continue
        nursery = task.parent_nursery
        if nursery is None:
            return
        task = nursery.parent_task
        depth = task.child_nurseries.index(nursery)


# The tasks that work for a thread, each with the task that waits for that thread.
_hosts: dict[trio.lowlevel.Task, trio.lowlevel.Task] = {}


@contextmanager
def works_for(host: trio.lowlevel.Task | None) -> Iterator[None]:
    """In this block the current task does what a thread waits for, for which `host` waits in turn."""
    if host is None:
        yield
        return
    task = trio.lowlevel.current_task()
    _hosts[task] = host
    try:
        yield
    finally:
        del _hosts[task]


def host_of_this_thread() -> trio.lowlevel.Task | None:
    """The task that waits for this thread by trio's own `to_thread.run_sync`, unless it can abandon it; else None."""
    try:
        return trio.from_thread.run_sync(trio.lowlevel.current_task)
    except (RuntimeError, trio.Cancelled):  # trio doesn't know it; or nobody waits for it any more
        return None
