"""An application that runs in a test: its sessions, its messages, what failed in it, and its pages."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import final
from urllib.parse import urlencode

import trio

from supervisor.application.actor import ApplicationActor
from supervisor.application.broadcast import TIMEOUT, BroadcastReport
from supervisor.application.context import ApplicationContext, Sessions
from supervisor.client.page import read_sentence
from supervisor.errors import PageRefused
from supervisor.instruments import Incident
from supervisor.server import Server
from supervisor.session.context import SessionContext
from supervisor.testing.http import Answer, get
from supervisor.testing.incidents import Incidents
from supervisor.testing.memory import MemoryListener
from supervisor.testing.session import TestSession


@final
class RunningApp:
    """One application that runs in the test's server."""

    def __init__(
        self, server: Server, actor: ApplicationActor, listener: MemoryListener, nursery: trio.Nursery, seen: Incidents
    ) -> None:
        self.server = server
        """The server that runs it."""
        self.actor = actor
        """The application's actor: our inside, for the kit's own tests."""
        self.listener = listener
        """Where connections are made without a port: `await app.listener.connect()` gives a client's stream."""
        self._nursery = nursery
        self._seen = seen

    @property
    def context(self) -> ApplicationContext:
        """The application, as its hooks meet it."""
        return self.actor.context

    @property
    def sessions(self) -> Sessions:
        """The live sessions."""
        return self.context.sessions

    @property
    def messages(self) -> SimpleNamespace:
        """The classes of messages that the app handles, by name: `app.messages.Quote("ACME", 12.5)`.

        An app's directory is loaded under a private name, so its classes can't be imported: these are the ones it uses.
        """
        return SimpleNamespace(**{cls.__name__: cls for cls in self.actor.definition.receivers.by_type})

    @property
    def incidents(self) -> list[Incident]:
        """What failed so far. A test that expects failures looks at them here and clears the list."""
        return self._seen.incidents

    async def broadcast(self, message: object, *, timeout: float = TIMEOUT) -> BroadcastReport:
        """See `ApplicationContext.broadcast`."""
        return await self.context.broadcast(message, timeout=timeout)

    async def get(self, target: str, *, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """Ask the server for a page, whatever its status; `target` is path and query.

        Raises:
            trio.BrokenResourceError: the server closed the connection without a whole answer.
        """
        stream = await self.listener.connect()
        return await get(stream, target, headers=list((headers or {}).items()), method=method)

    async def new_session(
        self,
        *,
        id: str | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> TestSession:
        """Open the app's page, which makes a session, or joins the one with this id; `query` has further arguments.

        Its clients send the same headers and cookies when they connect, as a browser does.

        Raises:
            PageRefused: the page was not served; `text` and `headers` are the answer's.
        """
        sent = dict(headers or {})
        if cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        arguments = {**({} if id is None else {"session": id}), **(query or {})}
        asked = f"?{urlencode(arguments)}" if arguments else ""
        page = await self.get(f"{self.server.options.prefix}/{self.actor.application}{asked}", headers=sent)
        if page.status != 200:
            sentence = f"the page was answered with status {page.status}: {read_sentence(page.text)}"
            raise PageRefused(sentence, status=page.status, text=page.text, headers=page.headers)
        return TestSession(
            page, headers=sent, find=self._find, open_stream=self.listener.connect, nursery=self._nursery
        )

    def _find(self, id: str) -> SessionContext | None:
        session = self.actor.find(id)
        return None if session is None else session.context
