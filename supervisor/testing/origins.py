"""Who started what an app has not ended when it ends: tasks outside of its own scopes, threads, and sockets.

Essay: which tasks can outlive an app. A task that stands below the server's own in the tree of nurseries ends before
the server does: of those nothing need be noted but that they are there. What can be left is a task that one of them
started *elsewhere*: into the system's nursery, by `trio.lowlevel.spawn_system_task`, or into a nursery that somebody
outside had opened. At that moment the frames of whoever starts it still stand on the stack, and tell the whole story:
application, session, handler, line. So they are read then, for such tasks alone, and no other task pays for it.

Worker threads are told by their context, which they inherit: whoever starts one hands its own over. Of other threads,
and of sockets, the frames are read as of tasks: when one is started or opened.
"""

from __future__ import annotations

import gc
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import Context, ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, final
from weakref import WeakKeyDictionary

import attrs
import trio

from supervisor.actor.stalls import Work
from supervisor.actor.workers import Work as ThreadWork
from supervisor.application.places import work_of
from supervisor.transport.places import STACKS

ARROW = " → "
# Marks the contexts of all that one block's servers start, and of threads too.
_mark: ContextVar[Origins | None] = ContextVar("supervisor.testing origins", default=None)


@final
@attrs.frozen(eq=False)
class Origin:
    """How something came to be that its starter may not end."""

    path: str
    """By whom: "application ticker → session 4f2c → handler on_quote"."""
    started: str
    """Where it was started: "line 12 of main.py"; empty if no code of an app did it."""


@final
class Origins(trio.abc.Instrument):
    """Remembers which tasks the servers of one block of `supervise` have started, and where."""

    def __init__(self) -> None:
        # All that live: the servers' own, and those that escaped, with what is below them.
        self._tasks: set[trio.lowlevel.Task] = set()
        self._escaped: dict[trio.lowlevel.Task, Origin] = {}
        # Of threads that are no worker's, and of sockets.
        self._born: WeakKeyDictionary[object, Origin] = WeakKeyDictionary()
        self._threads_before = set(threading.enumerate())
        # Those that were found at work the last time.
        self._at_work: list[threading.Thread] = []

    def begin(self) -> None:
        """What the current task starts from now on is a server's: called by the task in which one begins."""
        self._tasks.add(trio.lowlevel.current_task())
        _mark.set(self)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        nursery = task.parent_nursery
        if nursery is None:
            return
        if nursery.parent_task in self._tasks:
            self._tasks.add(task)
            return
        starter = _current_task()
        if starter in self._tasks or task.context.get(_mark) is self:
            task.context.run(_mark.set, self)
            self._tasks.add(task)
            self._escaped[task] = self._escape(starter, sys._getframe())

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        self._tasks.discard(task)
        self._escaped.pop(task, None)

    def note_birth(self, thing: object, frame: FrameType) -> None:
        """A thread is started, or a socket opened. Called in any thread."""
        task, stack = _current_task(), _without_trio(_stack_of(frame))
        if task is not None:
            path = ARROW.join(self._steps_to(task, stack))
        else:
            owner = self._owner_in(stack)
            path = f"{owner}{ARROW}thread {threading.current_thread().name}" if owner else ""
        if path:
            self._born[thing] = Origin(path, _place_of(_own_in(stack)))

    def opener_of(self, descriptor: int) -> Origin | None:
        """Who opened the socket that has this descriptor now; None if that isn't known."""
        for reference in self._born.keyrefs():  # unlike items(), taken at once: threads may open others meanwhile
            thing = reference()
            if isinstance(thing, socket.socket) and thing.fileno() == descriptor:
                return self._born.get(thing)
        return None

    def _escape(self, starter: trio.lowlevel.Task | None, frame: FrameType | None) -> Origin:
        stack = _without_trio(_stack_of(frame))
        path = ARROW.join(self._steps_to(starter, stack))
        return Origin(path or "a thread, or other code that is no handler's", _place_of(_own_in(stack)))

    def _steps_to(self, task: trio.lowlevel.Task | None, stack: list[FrameType]) -> list[str]:
        """Those above this stack of this task, in words; the outermost first."""
        steps: list[str] = []
        while task in self._tasks and task is not None:
            work, inner = _work_in(stack)
            if work is not None:
                steps.insert(0, _in_words(work, inner))
                break
            if task in self._escaped:
                steps[:0] = [self._escaped[task].path, f"task {_short(task.name)}"]
                break
            if STACKS.is_own(getattr(getattr(task.coro, "cr_code", None), "co_filename", "")):
                steps.insert(0, f"task {_short(task.name)}")
            task = None if task.parent_nursery is None else task.parent_nursery.parent_task
            stack = [] if task is None else [each for each, _ in task.iter_await_frames()][::-1]
        return steps

    def left(self) -> list[str]:
        """The tasks and worker threads that the servers' apps have started elsewhere and not ended, in words."""
        return [self._told(task, escape) for task, escape in self._escaped.items()] + list(self._threads())

    def _told(self, task: trio.lowlevel.Task, escape: Origin) -> str:
        own = _own_in([frame for frame, _ in task.iter_await_frames()][::-1])
        at = f", at {_place_of(own)}" if own is not None else ""
        started = f" (started at {escape.started})" if escape.started else ""
        return f"{escape.path}{ARROW}task {_short(task.name)}{at}{started}"

    def unshield(self) -> list[str]:
        """Lift the shields of the app's own code that waits behind one, so that cancellations reach it; who it was.

        What is found stands in the frames of the app's coroutines. Left are the shields of other libraries, and those
        inside of a context manager that the app wrote as a generator.
        """
        freed = []
        for task in list(self._tasks):
            coroutine: Any = task.coro
            while coroutine is not None:
                frame = getattr(coroutine, "cr_frame", None)
                if frame is not None and STACKS.is_own(frame.f_code.co_filename):
                    shields = [scope for scope in _scopes_of(coroutine) if scope.shield]
                    for scope in shields:
                        scope.shield = False
                    if shields:
                        freed.append(f"{self._path_of(task)}, at {_place_of(frame)}")
                coroutine = getattr(coroutine, "cr_await", None)
        return freed

    def _path_of(self, task: trio.lowlevel.Task) -> str:
        """Whose task it is, by what it works on, or by those above it."""
        steps = self._steps_to(task, [frame for frame, _ in task.iter_await_frames()][::-1])
        return ARROW.join(steps) or f"task {_short(task.name)}"

    def join_threads(self, seconds: float) -> None:
        """Hold the loop until the threads that were found have ended, for so many real seconds at most each."""
        for thread in self._at_work:
            thread.join(seconds)

    def _threads(self) -> Iterator[str]:
        self._at_work = []
        threads = threading.enumerate()
        frames = sys._current_frames() if len(threads) > 1 else {}
        for thread in threads:
            if thread is threading.current_thread() or thread.ident not in frames:
                continue
            stack = _stack_of(frames[thread.ident])
            owner = self._owner_in(stack)
            is_of_trio = any(each.f_globals.get("__name__") == "trio._core._thread_cache" for each in stack)
            if owner is None and (is_of_trio or thread in self._threads_before):
                continue  # it waits for work, or is somebody else's
            own = _own_in(stack)
            at = f", at {_place_of(own)}" if own is not None else ""
            # trio's threads work for one after the other, and were started for the first.
            begun = None if is_of_trio else self._born.get(thread)
            path = owner or ("" if begun is None else begun.path)
            started = f" (started at {begun.started})" if begun is not None and begun.started else ""
            self._at_work.append(thread)
            yield f"{path}{ARROW if path else ''}thread {thread.name}{at}{started}"

    def _owner_in(self, stack: Iterable[FrameType]) -> str | None:
        """Whose work a thread does; None if it isn't an app's of this block, and empty if it is nobody's known."""
        for frame in stack:
            for value in frame.f_locals.values():
                if isinstance(value, ThreadWork) and value._context.get(_mark) is self:
                    return _owner_of(value)
                if isinstance(value, Context) and value.get(_mark) is self:
                    return ""
        return None


