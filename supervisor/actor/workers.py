"""Worker threads: they call plain functions that block, for a task in the server that awaits them.

Essay: a thread can't be cancelled. When the task that awaits it is cancelled, the thread's key is revoked, so that the
next thing of ours that it touches raises. Then it gets `GRACE` seconds to come back. If it does, all is as if it had
been cancelled. If it doesn't, it is abandoned, and reported with its stack: the task goes on, and so does the thread,
but it can't change anything of ours any more. A single call that it had begun before (an assignment, an `append`) is
done long before that; the grace is for this, too.

Essay: what a thread calls in the loop (`call_from_thread`) runs in a nursery of the task that awaits the thread. So it
counts as that task's own: it ends with it, and a wait that would close a circle is found like any other.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, final

import attrs
import outcome
import trio

from supervisor.actor.guard import Report
from supervisor.actor.ref import TIMEOUT, in_time
from supervisor.actor.stalls import StackReader
from supervisor.actor.stalls import Work as PieceOfWork
from supervisor.actor.stopping import Stopping
from supervisor.actor.thread_door import ThreadDoor
from supervisor.actor.unawaited import catch_in_thread, unawaited
from supervisor.errors import ActorGone

MAX_THREADS = 40
"""Threads that work for one application at once; trio's own default."""
GRACE = 5.0
"""Seconds that a thread gets to come back when nobody waits for its result any more."""


@final
@attrs.frozen(kw_only=True)
class WorkOwner:
    """Whom a thread works for."""

    name: str
    """Whose work it is, in words: "session 1a2b3c4d"."""
    report: Report
    """Told of a thread that was abandoned, and of what is raised in one afterwards."""
    gone: Callable[[], Exception]
    """What a thread gets that touches anything of ours when its work is over, or was cancelled."""
    has_ended: Callable[[], bool]
    """Whether results are worth nothing any more."""
    stopping: Stopping
    """Its deadline is when a thread is abandoned at the latest."""
    lend: Callable[[Work], AbstractContextManager[None]] = lambda work: contextlib.nullcontext()
    """Entered while the thread works: lends it what it works on."""


@final
class Work:
    """One call of a function in a thread, from when the thread is asked for until it is back."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], owner: WorkOwner) -> None:
        self.owner = owner
        self.thread: int | None = None
        """The thread's `threading.get_ident()` while it runs the function."""
        self.door: ThreadDoor | None = None
        """By which the thread calls the loop."""
        self.revoked: Exception | None = None
        """What the thread gets at its next touch; None while it may go on."""
        self.result: outcome.Outcome[Any] | None = None
        """What came of it; None before."""
        self.refused = False
        """Whether the thread touched something of ours after it was revoked."""
        self.abandoned = False
        """Whether nobody waits any more for the thread to come back."""
        self.back = trio.Event()
        """Set when the thread is back; not if it was abandoned before."""
        self._func = func
        self._args = args
        self._context = contextvars.copy_context()
        self._token = trio.lowlevel.current_trio_token()

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self._func, "__qualname__", repr(self._func)))

    # In the thread.

    def run(self) -> Any:
        """Call the function."""
        return self._context.run(self._run)

    def _run(self) -> Any:
        self.thread = threading.get_ident()
        _current.set(self)
        try:
            with catch_in_thread() as dropped:
                result = self._func(*self._args)
                if hasattr(result, "__await__"):
                    close = getattr(result, "close", None)
                    if close is not None:
                        close()
                    raise TypeError(f"{self.name} returned an awaitable, and nothing awaits in a worker thread")
            if dropped:
                raise unawaited(dropped, way_out="in a thread write app_context.call_from_thread(func, *args)")
            return result
        finally:
            self.thread = None

    def check(self) -> None:
        """Raise unless this is the thread, and may go on."""
        if self.revoked is not None:
            self.refused = True
            raise self.revoked
        if self.thread != threading.get_ident():
            raise self.owner.gone()

    def call_in_loop(self, func: Callable[[], None]) -> None:
        """Have a plain function called in the loop, and wait for that; unless the work is over by then.

        It has no deadline: the loop turns, or the process is about to end.
        """
        future: concurrent.futures.Future[None] = concurrent.futures.Future()

        def call() -> None:
            try:
                if self.revoked is not None:  # since it was asked for
                    self.refused = True
                    raise self.revoked
                func()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)

        try:
            self._token.run_sync_soon(call)
        except trio.RunFinishedError:
            raise self.owner.gone() from None
        future.result()


