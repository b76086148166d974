"""The timers of an application: one task that sleeps until the next is due.

A timer costs one slot of a heap and no task. What it calls when due is ours and only puts a tick into a mailbox, so
the author's code never runs here, and one timer can't delay another.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import final

import trio


@final
class Alarm:
    """One call at one time. `cancel()` it, or let it ring."""

    __slots__ = ("_queue", "at", "ring")

    def __init__(self, queue: TimerQueue, at: float, ring: Callable[[], None]) -> None:
        self._queue = queue
        self.at = at
        """When it rings, by its queue's `now()`."""
        self.ring: Callable[[], None] | None = ring

    def cancel(self) -> None:
        """Don't ring any more; nothing happens if it has rung."""
        if self.ring is not None:
            self.ring = None
            self._queue._forget()


@final
class TimerQueue:
    """Rings alarms in order of their times, those of equal times in order of their setting.

    Args:
        now: what tells the time, in seconds; another than trio's for who rings by hand, and runs no task.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self.now: Callable[[], float] = now or trio.current_time
        """The time by which alarms ring, and by which all is counted that they ring for."""
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = itertools.count()
        # Alarms of the heap that were cancelled: swept out when they are more than half of it.
        self._cancelled = 0
        self._parked: trio.lowlevel.Task | None = None

    def call_at(self, at: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring()` at this absolute time, synchronously, in the queue's task; it must not raise."""
        alarm = Alarm(self, at, ring)
        heapq.heappush(self._heap, (at, next(self._order), alarm))
        if self._parked is not None and self._heap[0][2] is alarm:
            self._wake()
        return alarm

    def call_after(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring()` so many seconds from now."""
        return self.call_at(self.now() + seconds, ring)

    async def run(self) -> None:
        """Ring alarms until cancelled."""
        while True:
            self.ring_due(self.now())
            with trio.move_on_at(self._heap[0][0] if self._heap else float("inf")):
                await self._park()

    @property
    def next_at(self) -> float:
        """When the next alarm rings; infinity if none does."""
        while self._heap and self._heap[0][2].ring is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else math.inf

    def ring_due(self, now: float) -> None:
        """Ring all that is due by then."""
        # A function of its own, so that the task which sleeps until the next alarm holds nothing of the last one: what
        # an alarm rings for may be a session that has ended by it, with its document.
        while self._heap and self._heap[0][0] <= now:
            alarm = heapq.heappop(self._heap)[2]
            if alarm.ring is None:
                self._cancelled -= 1
            else:
                ring, alarm.ring = alarm.ring, None
                ring()

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    async def _park(self) -> None:
        self._parked = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _wake(self) -> None:
        task, self._parked = self._parked, None
        assert task is not None
        trio.lowlevel.reschedule(task)

    def _forget(self) -> None:
        self._cancelled += 1
        if self._cancelled > len(self._heap) // 2:
            self._heap = [item for item in self._heap if item[2].ring is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
