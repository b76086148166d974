"""The door for other threads: hand a call to the server's thread and wait for its result."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, final

import trio

from supervisor.actor.guard import pass_on, split_failure
from supervisor.errors import ActorGone


@final
class ThreadDoor:
    """Runs other threads' calls as tasks of one nursery."""

    def __init__(self, nursery: trio.Nursery, owner: str) -> None:
        self._nursery = nursery
        self._owner = owner
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._open = True
        self._calls: set[concurrent.futures.Future[Any]] = set()

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """See `ApplicationContext.call_from_thread`."""
        if threading.get_ident() == self._thread:
            raise RuntimeError("this is the server's thread: call the function yourself, and await it")
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        scope = trio.CancelScope()
        try:
            self._token.run_sync_soon(self._start, future, scope, func, args)
        except trio.RunFinishedError:
            raise self._gone() from None
        try:
            return future.result(timeout)
        except concurrent.futures.CancelledError:
            raise self._gone() from None
        except TimeoutError:
            if future.done():  # the function itself raised it
                raise
            try:
                self._token.run_sync_soon(scope.cancel)
            except trio.RunFinishedError:
                raise self._gone() from None
            raise TimeoutError(f"the call took longer than {timeout:g} s; it was cancelled") from None

    def close(self) -> None:
        """Take no more calls; those that wait fail."""
        self._open = False
        for future in list(self._calls):
            future.cancel()

    def _start(
        self,
        future: concurrent.futures.Future[Any],
        scope: trio.CancelScope,
        func: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        if not self._open:
            future.cancel()
            return
        self._calls.add(future)
        self._nursery.start_soon(self._run, future, scope, func, args, name=func)

    async def _run(
        self,
        future: concurrent.futures.Future[Any],
        scope: trio.CancelScope,
        func: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            with scope:
                result = func(*args)
                if hasattr(result, "__await__"):
                    result = await result
        except BaseException as error:
            failure, rest = split_failure(error)
            if rest is not None:
                future.cancel()
                pass_on(error, rest)
        finally:
            self._calls.discard(future)
            if not future.cancelled():
                if scope.cancelled_caught:
                    future.cancel()
                elif failure is not None:
                    future.set_exception(failure)
                else:
                    future.set_result(result)

    def _gone(self) -> ActorGone:
        return ActorGone(f"{self._owner} has ended")
