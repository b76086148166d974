"""The porter: runs an application's opened hooks before a connection is attached, and its closed hooks afterwards."""

from __future__ import annotations

from typing import final

import attrs
import trio

from supervisor.actor.guard import split_failure
from supervisor.actor.stopping import Stopping
from supervisor.application.deadline import DESTROY_RESERVE, call_last_hook
from supervisor.application.handlers import Application, Handler
from supervisor.application.hooks import call_author, refusal_in
from supervisor.application.options import ApplicationOptions
from supervisor.errors import InvalidValue
from supervisor.session.actor import SessionActor
from supervisor.session.connection import ConnectionContext


@final
@attrs.define(eq=False)
class _LetIn:
    """A connection that hooks have let in: whose closed hook is due, the last one first."""

    connection: ConnectionContext
    handlers: list[Handler] = attrs.field(factory=list)


@final
class Porter:
    """The connection hooks of one application; see `session.opening` for the order of things."""

    def __init__(self, definition: Application, *, options: ApplicationOptions, stopping: Stopping) -> None:
        self._handlers = tuple(
            handler
            for handler in definition.handlers
            if handler.has_hook("on_connection_opened") or handler.has_hook("on_connection_closed")
        )
        self._options = options
        # What ends the sessions.
        self._stopping = stopping
        # By session, and there by the connection's id.
        self._let_in: dict[SessionActor, dict[str, _LetIn]] = {}

    @property
    def is_needed(self) -> bool:
        """Whether there is any hook; if there is none, a connection needn't wait for its turn."""
        return bool(self._handlers)

    async def open_connection(self, session: SessionActor, connection: ConnectionContext) -> str | None:
        """See `session.opening.Porter.open_connection`."""
        let_in = _LetIn(connection)
        self._let_in.setdefault(session, {})[connection.id] = let_in
        for handler in self._handlers:
            try:
                await call_author(
                    handler.on_connection_opened,
                    session.context,
                    connection,
                    timeout=self._options.hook_timeout,
                    story=session.story,
                )
                session.keep()
            except BaseException as error:
                session.undo()
                failure, rest = split_failure(error)
                if rest is not None:  # the session ends, and with it those that were let in
                    raise
                await self.close_connection(session, connection)
                refusal = refusal_in(failure)
                if refusal is None:
                    raise
                return refusal
            let_in.handlers.append(handler)
            if session.ending is not None:
                break
        return None

    async def close_connection(self, session: SessionActor, connection: ConnectionContext) -> None:
        """See `session.opening.Porter.close_connection`. The session's end doesn't interrupt it."""
        let_in = self._let_in.get(session, {}).pop(connection.id, None)
        if let_in is not None:
            let_in.connection = connection
            await self._close(session, let_in, until=trio.current_time() + self._options.hook_timeout)

    async def close_connections(self, session: SessionActor) -> None:
        """Run all closed hooks that are due, because the session ends. They share the time that one has."""
        latest = {connection.id: connection for connection in session.connection_contexts}
        until = trio.current_time() + self._options.hook_timeout
        for let_in in self._let_in.pop(session, {}).values():
            let_in.connection = latest.get(let_in.connection.id, let_in.connection)
            await self._close(session, let_in, until=until)

    async def _close(self, session: SessionActor, let_in: _LetIn, *, until: float) -> None:
        with trio.CancelScope(shield=True):
            while let_in.handlers:
                if await call_last_hook(
                    self._stopping,
                    "on_connection_closed",
                    let_in.handlers.pop(),
                    session.context,
                    let_in.connection,
                    timeout=max(0.0, until - trio.current_time()),
                    reserve=DESTROY_RESERVE,
                    report=session.report_supervised,
                    story=session.story,
                ):
                    _keep(session)
                else:
                    session.undo()

    def __repr__(self) -> str:
        return f"<Porter with {sum(map(len, self._let_in.values()))} connections let in>"


def _keep(session: SessionActor) -> None:
    """Keep what a closed hook has changed, or report that it can't be: the hooks after it are due all the same."""
    try:
        session.keep()
    except InvalidValue as error:
        session.undo()
        session.report("on_connection_closed", error)
