"""Calling `on_callback_failed`: once for each failure of a producer or callback, in the task in which it failed.

Essay: only what has failed waits. The hook for a producer is called in the producer's own task, before its pause; the
hook for a periodic, timeout or next-tick callback in the task of the application's callbacks, before the next callback.
So there is no queue of failures that could grow, and a hook that hangs delays no other producer. The hook is shielded:
if its producer is removed or its application ends, a hook that has begun may finish, under its deadline.
"""

from __future__ import annotations

from typing import Any, final

import trio

from supervisor.actor.guard import Report
from supervisor.actor.stopping import Stopping
from supervisor.actor.story import Story
from supervisor.application.deadline import UNLOAD_RESERVE, call_last_hook
from supervisor.application.handlers import Application
from supervisor.instruments import Instruments


@final
class CallbackFailedHooks:
    """The `on_callback_failed` hooks of one application."""

    def __init__(
        self,
        definition: Application,
        *,
        context: Any,
        timeout: float,
        stopping: Stopping,
        report: Report,
        instruments: Instruments,
        story: Story | None = None,
    ) -> None:
        """`stopping` and `story` are the application's; the time of its unload hooks is left to them."""
        self._application = definition.name
        self._handlers = [handler for handler in definition.handlers if handler.has_hook("on_callback_failed")]
        self._context = context
        self._timeout = timeout
        self._report = report
        self._instruments = instruments
        self._story = story
        self._stopping = Stopping(stopping, reserve=UNLOAD_RESERVE)

    def end_by(self, at: float) -> None:
        """No hook may go on for longer, by `trio.current_time()`; a later time than before changes nothing."""
        self._stopping.move(at)

    def leave(self) -> None:
        """The application is over: no hook is called any more."""
        self._stopping.hard()
        self._stopping.leave()

    async def call(self, callback: Any, error: BaseException) -> None:
        """Call the hooks, each under its deadline. What they raise is reported and stops nothing, nor is it told of.

        Once the time of all is over none is called: what is slow to unwind at the end doesn't meet unload hooks.
        """
        for handler in self._handlers:
            if trio.current_time() >= self._stopping.at:
                return
            with trio.CancelScope(shield=True):
                succeeded = await call_last_hook(
                    self._stopping,
                    "on_callback_failed",
                    handler,
                    self._context,
                    callback,
                    error,
                    timeout=self._timeout,
                    report=self._report,
                    story=self._story,
                )
            if succeeded:
                self._instruments.failure_told(application=self._application, session="-", error=error)

    def __repr__(self) -> str:
        return f"<CallbackFailedHooks of {len(self._handlers)} handlers>"
