"""A session's background tasks: they run beside its handlers, and end with it, or with a restart."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol, final

import trio

from supervisor.actor.guard import pass_on

GRACE = 5.0
"""Seconds that cancelled tasks get to unwind before a restart goes on without them: as long as borrows at an end."""

ReportRest = Callable[[str, BaseException], BaseException | None]
"""ReportRest(what, error): reports what of the error is a failure, and returns what must pass."""


class Tasks(Protocol):
    """The background tasks of one session, as its actor knows them; a test without a server runs none."""

    def start(self, nursery: trio.Nursery | None, func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        """Start one in the session's nursery, if it has one; False: it can't be. See `SessionContext.start_soon`."""

    def running(self) -> Collection[trio.CancelScope]:
        """Those that have not ended, by the scopes that they run in."""

    async def end(self, *, but: Collection[trio.CancelScope] = ()) -> list[str]:
        """Cancel all but these and wait for them; returns what those do that unwind for longer than 5 s."""


@final
class Background:
    """The background tasks of one session. They run in the session's own nursery, each in a scope of its own."""

    __slots__ = ("_ended", "_report", "_running")

    def __init__(self, report: ReportRest) -> None:
        self._report = report
        # Those that have not ended, with their names.
        self._running: dict[trio.CancelScope, str] = {}
        self._ended = trio.Event()

    def start(self, nursery: trio.Nursery | None, func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        """See `Tasks.start`."""
        if nursery is None:
            return False
        scope = trio.CancelScope()
        name = f"background task {getattr(func, '__qualname__', func)}"
        self._running[scope] = name
        nursery.start_soon(self._run, func, args, scope, name, name=func)
        return True

    def running(self) -> frozenset[trio.CancelScope]:
        """See `Tasks.running`."""
        return frozenset(self._running)

    async def end(self, *, but: Collection[trio.CancelScope] = ()) -> list[str]:
        """See `Tasks.end`."""
        ending = [scope for scope in self._running if scope not in but]
        for scope in ending:
            scope.cancel()
        with trio.move_on_after(GRACE):
            while any(scope in self._running for scope in ending):
                self._ended = trio.Event()
                await self._ended.wait()
        return [self._running[scope] for scope in ending if scope in self._running]

    async def _run(self, func: Callable[..., Any], args: tuple[Any, ...], scope: trio.CancelScope, name: str) -> None:
        try:
            with scope:
                await trio.lowlevel.checkpoint_if_cancelled()
                result = func(*args)
                if hasattr(result, "__await__"):
                    await result
        except BaseException as error:
            rest = self._report(name, error)
            if rest is not None:
                pass_on(error, rest)
        finally:
            del self._running[scope]
            self._ended.set()

    def __len__(self) -> int:
        return len(self._running)
