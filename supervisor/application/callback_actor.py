"""The actor that runs an application's callbacks, so that they never delay creations or hooks."""

from __future__ import annotations

from typing import final

from supervisor.actor.base import Actor, Runtime
from supervisor.actor.guard import Report, pass_on, split_failure


@final
class CallbackActor(Actor):
    """Runs an application's periodic, timeout and next-tick callbacks, one at a time."""

    def __init__(self, application: str, runtime: Runtime, report: Report) -> None:
        super().__init__(f"callbacks of application {application}", runtime)
        self.application = application
        """The application's name."""
        self._report = report

    def report(self, what: str, error: BaseException) -> str:
        """See `Actor.report`."""
        return self._report(what, error)

    async def run(self) -> None:
        """Handle ticks until cancelled. This is the outer guard: it starts the loop again after a failure in it."""
        while True:
            try:
                await self.handle_mail()
            except BaseException as error:
                failure, rest = split_failure(error)
                if failure is not None:
                    self.report("application callback", failure)
                if rest is not None:
                    pass_on(error, rest)
