"""One session in a test: the page that a visitor was served, and the clients that join it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import final
from urllib.parse import urlencode

import trio

from supervisor.client.address import page_address
from supervisor.client.page import read_entry, read_sentence
from supervisor.client.visit import Visit
from supervisor.errors import PageRefused
from supervisor.instruments import Incident
from supervisor.session.actor import SessionActor
from supervisor.session.context import SessionContext
from supervisor.testing.client import Client
from supervisor.testing.crash import crash
from supervisor.testing.http import Answer, get
from supervisor.testing.network import Network
from supervisor.testing.stories import StoryBook


@final
class TestSession:
    """One session, as a page's visitor has it."""

    __test__ = False  # for pytest: no class of tests

    def __init__(
        self,
        page: Answer,
        *,
        target: str,
        headers: Mapping[str, str],
        find: Callable[[str], SessionActor | None],
        open_stream: Callable[[], Awaitable[trio.abc.Stream]],
        nursery: trio.Nursery,
        clients: list[Client],
        stories: StoryBook | None = None,
    ) -> None:
        """`clients` is where each client is noted, and `stories` too, if there are any."""
        entry = read_entry(page.text)
        assert entry is not None, "the page has no <meta name=supervisor>"
        self.page = page
        """The page that was served."""
        self.id = entry.session
        """The session's id."""
        self._address = page_address(f"http://localhost{target}")
        # With the headers of the page's request, which a browser sends with its websocket too, or a proxy for it.
        self._visit = Visit(
            entry=entry, websocket=self._address.websocket(entry.websocket), headers=tuple(headers.items())
        )
        self._find = find
        self._open_stream = open_stream
        # Where clients live.
        self._nursery = nursery
        self._clients = clients
        self._stories = stories

    @property
    def context(self) -> SessionContext:
        """The session, as hooks meet it.

        Raises:
            LookupError: it has ended.
        """
        return self._actor().context

    def _actor(self) -> SessionActor:
        session = self._find(self.id)
        if session is None:
            raise LookupError(f"session {self.id} has ended")
        return session

    async def crash(self, error: BaseException | None = None) -> Incident:
        """Let the session's own code raise in the middle of a transaction, as a next tick callback of it might.

        It comes in its turn, like a message, clears the document, and raises `error`, or an `InjectedFault`. That is
        rolled back, the app's failure policy decides, and its hooks hear of it, all as ever. Returns when what was
        decided is done: once the restarted session has its new document, or the stopped one has ended.

        Returns:
            What was reported; its `decision` says what followed. It is one of `app.incidents`, and isn't raised at
            the end of the block, since the test wanted it.

        Raises:
            LookupError: the session has ended; `SessionGone`: … before its turn came.
            AssertionError: its turn did not come, or what follows was not done, within 60 seconds.
            TypeError: the error is a `Rejected`, which is no failure.
        """
        return await crash(self._actor(), error)

    async def connect(self, *, network: Network | None = None, follow_reload: bool = True) -> Client:
        """A client that is attached and has the document. It is closed when the test's block ends.

        Args:
            network: what lies between the client and the server; a good one by default.
            follow_reload: whether it loads the page again, for a new session, where the old one is gone, as a browser
                does. Without it that is the end, with code 4404 or 4401.

        Raises:
            AssertionError: it was not live within 60 seconds, or was turned away.
        """
        client = self.client(network=network, follow_reload=follow_reload)
        await client.until(lambda data: True)
        return client

    def client(self, *, network: Network | None = None, follow_reload: bool = True) -> Client:
        """As `connect()`, but nothing is waited for: the client begins to connect."""
        page = self._address if follow_reload else None
        client = Client(self._visit, self._open_stream, page=page, network=network)
        self._clients.append(client)
        if self._stories is not None:
            self._stories.joins(client, self.id)
        self._nursery.start_soon(client.run, name=f"client of session {self.id}")
        return client


async def open_session(
    path: str,
    *,
    id: str | None,
    headers: Mapping[str, str] | None,
    cookies: Mapping[str, str] | None,
    query: Mapping[str, str] | None,
    find: Callable[[str], SessionActor | None],
    open_stream: Callable[[], Awaitable[trio.abc.Stream]],
    nursery: trio.Nursery,
    clients: list[Client],
    stories: StoryBook | None = None,
) -> TestSession:
    """See `RunningApp.new_session`: ask for the app's page, wherever the server is."""
    sent = dict(headers or {})
    if cookies:
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    arguments = {**({} if id is None else {"session": id}), **(query or {})}
    asked = f"?{urlencode(arguments)}" if arguments else ""
    target = f"{path}{asked}"
    page = await get(await open_stream(), target, headers=list(sent.items()))
    if page.status != 200:
        sentence = f"the page was answered with status {page.status}: {read_sentence(page.text)}"
        raise PageRefused(sentence, status=page.status, text=page.text, headers=page.headers)
    return TestSession(
        page,
        target=target,
        headers=sent,
        find=find,
        open_stream=open_stream,
        nursery=nursery,
        clients=clients,
        stories=stories,
    )