def _in_thread(local: Mapping[str, Any]) -> PieceOfWork:
    """In `Work._run`: what lies inside of it is the author's code."""
    return PieceOfWork(what=local["self"].name, piece=local["self"])


_STACKS = StackReader({Work._run.__code__: _in_thread}, lambda file: True)
# The work of the thread in which this is asked; in the loop's thread there is none.
_current: contextvars.ContextVar[Work | None] = contextvars.ContextVar("supervisor work", default=None)


def current_work() -> Work | None:
    """What this thread works on for somebody, or None."""
    return _current.get()


@final
class Workers:
    """The worker threads of one application."""

    def __init__(self, max_threads: int = MAX_THREADS) -> None:
        self._limiter = trio.CapacityLimiter(max_threads)
        self.awaited = 0
        """How many threads work now for somebody who waits for them."""

    @property
    def at_work(self) -> int:
        """How many threads work now, those included that were abandoned and have not come back."""
        return int(self._limiter.borrowed_tokens)

    async def run(self, func: Callable[..., Any], args: tuple[Any, ...], owner: WorkOwner) -> Any:
        """Call `func(*args)` in a worker thread; returns what it returns, and raises what it raises.

        Waits for a thread first if all are at work; safe to cancel then. Cancelled later, it waits until the thread is
        back: for `GRACE` seconds at most, see above. A result that the thread has by then is returned all the same,
        unless the owner has ended.

        Raises:
            trio.TooSlowError: no thread was free for `TIMEOUT` seconds; the function was not called.
        """
        work = Work(func, args, owner)
        with in_time(TIMEOUT, f"the wait of {work.name} for one of {self._limiter.total_tokens:g} threads"):
            await self._limiter.acquire_on_behalf_of(work)
        with owner.lend(work):
            cancelled = await self._wait_for(work)
            work.revoked = work.revoked or owner.gone()
        result = work.result
        if isinstance(result, outcome.Error) and result.error is not work.revoked:
            raise result.error
        if isinstance(result, outcome.Value) and not (cancelled and (work.refused or owner.has_ended())):
            return result.value
        await trio.lowlevel.checkpoint_if_cancelled()
        raise work.revoked  # it was revoked, and this task was not cancelled: never so

    async def _wait_for(self, work: Work) -> bool:
        """Let a thread do it, and wait; returns whether this task was cancelled meanwhile."""
        async with trio.open_nursery() as calls:
            work.door = ThreadDoor(calls, f"the work of {work.name}", work.owner.report, hosted=True)
            token = trio.lowlevel.current_trio_token()
            try:
                trio.lowlevel.start_thread_soon(work.run, lambda result: self._deliver(work, result, token), work.name)
            except BaseException:  # the system has no more threads
                self._limiter.release_on_behalf_of(work)
                raise
            self.awaited += 1
            try:
                await work.back.wait()
            except trio.Cancelled:
                await self._give_up(work)
                return True
            finally:
                work.door.close()
                calls.cancel_scope.cancel()
        return False

    async def _give_up(self, work: Work) -> None:
        owner = work.owner
        work.revoked = owner.gone()
        with owner.stopping.working(timeout=GRACE, shield=True):
            await work.back.wait()
        if work.back.is_set():
            return
        work.abandoned = True
        self.awaited -= 1
        error = trio.TooSlowError(
            f"the thread of {work.name} has not come back since its work was cancelled, and is left behind; "
            "give what it waits for a timeout, or touch the document now and then, which ends it"
        )
        held = None if work.thread is None else _STACKS.read(work.thread)
        if held is not None:
            error.add_note(f"It was here:\n{held.stack.rstrip()}")
        owner.report(f"thread of {work.name}", error)

    def _deliver(self, work: Work, result: outcome.Outcome[Any], token: trio.lowlevel.TrioToken) -> None:
        """In the thread: it is back."""
        with contextlib.suppress(trio.RunFinishedError):  # nobody is there to be told
            token.run_sync_soon(self._finish, work, result)

    def _finish(self, work: Work, result: outcome.Outcome[Any]) -> None:
        self._limiter.release_on_behalf_of(work)
        if not work.abandoned:
            self.awaited -= 1
            work.result = result
            work.back.set()
        elif isinstance(result, outcome.Error) and not isinstance(result.error, (type(work.revoked), ActorGone)):
            work.owner.report(f"abandoned thread of {work.name}", result.error)

    def __repr__(self) -> str:
        return f"<Workers {self.at_work} of {self._limiter.total_tokens:g} at work>"
