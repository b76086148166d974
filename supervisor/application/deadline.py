"""The deadline of an application's end, and the hooks that it bounds.

An end can have a deadline. It moves nearer what is under way: nobody's hook begins with more time than is left, and one
that had begun before loses what is too much. A reserve keeps some of the time for the hooks that come after.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, final

import trio

from supervisor.actor.guard import Report, pass_on, split_failure
from supervisor.application.handlers import Handler
from supervisor.application.hooks import call_author

UNLOAD_RESERVE = 2.0
"""Seconds of a shutdown's time that load and destroyed hooks must leave to the unload hooks."""
DESTROY_RESERVE = 2.0
"""Seconds of a shutdown's time that the closed hooks of connections must leave to the destroyed hooks, beside that."""


@final
class EndDeadline:
    """When an application must have ended: infinity until somebody says so."""

    def __init__(self) -> None:
        self.at = math.inf
        """By `trio.current_time()`."""
        # The scopes of hooks that are under way and that the end waits for, each with the seconds that it must leave.
        self._hooks: dict[trio.CancelScope, float] = {}

    def __repr__(self) -> str:
        return f"<EndDeadline at {self.at:g}, {len(self._hooks)} hooks under way>"

    @property
    def of_sessions(self) -> float:
        """When sessions must have ended, so that the unload hooks have their time."""
        return self.at - UNLOAD_RESERVE

    def move(self, at: float) -> None:
        """Make it nearer, also for hooks that are under way; a later time changes nothing."""
        self.at = min(self.at, at)
        for scope, reserve in self._hooks.items():
            scope.deadline = min(scope.deadline, self.at - reserve)

    @contextlib.contextmanager
    def hook(self, reserve: float) -> Iterator[trio.CancelScope]:
        """The scope for a hook that the end waits for; it must leave `reserve` seconds."""
        scope = trio.CancelScope(deadline=self.at - reserve)
        self._hooks[scope] = reserve
        try:
            yield scope
        finally:
            del self._hooks[scope]

    async def call_last_hook(
        self, name: str, handler: Handler, *args: Any, timeout: float, reserve: float, report: Report
    ) -> bool:
        """Call a closed, destroyed or unload hook, whose failure stops nobody: it is reported. Whether it succeeded."""
        try:
            with self.hook(reserve) as scope:
                await call_author(getattr(handler, name), *args, timeout=timeout, scope=scope)
        except BaseException as error:
            failure, rest = split_failure(error)
            if failure is not None:
                report(name, failure)
            if rest is not None:
                pass_on(error, rest)
            return False
        return True
