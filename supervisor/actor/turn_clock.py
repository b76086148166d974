"""How long a turn of the loop has lasted, as far as its code is to blame for it. Pure.

Essay: who is to blame. A watchdog that wakes late saw nothing of what it slept through. Either code held Python's
global lock, as a large sort or a regular expression does; then this process used the processor meanwhile. Or the
process stood still: it was suspended, the laptop slept, or the machine had no time for it. Then it used almost no
processor time, nobody is to blame, and that time is subtracted from the turn. Time that passes while the watchdog wakes
punctually always counts.
"""

from __future__ import annotations

from typing import final

import attrs

SHARE_COMPUTED = 0.5
"""The share of a late wake in which the process must have used the processor, to be thought to have run through it."""
SHORTEST_SLEEP = 0.001
"""Seconds that a watchdog sleeps at least, so that it never spins."""


@final
@attrs.frozen
class Look:
    """What the clock says when it is looked at."""

    held: float
    """Seconds that the turn has lasted; 0 between turns."""
    sleep: float
    """Seconds until it must be looked at again."""
    standstill: bool
    """Whether the process stood still just now."""
    kept_lock: bool
    """Whether code has kept Python's lock until just now: then what is at work now is what was all the time."""


@final
class TurnClock:
    """Looked at now and then, by one thread.

    Args:
        limit: seconds that a turn may last.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        # When the watchdog meant to wake, and how long the process had computed when it went to sleep.
        self._due: float | None = None
        self._computed = 0.0
        # The turn that was looked at last, by its beginning, and how much of it was nobody's.
        self._turn: float | None = None
        self.excused = 0.0
        """Seconds of the turn that was looked at last in which the process stood still."""

    def look(self, *, now: float, began: float | None, computed: float) -> Look:
        """Look at the turn that `began` then; None for a loop that waits for something to do.

        All are seconds; `computed` is the processor's time that the process has used.
        """
        if began != self._turn:
            self._turn, self.excused = began, 0.0
        late = 0.0 if self._due is None else now - self._due
        is_late = late > self._limit / 2
        standstill = is_late and computed - self._computed < SHARE_COMPUTED * late
        if began is None:
            held = 0.0
        else:
            if standstill:
                self.excused += min(late, now - began)
            held = max(0.0, now - began - self.excused)
        half = self._limit / 2
        if held < half:
            sleep = half - held
        elif held < self._limit:
            sleep = self._limit - held
        else:
            sleep = half
        sleep = max(sleep, SHORTEST_SLEEP)
        self._due, self._computed = now + sleep, computed
        return Look(held, sleep, standstill, is_late and not standstill)
