"""The door for other threads: hand a call to the server's thread and wait for its result."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, final

import trio

from supervisor.actor.guard import Report, pass_on, split_failure
from supervisor.actor.holding import host_of_this_thread, works_for
from supervisor.errors import ActorGone, HandlerFailed


@final
class _Call:
    """One call of another thread."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.func = func
        self.args = args
        self.future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.scope = trio.CancelScope()
        # The task that waits for the calling thread, if that is known.
        self.host: trio.lowlevel.Task | None = None

    def __str__(self) -> str:
        return f"call_from_thread({getattr(self.func, '__qualname__', self.func)})"


@final
class ThreadDoor:
    """Runs other threads' calls as tasks of one nursery.

    Args:
        nursery: where they run.
        owner: whose nursery it is, in words.
        report: told of what a call raises whose thread has left.
        hosted: whether the nursery is of the task that waits for the threads that call.
    """

    def __init__(self, nursery: trio.Nursery, owner: str, report: Report, *, hosted: bool = False) -> None:
        self._nursery = nursery
        self._owner = owner
        self._report = report
        self._hosted = hosted
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._open = True

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """See `ApplicationContext.call_from_thread`."""
        if threading.get_ident() == self._thread:
            raise RuntimeError("this is the server's thread: call the function yourself, and await it")
        if not timeout >= 0:  # NaN is none
            raise ValueError(f"timeout must be a number of seconds, at least 0, not {timeout!r}")
        call = _Call(func, args)
        if not self._hosted:
            call.host = host_of_this_thread()
        try:
            self._token.run_sync_soon(self._start, call)
            try:
                return call.future.result(min(timeout, threading.TIMEOUT_MAX))
            except TimeoutError:
                if call.future.done():  # the function itself raised it, or it was ready just now
                    return call.future.result()
                self._token.run_sync_soon(call.scope.cancel)
        except trio.RunFinishedError:
            raise self._gone() from None
        raise TimeoutError(f"the call took longer than {timeout:g} s; it was cancelled; allow more time with timeout=")

    def close(self) -> None:
        """Take no more calls. Those that are under way end with the nursery."""
        self._open = False

    def _start(self, call: _Call) -> None:
        if self._open:
            self._nursery.start_soon(self.serve, call, name=call.func)
        else:
            call.future.set_exception(self._gone())

    async def serve(self, call: _Call) -> None:
        """Do what a thread asked for, and hand it the result: as long as this goes on, the thread waits."""
        result: Any = None
        failure: BaseException | None = None
        try:
            with works_for(call.host), call.scope:
                await trio.lowlevel.checkpoint_if_cancelled()
                result = call.func(*call.args)
                if hasattr(result, "__await__"):
                    result = await result
        except BaseException as error:
            failure, rest = split_failure(error)
            if rest is not None:
                if failure is not None:
                    self._report(str(call), failure)
                call.future.set_exception(self._gone())
                pass_on(error, rest)
        if failure is None:
            call.future.set_result(result)
        elif call.scope.cancel_called:  # the thread has left, and gets it from nobody
            self._report(str(call), failure)
            call.future.set_exception(failure)
        elif isinstance(failure, Exception):
            call.future.set_exception(failure)
        else:  # a SystemExit that reached the thread would end it without a word
            incident = self._report(str(call), failure)
            call.future.set_exception(HandlerFailed(f"{failure!r} ended {call} (incident {incident})"))

    def _gone(self) -> ActorGone:
        return ActorGone(f"{self._owner} has ended")
