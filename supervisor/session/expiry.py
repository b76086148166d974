"""The end of a session that nobody is attached to: when it is due, and what postpones it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

from supervisor.actor.timers import Alarm, TimerQueue


@final
class Expiry:
    """One session's. It ends the session at its time, but not while somebody waits to be let in.

    Args:
        timers: the session's.
        end: begins the end of the session, with the reason.
    """

    __slots__ = ("_alarm", "_at_the_door", "_end", "_overdue", "_timers")

    def __init__(self, timers: TimerQueue, end: Callable[[str], None]) -> None:
        self._timers = timers
        self._end = end
        self._alarm: Alarm | None = None
        # How many wait to be let in; and why the session ends, its time being over, if none of them attaches.
        self._at_the_door = 0
        self._overdue: str | None = None

    def start(self, seconds: float, reason: str) -> None:
        """End the session so long from now, unless this is stopped before."""
        self._alarm = self._timers.call_after(seconds, lambda: self._ring(reason))

    def stop(self) -> None:
        """Somebody has attached, or the end has begun."""
        assert self._alarm is not None
        self._alarm.cancel()
        self._alarm = self._overdue = None

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """While somebody waits to be let in. Who was must attach in the same step, before an overdue end comes."""
        self._at_the_door += 1
        try:
            yield
        finally:
            self._at_the_door -= 1
            if self._overdue is not None:  # whoever else waits still puts it off again
                reason, self._overdue = self._overdue, None
                self.start(0.0, reason)

    def _ring(self, reason: str) -> None:
        if self._at_the_door:
            self._overdue = reason
        else:
            self._end(reason)
