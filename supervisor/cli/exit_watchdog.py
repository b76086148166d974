"""The exit watchdog: a thread that ends the process when a shutdown can't, and names the code that held it.

Essay: it is a thread, and hears of signals by itself. What holds a shutdown may be the thread of the loop: a handler
that never returns. Then no task runs, and Python's own signal handlers run only if that thread still executes Python.
So the thread reads the descriptor that the interpreter writes to as a signal arrives, before anything else, and hands
what it read on to trio, whose descriptor that was. It needs nothing of the loop: it counts by itself, from the first
signal what a shutdown may take, and from each further one what is left of one that is cut short. A shutdown that the
server begins by itself, since its last application has failed, is told to it by `stopping()`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any, final

import attrs
import trio

from supervisor.actor.stalls import MAX_FRAMES, StackReader
from supervisor.actor.tasks import all_tasks, frames_of

LAST_GRACE = 10.0
"""Seconds after a shutdown's deadline: hooks that were cancelled then unwind, and write their last lines."""
_MAX_TASKS = 20
"""Tasks of an app that are named: a thousand sessions may all wait for one thread."""
_END = b"\0"
_BEGUN = b"\xff"
"""No signal has this number: the end was begun by the server."""


@final
@attrs.frozen(kw_only=True)
class Holder:
    """What held the process: a thread, or a task that nobody could cancel."""

    who: str
    """Its name: "thread MainThread"."""
    application: str = "-"
    """The application's name, or "-"."""
    session: str = "-"
    """The session's short name, or "-"."""
    what: str = "-"
    """The piece of work, in words, or "-"."""
    where: str
    """Function, line and file."""
    stack: str
    """What was called, the innermost last, as a traceback shows it."""


@final
class ExitWatchdog:
    """Ends the process with exit code 1, `grace` seconds after the nearest deadline that signals have set.

    Args:
        timeouts: what a shutdown may take from the first signal on, and from each further one; those that come after
            the last of these leave no time.
        stacks: reads what holds a thread.
        give_up: called in the watchdog's own thread; it ends the process, and never returns.
        grace: seconds that are added to each of the timeouts.
    """

    def __init__(
        self,
        timeouts: Sequence[float],
        *,
        stacks: StackReader,
        give_up: Callable[[list[Holder]], None],
        grace: float | None = None,
    ) -> None:
        self._timeouts = timeouts
        self._stacks = stacks
        self._give_up = give_up
        self._grace = LAST_GRACE if grace is None else grace
        self._root: Any = None
        self._loop_thread = 0
        # Where the thread is told something; None before and after its life.
        self._theirs: socket.socket | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch in this block, which is entered in trio's thread, and that is Python's main thread; once."""
        self._root = trio.lowlevel.current_root_task()
        self._loop_thread = threading.get_ident()
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._theirs = theirs
        previous = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        thread = threading.Thread(
            target=self._watch, args=(ours, previous), name="supervisor exit watchdog", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
            self._theirs = None
            theirs.setblocking(True)
            theirs.sendall(_END)
            thread.join()
            ours.close()
            theirs.close()

    def stopping(self) -> None:
        """The shutdown has begun, also without a signal: it may take as long as from the first one on."""
        if self._theirs is not None:
            with contextlib.suppress(BlockingIOError):  # it is full of signals
                self._theirs.send(_BEGUN)

    def _watch(self, signals: socket.socket, hand_on_to: int) -> None:
        until = math.inf
        left = itertools.chain(self._timeouts, itertools.repeat(0.0))
        while True:
            signals.settimeout(None if until == math.inf else max(0.001, until - time.monotonic()))
            try:
                arrived = signals.recv(64)
            except TimeoutError:
                holders: list[Holder] = []
                try:
                    holders = self.holders()
                finally:  # whatever an app's objects answer: the process ends
                    self._give_up(holders)
                return
            if _END in arrived or not arrived:
                return
            for number in arrived:
                if number in (signal.SIGTERM, signal.SIGINT):
                    until = min(until, time.monotonic() + next(left) + self._grace)
                elif number == _BEGUN[0]:
                    until = min(until, time.monotonic() + self._timeouts[0] + self._grace)
            if hand_on_to != -1:
                with contextlib.suppress(OSError):  # it is full, so trio wakes anyway
                    os.write(hand_on_to, arrived)

    def holders(self) -> list[Holder]:
        """What goes on now in code of apps: threads, the loop's first, and then tasks, at most twenty.

        If no code of an app goes on, what the loop's thread does. May be called in any thread, while all others run.
        """
        frames = sys._current_frames()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        loop = self._stacks.read(self._loop_thread)
        assert loop is not None
        main = Holder(who=f"thread {names.get(self._loop_thread)}", **attrs.asdict(loop))
        found = [main] if self._own(_stack_of(frames[self._loop_thread])) is not None else []
        for ident, frame in frames.items():
            stack = _stack_of(frame)
            own = self._own(stack)
            if own is not None and ident not in (self._loop_thread, threading.get_ident()):
                found.append(_holder(f"thread {names.get(ident, ident)}", own, stack))
        if not found or found[0] is not main:
            tasks = ((task, stack, self._own(stack)) for task, stack in self._tasks())
            held = (_holder(f"task {task.name}", own, stack) for task, stack, own in tasks if own is not None)
            found += itertools.islice(held, _MAX_TASKS)
        return found or [main]

    def only_threads_go_on(self) -> bool:
        """Whether all tasks that wait in code of apps wait for a thread. Called in trio's thread."""
        stacks = [stack for _, stack in self._tasks() if self._own(stack) is not None]
        return bool(stacks) and all(map(_waits_for_thread, stacks))

    def _own(self, stack: list[FrameType]) -> FrameType | None:
        """The innermost frame that is an app's code."""
        return next((frame for frame in reversed(stack) if self._stacks.is_own(frame.f_code.co_filename)), None)

    def _tasks(self) -> Iterator[tuple[trio.lowlevel.Task, list[FrameType]]]:
        """All tasks, each with its frames, the outermost first."""
        for task in all_tasks(self._root):
            yield task, list(frames_of(task))


def _waits_for_thread(stack: list[FrameType]) -> bool:
    return any(frame.f_globals.get("__name__") == "trio._threads" for frame in stack)


def _stack_of(frame: FrameType) -> list[FrameType]:
    """The frames of a thread, the outermost first."""
    return [each for each, _ in traceback.walk_stack(frame)][::-1]


def _holder(who: str, own: FrameType, stack: list[FrameType]) -> Holder:
    code: CodeType = own.f_code
    told = traceback.StackSummary.extract([(frame, frame.f_lineno) for frame in stack[-MAX_FRAMES:]])
    where = f"{code.co_qualname}, line {own.f_lineno} of {code.co_filename}"
    return Holder(who=who, where=where, stack="".join(told.format()))
