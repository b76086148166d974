"""Calling `on_session_failed`: once for each failure of a session's code, in a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from supervisor.actor.stopping import Stopping
from supervisor.application.deadline import DESTROY_RESERVE, call_last_hook
from supervisor.application.handlers import Application, Handler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import InvalidValue
from supervisor.session.actor import SessionActor

NAME = "on_session_failed"


@final
class SessionFailedHooks:
    """The `on_session_failed` hooks of one application."""

    def __init__(self, definition: Application, *, options: ApplicationOptions, stopping: Stopping) -> None:
        self.any = any(handler.has_hook(NAME) for handler in definition.handlers)
        """Whether a handler has one."""
        self._application = definition.name
        self._options = options
        self._stopping = stopping

    async def tell(self, session: SessionActor, handlers: Iterable[Handler]) -> None:
        """Run the hooks of these handlers for each untold failure. What a hook raises is only reported.

        Cancelled, it leaves the hook in hand; that failure counts as told.
        """
        while (error := session.recovery.next_untold()) is not None:
            for handler in handlers:
                if handler.has_hook(NAME):
                    await self._call(session, handler, error)

    async def _call(self, session: SessionActor, handler: Handler, error: BaseException) -> None:
        try:
            succeeded = await call_last_hook(
                self._stopping,
                NAME,
                handler,
                session.context,
                error,
                timeout=self._options.hook_timeout,
                reserve=DESTROY_RESERVE,
                report=session.report,
                story=session.story,
            )
        except BaseException:
            session.undo()
            raise
        if succeeded:
            session.runtime.instruments.failure_told(
                application=self._application, session=session.shown_id, error=error
            )
        try:
            if succeeded:
                session.keep()
        except InvalidValue as refusal:  # the document would be too large
            session.report(NAME, refusal)
        session.undo()
