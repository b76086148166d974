"""The server of a test, and those that take its place when it is restarted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, final

import trio

from supervisor.application.actor import ApplicationActor
from supervisor.errors import ApplicationError
from supervisor.instruments import Incident
from supervisor.server import Server
from supervisor.testing.transports import Transport


@final
class Servers:
    """One server at a time. `start` the first one in a nursery, inside of which it lives, and all that follow.

    Args:
        make: makes a server of one application, each time another one.
        transport: what clients reach them by.
        begin: called in the task of each server, before it serves.
        watch_end: runs from when a server was stopped until it is over.
        expects: whether the test wanted this failure: an app that has ended by it doesn't end the test.
    """

    def __init__(
        self,
        make: Callable[[], Server],
        transport: Transport,
        *,
        begin: Callable[[], None],
        watch_end: Callable[[Server], Awaitable[None]],
        expects: Callable[[Incident], bool],
    ) -> None:
        __tracebackhide__ = True
        self.transport = transport
        self._make = make
        self._begin = begin
        self._watch_end = watch_end
        self._expects = expects
        self.server = make()
        """The one that serves now, or did so last."""
        self._nursery: trio.Nursery | None = None

    @property
    def actor(self) -> ApplicationActor:
        """The application's actor."""
        (actor,) = self.server.applications.values()
        return actor

    async def start(self, nursery: trio.Nursery) -> None:
        """Serve; returns when the app has loaded and connections are accepted.

        Raises:
            ApplicationError: the app's load hooks failed.
        """
        self._nursery = nursery
        await nursery.start(self._serve, self.server, await self.transport.listen())

    async def _serve(
        self, server: Server, listeners: Sequence[trio.abc.Listener[Any]], *, task_status: trio.TaskStatus[None]
    ) -> None:
        self._begin()
        try:
            await server.serve(listeners, task_status=task_status)
        except ApplicationError:
            failures = server.failures.values()
            if any(each.what == "on_application_load" or not self._expects(each) for each in failures) or not failures:
                raise

    def stop(self) -> None:
        """Begin a graceful shutdown, as SIGTERM does."""
        assert self._nursery is not None, "it was not started"
        self.server.stop()
        self._nursery.start_soon(self._watch_end, self.server)

    async def restart(self) -> None:
        """See `RunningApp.restart`."""
        self.stop()
        await self.server.wait_stopped()
        assert self._nursery is not None
        self.server = self._make()
        await self.start(self._nursery)


def raise_if_over(clients: trio.Nursery) -> None:
    """Refuse what needs a server when the block is over, in which clients lived here.

    Raises:
        RuntimeError: it is over.
    """
    if clients.cancel_scope.cancel_called:
        raise RuntimeError("the block has ended, and the app's server with it: do this inside the block")