def _owner_of(work: ThreadWork) -> str:
    """Whom a thread works for: "application ticker → session 4f2c"."""
    whose = getattr(work.owner.report, "__self__", None)
    return ARROW.join(_places_of(work_of(whose, what=work.name, piece=work))) or work.owner.name


def _current_task() -> trio.lowlevel.Task | None:
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:
        return None


def _scopes_of(coroutine: Any) -> list[trio.CancelScope]:
    """The cancel scopes that a coroutine which waits has entered by `with`, or has at hand.

    The garbage collector tells what is on its stack: the `__exit__` that a `with` calls in the end.
    """
    found = [getattr(each, "__self__", each) for each in gc.get_referents(coroutine)]
    return [each for each in found if isinstance(each, trio.CancelScope)]


def _stack_of(frame: FrameType | None) -> list[FrameType]:
    """The frames of the current thread up to trio's loop, the innermost first."""
    stack = []
    while frame is not None and frame.f_code.co_name != "unrolled_run":
        stack.append(frame)
        frame = frame.f_back
    return stack


def _own_in(stack: Iterable[FrameType]) -> FrameType | None:
    """The innermost frame of an app's own code; the innermost first."""
    return next((each for each in stack if STACKS.is_own(each.f_code.co_filename)), None)


def _without_trio(stack: list[FrameType]) -> list[FrameType]:
    return [each for each in stack if not each.f_globals.get("__name__", "").startswith("trio.")]


def _work_in(stack: list[FrameType]) -> tuple[Work | None, FrameType | None]:
    """The innermost piece of work that these frames are part of, and its function of the app's; the innermost first."""
    inner: FrameType | None = None
    for frame in stack:
        describe = STACKS.places.get(frame.f_code)
        work = None if describe is None else describe(frame.f_locals)
        if work is not None:
            return work, inner
        if STACKS.is_own(frame.f_code.co_filename):
            inner = frame
    return None, None


def _in_words(work: Work, inner: FrameType | None) -> str:
    what = work.what
    if what.startswith("message ") and inner is not None:
        what = f"handler {inner.f_code.co_name}"
    return ARROW.join([*_places_of(work), what])


def _places_of(work: Work) -> list[str]:
    places = (("application", work.application), ("session", work.session))
    return [f"{kind} {name}" for kind, name in places if name != "-"]


def _short(name: str) -> str:
    """A task's name without its module: "poll" of "ticker.feed.poll"."""
    return name.rpartition(".")[2]


def _place_of(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    path = Path(frame.f_code.co_filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"line {frame.f_lineno} of {shown}"
