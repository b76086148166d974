"""Time in a test: a virtual clock that waits for threads, and the wall clock that can be set.

Essay: when may the clock jump? trio's `MockClock` jumps to the next deadline when all tasks wait. A task that waits for
a worker thread waits for something that happens in real time: were the clock to jump meanwhile, every timeout would
run out, and a periodic callback would ring thousands of times, before a thread that sleeps a hundredth of a second is
back. So while a thread is at work virtual time stands still. A thread that waits in turn for what it called in the loop
is not at work. How many are is known without a race, since everything that counts changes in the loop's own thread:
those that somebody awaits (`Workers.awaited`, and trio's own `active_thread_count` for `trio.to_thread.run_sync` under
any limiter), less the calls of threads that go on in the loop, which are found in the tree of tasks. Without threads
nothing is searched.

What is unknown here: threads that a program started by itself (`threading.Thread`), processes, and sockets. Tests of
such code want a clock that is real.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, final

import trio
import trio.testing

from supervisor.actor.tasks import all_tasks, frames_of
from supervisor.actor.thread_door import ThreadDoor

LOOK_AGAIN = 0.001
"""Real seconds of idleness after which a clock that stands still looks whether the threads are back. That they are
wakes the loop at once; this is only for a loop that nothing wakes."""

EPOCH = 1_767_225_600.0
"""What the wall clock shows when trio's shows 0: the beginning of 2026. Tokens have no time before 1970."""


@final
class Clock:
    """The time of a server under test: `app.clock`."""

    def __init__(self) -> None:
        self._shifted = 0.0

    @property
    def is_virtual(self) -> bool:
        """Whether time passes only when all tasks wait."""
        return isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)

    def jump(self, seconds: float) -> None:
        """Let this much time pass at once, as for a laptop that was suspended: what is due rings late, and once.

        It returns before anything rings. To let an hour pass with all that happens in it, `await trio.sleep(3600)`.

        Raises:
            RuntimeError: the clock is real.
            ValueError: `seconds` is below 0.
        """
        clock = trio.lowlevel.current_clock()
        if not isinstance(clock, trio.testing.MockClock):
            raise RuntimeError(  # noqa: TRY004 (no argument has the wrong type)
                "a real clock can't jump: give the test virtual time, which those that use the fixture supervise have "
                "over memory streams, and mark it with @pytest.mark.virtual_time"
            )
        clock.jump(seconds)

    def shift_wall(self, seconds: float) -> None:
        """Set the wall clock forward, or back, as NTP does; nothing rings by it, but tokens age by it.

        It is the server's: `time.time()` in the app's own code is not shifted.
        """
        if not math.isfinite(seconds):
            raise ValueError(f"seconds must be a number, not {seconds!r}")
        self._shifted += seconds

    def wall(self) -> float:
        """The wall clock: seconds since 1970."""
        return EPOCH + trio.current_time() + self._shifted


def threads_at_work(awaited: int = 0) -> int:
    """How many threads work now, while somebody waits for them, and wait for nothing of the loop themselves.

    `awaited` are those that trio doesn't know. Called in the loop's thread.
    """
    count = awaited + trio.testing.active_thread_count()
    if count:
        tasks = all_tasks(trio.lowlevel.current_root_task())  # type: ignore[arg-type]  # there is one while it runs
        count -= sum(_is_call_of_thread(frame.f_code) for task in tasks for frame in frames_of(task))
    return max(0, count)


def _is_call_of_thread(code: CodeType) -> bool:
    # trio's `Run.run` serves a thread in the task that awaits it, `Run.run_system` in a task of its own.
    ours = code is ThreadDoor.serve.__code__
    return ours or (code.co_name in ("run", "run_system") and code.co_filename == _TRIO_THREADS)


_TRIO_THREADS = trio.to_thread.run_sync.__code__.co_filename


@final
class _Guard:
    """Stands before the jumps of one clock. There is one for each clock that `waiting_for_threads` met."""

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self.counts: list[Callable[[], int]] = []
        self._clock: Any = clock
        self._jump: Callable[[], None] = self._clock._autojump
        # What the author set; while a thread is at work, the clock has LOOK_AGAIN instead.
        self._threshold = 0.0

    def jump(self) -> None:
        clock = self._clock
        is_held = clock.autojump_threshold == LOOK_AGAIN
        if threads_at_work(sum(count() for count in self.counts)):
            if not is_held:
                self._threshold, clock.autojump_threshold = clock.autojump_threshold, LOOK_AGAIN
            return
        if is_held:
            clock.autojump_threshold = self._threshold
        self._jump()


@contextlib.contextmanager
def waiting_for_threads(count: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """In this block, a clock that jumps waits for threads at work; `count` tells of those that trio doesn't know.

    Nothing happens with a clock that is real. Blocks may be nested, and overlap.
    """
    clock: Any = trio.lowlevel.current_clock()
    if not isinstance(clock, trio.testing.MockClock):
        yield
        return
    # The one private name that this needs. trio has no public one for it: see its issue 1587, and test_clock.py.
    guard = getattr(clock._autojump, "__self__", None)
    if not isinstance(guard, _Guard):
        guard = _Guard(clock)
        clock._autojump = guard.jump  # type: ignore[method-assign]
    guard.counts.append(count)
    try:
        yield
    finally:
        guard.counts.remove(count)
