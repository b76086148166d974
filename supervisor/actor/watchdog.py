"""The watchdog: a thread that notices when the loop doesn't turn, and reports what blocks it, while it is blocked.

Essay: what it costs. trio calls an instrument before and after it waits for I/O, once for each turn of its loop; a turn
is what runs in between. The two calls only store a time, so there is no cost per message or task. The thread looks at
that time at least once in half the limit, and at the stack only when a turn has lasted that long.

Essay: two threads. The first report must reach a log while the loop is blocked, perhaps forever, so it is made in the
watchdog's own thread. The report of the end is made in the loop's thread. The loop doesn't wait for the first report,
since the instruments may call into the loop: if the stall ends before that report is done, the watchdog passes the
second one on.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import final

import attrs
import trio

from supervisor.actor.stalls import Held, Sample, StackReader
from supervisor.actor.turn_clock import TurnClock
from supervisor.instruments import Instruments

JOIN_TIMEOUT = 5.0
"""Seconds that the thread gets to end: it only ever has a report to finish."""
COLLECTION = "garbage collection"
"""What held the loop, if it was Python's collector for at least half of the time."""


@final
@attrs.frozen(kw_only=True)
class LoopStatistics:
    """How the server's loop has turned so far; see `ServerOptions.stall_limit`."""

    blocked: int = 0
    """How often code has held it for longer than the limit."""
    longest: float = 0.0
    """The longest of these, in seconds."""


@final
@attrs.define(eq=False)
class _Stall:
    """One turn that lasts too long."""

    began: float
    held: Held
    seconds: float | None = None
    """How long it has lasted; None while it lasts."""
    is_told: bool = False
    """Whether the first report was made: then the second one may be."""


@final
class Watchdog(trio.abc.Instrument):
    """Watches the loop in which it is entered.

    Args:
        limit: seconds that code may hold the loop.
        stacks: reads what holds it.
        instruments: told of each stall, once while it lasts (in this object's thread), and once when it is over.
        clock: seconds; one that stands still with a suspended process is not needed (see `turn_clock`).
    """

    def __init__(
        self,
        limit: float,
        *,
        stacks: StackReader,
        instruments: Instruments,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._limit = limit
        self._stacks = stacks
        self._instruments = instruments
        self._clock = clock
        self._turns = TurnClock(limit)
        # When the turn began that goes on; None while the loop waits. Written by the loop's thread only.
        self._began: float | None = None
        # What is reported and isn't over.
        self._open: _Stall | None = None
        # Around stalls, and the clock of turns; held for a few steps only.
        self._lock = threading.Lock()
        # What was seen in the turn that goes on: the sample before, and whether the turn was reported.
        self._seen: float | None = None
        self._before: Sample | None = None
        self._told: float | None = None
        # The turn in which the collector ran last, for how long in it, and since when it runs now.
        self._collected_in: float | None = None
        self._collected = 0.0
        self._collecting: float | None = None
        self._thread: int | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._ended = threading.Event()
        self._blocked = 0
        self._longest = 0.0

    def statistics(self) -> LoopStatistics:
        """See `LoopStatistics`. May be called in any thread."""
        return LoopStatistics(blocked=self._blocked, longest=self._longest)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch in this block, which is entered in the loop's thread; once."""
        self._thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(target=self._watch, name="supervisor watchdog", daemon=True)
        trio.lowlevel.add_instrument(self)
        gc.callbacks.append(self._note_collection)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            gc.callbacks.remove(self._note_collection)
            with contextlib.suppress(KeyError):  # trio has taken it out, because it raised
                trio.lowlevel.remove_instrument(self)
            thread.join(JOIN_TIMEOUT)
            self._close(self._clock())

    # In the loop's thread.

    def after_io_wait(self, timeout: float) -> None:
        """See `trio.abc.Instrument`: a turn begins."""
        self._began = self._clock()

    def before_io_wait(self, timeout: float) -> None:
        """See `trio.abc.Instrument`: a turn is over."""
        self._began = None
        if self._open is not None:
            self._close(self._clock())

    def _close(self, now: float) -> None:
        with self._lock:
            stall, self._open = self._open, None
            if stall is None:
                return
            # The process may have stood still since the watchdog looked.
            stall.seconds = self._turns.look(now=now, began=stall.began, computed=time.process_time()).held
            is_told = stall.is_told
        if is_told:  # else the watchdog's thread sees that it is over
            self._over(stall)

    def _over(self, stall: _Stall) -> None:
        assert stall.seconds is not None
        self._longest = max(self._longest, stall.seconds)
        self._tell(stall.held, stall.seconds, over=True)

    def _note_collection(self, phase: str, info: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        now, began = self._clock(), self._began
        if phase == "start":
            self._collecting = now
        elif self._collecting is not None:
            if began != self._collected_in:
                self._collected_in, self._collected = began, 0.0
            self._collected += now - self._collecting
            self._collecting = None

    # In its own thread.

    def _watch(self) -> None:
        sleep = self._limit / 2
        while not self._ended.wait(sleep):
            sleep = self._look()

    def _look(self) -> float:
        """Look at the turn that goes on, and report it if that is due; returns for how long to sleep."""
        began = self._began
        now = self._clock()
        with self._lock:
            look = self._turns.look(now=now, began=began, computed=time.process_time())
        if began is None or look.held < self._limit / 2:
            self._before = None
        elif began != self._told:
            assert self._thread is not None
            sample = self._stacks.sample(self._thread)
            if sample is not None and self._began == began:  # else the turn is over, and these are another's frames
                before = self._before if self._seen == began else None
                if look.held >= self._limit and (before is not None or look.kept_lock):
                    self._report(began, look.held, sample, before)
                else:
                    self._seen, self._before = began, sample
                    if look.held >= self._limit:  # one sample doesn't tell one long piece of work from many short ones
                        return self._limit / 10
        return look.sleep

    def _report(self, began: float, seconds: float, sample: Sample, before: Sample | None) -> None:
        what = None
        if self._seconds_collected(began) >= seconds / 2:
            what = COLLECTION
        elif before is not None and not sample.is_same_piece(before):
            what = f"many pieces of work and no single one, {before.what} and {sample.what} among them"
        self._before = None
        held = sample.tell(what)
        self._told = began
        self._blocked += 1
        self._longest = max(self._longest, seconds)
        stall = self._open = _Stall(began, held)
        if self._began != began:  # it ended just before it was open
            with self._lock:
                if self._open is stall:
                    self._open, stall.seconds = None, seconds
        self._tell(held, seconds, over=False)
        with self._lock:
            stall.is_told = True
            is_over = stall.seconds is not None
        if is_over:
            assert self._token is not None
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._over, stall)

    def _seconds_collected(self, began: float) -> float:
        seconds = self._collected if self._collected_in == began else 0.0
        collecting = self._collecting
        return seconds if collecting is None else seconds + self._clock() - collecting

    def _tell(self, held: Held, seconds: float, *, over: bool) -> None:
        self._instruments.loop_blocked(
            application=held.application,
            session=held.session,
            what=held.what,
            where=held.where,
            seconds=seconds,
            stack=held.stack,
            over=over,
        )

    def __repr__(self) -> str:
        return f"<Watchdog limit={self._limit:g} s {self.statistics()}>"
