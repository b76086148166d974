"""One session in a test: the page that a visitor was served, and the clients that join it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import final

import trio

from supervisor.client.page import read_entry
from supervisor.protocol.client import ClientConnection
from supervisor.session.context import SessionContext
from supervisor.testing.client import Client
from supervisor.testing.http import Answer


@final
class TestSession:
    """One session, as a page's visitor has it."""

    __test__ = False  # for pytest: no class of tests

    def __init__(
        self,
        page: Answer,
        *,
        headers: Mapping[str, str],
        find: Callable[[str], SessionContext | None],
        open_stream: Callable[[], Awaitable[trio.abc.Stream]],
        nursery: trio.Nursery,
        clients: list[Client],
    ) -> None:
        """`clients` is where each client is noted."""
        entry = read_entry(page.text)
        assert entry is not None, "the page has no <meta name=supervisor>"
        self.page = page
        """The page that was served."""
        self.id = entry.session
        """The session's id."""
        self._entry = entry
        # Those of the page's request, which a browser sends with its websocket too, or a proxy for it.
        self._headers = headers
        self._find = find
        self._open_stream = open_stream
        # Where clients live.
        self._nursery = nursery
        self._clients = clients

    @property
    def context(self) -> SessionContext:
        """The session, as hooks meet it.

        Raises:
            LookupError: it has ended.
        """
        context = self._find(self.id)
        if context is None:
            raise LookupError(f"session {self.id} has ended")
        return context

    async def connect(self) -> Client:
        """A client that is attached and has the document. It is closed when the test's block ends.

        Raises:
            AssertionError: it was not live within 60 seconds, or was turned away.
        """
        client = self.client()
        await client.until(lambda data: True)
        return client

    def client(self) -> Client:
        """A client that begins to connect; nothing is waited for."""
        entry = self._entry
        protocol = ClientConnection(token=entry.token, session=self.id, max_message_size=entry.max_message_size)
        client = Client(self._open_stream, entry.websocket, protocol, headers=self._headers)
        self._clients.append(client)
        self._nursery.start_soon(client.run, name=f"client of session {self.id}")
        return client
