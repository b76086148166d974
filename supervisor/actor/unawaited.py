"""Coroutines that were never awaited: found when they are dropped, and blamed on the work that dropped them.

Essay: an error, never a warning. `session_context.tell(m)` without `await` does nothing, and Python says so only in a
`RuntimeWarning` on stderr, which no asker and no log of ours sees. But Python issues it synchronously, at the moment
when the coroutine is dropped, and if a filter turns it into an error, that reaches `sys.unraisablehook`. So while a
server runs, such a filter and such a hook are in force (`watch_unawaited`). The hook finds out whose work dropped the
coroutine as holds do, and for the same reason: by the tree of nurseries, from the current task upwards (see `holding`).
Each actor's loop, and everything else that can make a piece of work fail for it, spreads a net (`catch_unawaited`), and
the innermost net around the task gets the coroutine's name. A coroutine that no net gets is reported.

What the garbage collector finds was part of a reference cycle. Anybody may have made it, long ago, and it is found in
whatever task happens to run. So it is only reported, and nobody is blamed.
"""

from __future__ import annotations

import gc
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, final

import attrs
import trio

from supervisor.actor.holding import ancestry
from supervisor.errors import Unawaited

# The text is CPython's, the same in all its versions; what follows it is where the coroutine was made, if tracked.
_WARNING = re.compile(r"coroutine '(.*?)' was never awaited")

Report = Callable[[Unawaited], object]
Hook = Callable[[Any], object]


@final
@attrs.frozen(eq=False)
class _Net:
    """Gets the names of the coroutines that `task`, and tasks in nurseries opened at `depth` or deeper, drop."""

    task: trio.lowlevel.Task
    depth: int
    names: list[str]


# Of the process, as the interpreter's hook is: so several servers in one process don't get in each other's way.
_nets: dict[trio.lowlevel.Task, list[_Net]] = {}


@contextmanager
def catch_unawaited() -> Iterator[list[str]]:
    """The names of the coroutines that the current task drops in this block, and those in nurseries opened inside.

    Whoever spreads this net must look into the list when a piece of work is done, and fail it with `unawaited()`. It
    gets names only while `watch_unawaited()` is in force.
    """
    task = trio.lowlevel.current_task()
    net = _Net(task, len(task.child_nurseries), [])
    _nets.setdefault(task, []).append(net)
    try:
        yield net.names
    finally:
        _nets[task].remove(net)
        if not _nets[task]:
            del _nets[task]


# What a worker thread drops: there no task is the current one.
_names_in_thread: ContextVar[list[str] | None] = ContextVar("supervisor unawaited", default=None)


@contextmanager
def catch_in_thread() -> Iterator[list[str]]:
    """As `catch_unawaited()`, for a thread that works for a task: the names of what it drops in this block."""
    names: list[str] = []
    token = _names_in_thread.set(names)
    try:
        yield names
    finally:
        _names_in_thread.reset(token)


def unawaited(names: list[str], *, way_out: str = "put await before the call") -> Unawaited:
    """The error that names these coroutines; empties the list."""
    named = ", ".join(names)
    names.clear()
    return Unawaited(f"never awaited, so it was not done: {named}; {way_out}")


@contextmanager
def watch_unawaited(report: Report) -> Iterator[None]:
    """Make every coroutine that is dropped without an await an error, as long as this block runs.

    A server enters this once, inside `trio.run`, and best after the apps' modules were loaded, since a module that says
    `warnings.filterwarnings("ignore")` hides what was not yet watched for. `report` is called in trio's thread with
    what no net has caught; it must not raise. If several are in force, the last one that began is told.
    """
    watch = _Watch(report, trio.lowlevel.current_trio_token())
    _process.begin(watch)
    try:
        yield
    finally:
        _process.end(watch)


@final
@attrs.frozen(eq=False)
class _Watch:
    """One server's watch."""

    report: Report
    token: trio.lowlevel.TrioToken


@final
class _Process:
    """What of the interpreter's state is ours while anybody watches: a filter, a hook, and a callback of the gc."""

    def __init__(self) -> None:
        # Servers of several trio runs, each in a thread of its own, may begin and end at the same time.
        self._lock = threading.Lock()
        self._watches: list[_Watch] = []
        self._filters: warnings.catch_warnings[None] | None = None
        # The interpreter's hook while anybody watches, and the one that it stands before.
        self._our_hook: Hook | None = None
        self._next_hook: Hook | None = None
        # The thread in which the garbage collector runs now.
        self._collector: int | None = None

    def begin(self, watch: _Watch) -> None:
        with self._lock:
            if not self._watches:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("error", message=_WARNING.pattern, category=RuntimeWarning)
                self._next_hook = sys.unraisablehook
                self._our_hook = sys.unraisablehook = partial(self._hook, self._next_hook)
                gc.callbacks.append(self._note_collection)
            self._watches.append(watch)

    def end(self, watch: _Watch) -> None:
        with self._lock:
            self._watches.remove(watch)
            if self._watches:
                return
            gc.callbacks.remove(self._note_collection)
            assert self._filters is not None
            self._filters.__exit__(None, None, None)
            # Somebody may have put a hook of their own before ours; then ours stays behind it, and passes all on.
            if sys.unraisablehook is self._our_hook and self._next_hook is not None:
                sys.unraisablehook = self._next_hook
            self._filters = self._our_hook = self._next_hook = None

    def _note_collection(self, phase: str, info: dict[str, int]) -> None:
        self._collector = threading.get_ident() if phase == "start" else None

    def _hook(self, next_hook: Hook, unraisable: Any) -> None:
        found = _WARNING.match(str(unraisable.exc_value)) if unraisable.exc_type is RuntimeWarning else None
        if found is None or not self._watches:
            next_hook(unraisable)
            return
        name = found[1]
        names = None if self._collector == threading.get_ident() else _names_of_current_task()
        if names is not None:
            names.append(name)
        else:  # later, since a coroutine can be dropped in any thread and in the middle of anything
            watch = self._watches[-1]
            watch.token.run_sync_soon(watch.report, unawaited([name]))


_process = _Process()


def _names_of_current_task() -> list[str] | None:
    """What the innermost net that covers the current task has caught, or None if there is none."""
    try:
        task = trio.lowlevel.current_task()
    except RuntimeError:  # another thread, or trio's own code between two tasks
        return _names_in_thread.get()
    for ancestor, depth in ancestry(task):
        for net in reversed(_nets.get(ancestor, ())):
            if depth >= net.depth:
                return net.names
    return None
