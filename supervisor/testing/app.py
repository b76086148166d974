"""An application that runs in a test: its sessions, its messages, what failed in it, and its pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import trio

from supervisor.application.actor import ApplicationActor
from supervisor.application.broadcast import TIMEOUT, BroadcastReport
from supervisor.application.context import ApplicationContext, Sessions
from supervisor.instruments import Incident
from supervisor.server import Server
from supervisor.session.actor import SessionActor
from supervisor.session.context import SessionContext
from supervisor.testing.application import Messages, messages_of
from supervisor.testing.client import Client
from supervisor.testing.clock import Clock
from supervisor.testing.faults import Faults
from supervisor.testing.http import Answer, get, open_http
from supervisor.testing.kit import Kit
from supervisor.testing.servers import Servers, raise_if_over
from supervisor.testing.session import Access, TestSession, open_session
from supervisor.testing.stories import id_of
from supervisor.testing.transports import Transport

if TYPE_CHECKING:
    import httpx


@final
class RunningApp:
    """One application that runs in the test's server."""

    def __init__(self, servers: Servers, nursery: trio.Nursery, kit: Kit) -> None:
        self._servers = servers
        # Where clients live.
        self._nursery = nursery
        self._kit = kit
        self._access = Access(open_stream=self._connect, find=self._find, begin=self._begin)

    @property
    def clock(self) -> Clock:
        """The server's time: a test can let it jump, and set its wall clock."""
        return self._kit.clock

    @property
    def faults(self) -> Faults:
        """What is to go wrong in the app's code: `app.faults.fail("on_quote", at=3)`."""
        return self._kit.faults

    @property
    def server(self) -> Server:
        """The server that runs it now."""
        return self._servers.server

    @property
    def actor(self) -> ApplicationActor:
        """The application's actor: an internal object, for the kit's own tests."""
        return self._servers.actor

    @property
    def transport(self) -> Transport:
        """How connections are made: `await app.transport.connect()` gives a client's stream."""
        return self._servers.transport

    @property
    def context(self) -> ApplicationContext:
        """The `app_context`, as the app's hooks get it."""
        return self.actor.context

    @property
    def sessions(self) -> Sessions:
        """The live sessions."""
        return self.context.sessions

    @property
    def messages(self) -> Messages:
        """The classes of messages that the app handles, by name: `app.messages.Quote("ACME", 12.5)`.

        An app's directory is loaded under a private name, so its classes can't be imported: these are the ones it uses.
        """
        return messages_of(self.actor.definition)

    @property
    def incidents(self) -> list[Incident]:
        """What has failed so far. A test that expects failures looks at them here and clears the list."""
        return self._kit.seen.incidents

    def story(self, session: TestSession | SessionContext | str | None = None) -> str:
        """What happened to a session lately, even if it has ended; without an argument, to the application.

            story of session 1a2b3c4d (id 'desk'):
               0.000 s  hook modify_document  → revision 1: add /prices
              12.500 s  message Quote(symbol='ACME', price=12.5)  → revision 2: add /prices/ACME; to 5e6f7a8b

        Times count from the beginning of the block. The last 100 entries are kept, or `ServerOptions.story_length`.

        Raises:
            LookupError: there was no such session, or a hundred others began after it.
        """
        return self._kit.stories.text_of(id_of(session))

    @property
    def stories(self) -> tuple[str, ...]:
        """The application's story, and those of the hundred youngest sessions; see `story`."""
        return self._kit.stories.texts()

    async def broadcast(self, message: object, *, timeout: float = TIMEOUT) -> BroadcastReport:
        """See `ApplicationContext.broadcast`."""
        raise_if_over(self._nursery)
        return await self.context.broadcast(message, timeout=timeout)

    async def settle(self) -> None:
        """Wait until everything has come to rest and clients show what the documents are. Needs no time by itself.

        Clients that were dropped, have ended or are stalled are left out.

        Raises:
            Left: a client shows something else, or within 60 seconds didn't get what was there when this began.
        """
        await self._kit.checks.now(self.server, ("documents",))

    async def check(self, *names: str) -> None:
        """Make these checks now: "tasks", "actors", "connections", "sockets", "coroutines", "errors", "documents".

        Without a name, all checks are made that are not switched off. Only "documents" waits: see `settle`.

        Raises:
            Left: something is left, each in a line.
            ValueError: there is no such check.
        """
        await self._kit.checks.now(self.server, names)

    async def get(self, target: str, *, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """Ask the server for a page, whatever its status; `target` is path and query.

        Raises:
            trio.BrokenResourceError: the server closed the connection without a whole answer.
            ValueError: the target doesn't begin with a slash.
        """
        raise_if_over(self._nursery)
        stream = await self._connect()
        return await get(stream, target, headers=list((headers or {}).items()), method=method)

    def http(self, **options: Any) -> httpx.AsyncClient:
        """An httpx client, to be used by `async with`: `await http.get("/ticker")`. It needs the package httpx.

        Connections go to the app, whatever host a URL names. `options` are those of `httpx.AsyncClient`; unless they
        say otherwise, each step of a request may take 60 seconds.

        Raises:
            RuntimeError: httpx isn't installed.
        """
        return open_http(self.transport.authority, self._connect, server=lambda: self.server, **options)

    async def restart(self) -> None:
        """End the server as SIGTERM does, and start another with the same options and keys, at the same address.

        An app that was given as a path is loaded anew, as by another process, so take its classes from `messages`
        again. Sessions are gone, with all that lived in memory; clients come back as they do in real life. Connections
        are refused while there is no server, and wait while the new one loads; the address is nobody else's meanwhile.
        Returns when connections are accepted. Cancelled, it may leave the app without a server.

        Raises:
            ApplicationError: the app can't be loaded again.
        """
        raise_if_over(self._nursery)
        await self._servers.restart()

    async def new_session(
        self,
        *,
        id: str | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> TestSession:
        """Open the app's page, which makes a session, or joins the one with this id; `query` has further arguments.

        An id of the test's own choice needs `ServerOptions(session_ids="any")`, as on any server.

        Its clients send the same headers and cookies when they connect, and the cookies that the page sets, as a
        browser does.

        Raises:
            PageRefused: the page was not served; `text` and `headers` are the answer's.
            ConnectFailed: no server accepts connections now, or what was served is not the page of a session.
            ValueError: a header can't be sent, or visitors can't choose it, such as Host.
        """
        raise_if_over(self._nursery)
        return await open_session(
            f"{self.server.options.prefix}/{self.actor.application}",
            self._access,
            id=id,
            headers=headers,
            cookies=cookies,
            query=query,
        )

    async def _connect(self) -> trio.abc.Stream:
        return await self.transport.connect()  # of the moment

    def _find(self, id: str) -> SessionActor | None:
        return self.actor.find(id)  # of the server that there is then

    def _begin(self, client: Client, session: str) -> None:
        raise_if_over(self._nursery)
        self._kit.checks.clients.append(client)
        self._kit.stories.joins(client, session)
        self._nursery.start_soon(client.run, name=f"client of session {session}")
