"""The actor that runs an application's callbacks, so that they never delay creations or hooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, final

from supervisor.actor.base import Actor, Runtime
from supervisor.actor.entry import Entry
from supervisor.actor.guard import Report, pass_on, split_failure
from supervisor.actor.story import Story

Tell = Callable[[Entry, BaseException], Awaitable[None]]
"""Awaited after each failure of a callback; raises nothing but a cancellation."""


async def _tell_nobody(callback: Entry, error: BaseException) -> None:
    """No hook hears of it."""


@final
class CallbackActor(Actor):
    """Runs an application's periodic, timeout and next-tick callbacks, one at a time."""

    def __init__(
        self,
        application: str,
        runtime: Runtime,
        report: Report,
        tell: Tell = _tell_nobody,
        *,
        story: Story | None = None,
    ) -> None:
        super().__init__(f"callbacks of application {application}", runtime, story=story)
        self.application = application
        """The application's name."""
        self._report = report
        self._tell = tell
        # The callback in hand, or the last one; and what of it was reported and is to be told.
        self._callback: Entry | None = None
        self._untold: list[tuple[Entry, BaseException]] = []

    def report(self, what: str, error: BaseException) -> str:
        """See `Actor.report`."""
        if self._callback is not None:
            self._untold.append((self._callback, error))
        return self._report(what, error)

    def handle(self, entry: Entry) -> Any | None:
        """See `Actor.handle`; a failure is told before the next callback has its turn."""
        self._callback = entry
        waiting = super().handle(entry)
        return None if waiting is None and not self._untold else self._finish_and_tell(waiting)

    async def _finish_and_tell(self, waiting: Any | None) -> None:
        try:
            if waiting is not None:
                await waiting
        finally:
            await self._tell_all()

    async def _tell_all(self) -> None:
        while self._untold:
            await self._tell(*self._untold.pop(0))

    async def run(self) -> None:
        """Handle ticks until cancelled. This is the outer guard: it starts the loop again after a failure in it."""
        while True:
            try:
                await self.handle_mail()
            except BaseException as error:
                failure, rest = split_failure(error)
                if failure is not None:
                    self._report("application callback", failure)
                if rest is not None:
                    pass_on(error, rest)
            finally:
                await self._tell_all()  # what was found between two callbacks
