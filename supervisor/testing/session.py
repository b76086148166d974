"""One session in a test: the page that a visitor was served, and the clients that join it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import final
from urllib.parse import urlencode

import attrs
import trio

from supervisor.client.address import Address, page_address
from supervisor.client.dialing import Dialer
from supervisor.client.visit import Visitor
from supervisor.errors import PageRefused
from supervisor.instruments import Incident
from supervisor.limits import check_whether
from supervisor.session.actor import SessionActor
from supervisor.session.context import SessionContext
from supervisor.testing.client import Client
from supervisor.testing.crash import crash
from supervisor.testing.http import Answer
from supervisor.testing.network import Network


@final
@attrs.frozen(kw_only=True)
class Access:
    """How the sessions of a test get at their server, and where their clients live."""

    open_stream: Callable[[], Awaitable[trio.abc.Stream]]
    """Opens a connection to the server of the moment."""
    find: Callable[[str], SessionActor | None]
    """The live session of an id; None if it has ended."""
    begin: Callable[[Client, str], None]
    """Runs a client of the session with this id, until the test's block ends."""


@final
class TestSession:
    """One session, as a page's visitor sees it. `RunningApp.new_session()` makes one.

    Its clients are like windows of one browser: they send the headers and cookies with which the page was requested,
    and the cookies that pages have set.
    """

    __test__ = False  # for pytest: no class of tests

    def __init__(self, page: Answer, visitor: Visitor, *, address: Address, first: Address, access: Access) -> None:
        """`first` was asked for, `address` has answered."""
        self.page = page
        """The page that was served."""
        self._visit = visitor.read(page, address, first)
        self.id = self._visit.entry.session
        """The session's id."""
        self._visitor = visitor
        self._address = first
        self._access = access

    @property
    def context(self) -> SessionContext:
        """The `session_context`, as the app's hooks get it.

        Raises:
            LookupError: it has ended.
        """
        return self._actor().context

    def _actor(self) -> SessionActor:
        session = self._access.find(self.id)
        if session is None:
            raise LookupError(f"session {self.id} has ended")
        return session

    async def crash(self, error: BaseException | None = None) -> Incident:
        """Let the session's own code raise in the middle of a transaction, as a next tick callback might.

        That comes in its turn, like a message, clears the document, and raises `error`, or an `InjectedFault`. As with
        any failure, the change is rolled back, the app's failure policy decides, and its hooks hear of it. Returns when
        the decision has been carried out: when the restarted session has its new document, or the stopped one has
        ended.

        Returns:
            What was reported; its `decision` says what followed. It is one of `app.incidents`, and isn't raised at
            the end of the block, because the test wanted it.

        Raises:
            LookupError: the session has ended; `SessionGone`: … before its turn came.
            AssertionError: its turn did not come, or what follows was not done, within 60 seconds.
            TypeError: the error is a `Rejected`, which is not a failure.
        """
        return await crash(self._actor(), error)

    async def connect(self, *, network: Network | None = None, follow_reload: bool = True) -> Client:
        """A client that is attached and has the document. It is closed when the test's block ends.

        Args:
            network: the network between the client and the server; a good one by default.
            follow_reload: whether it loads the page again, as a browser does, when the session is gone, and so gets a
                new session. Otherwise the client ends then, with code 4404 or 4401.

        Raises:
            AssertionError: it was not live within 60 seconds, or was turned away.
            TypeError: `follow_reload` is neither True nor False, or the network is not a `Network`.
        """
        client = self.client(network=network, follow_reload=follow_reload)
        await client.until(lambda data: True)
        return client

    def client(self, *, network: Network | None = None, follow_reload: bool = True) -> Client:
        """As `connect()`, but without waiting: the client begins to connect."""
        check_whether("follow_reload", follow_reload)
        given: object = network
        if not (given is None or isinstance(given, Network)):
            raise TypeError(f"network is a Network, as in Network(down=Conditions(delay=0.2)), not {given!r}")
        revisit = (lambda dialer: self._visitor.by(dialer).visit(self._address)) if follow_reload else None
        client = Client(self._visit, self._access.open_stream, revisit=revisit, network=network)
        self._access.begin(client, self.id)
        return client


async def open_session(
    path: str,
    access: Access,
    *,
    id: str | None,
    headers: Mapping[str, str] | None,
    cookies: Mapping[str, str] | None,
    query: Mapping[str, str] | None,
) -> TestSession:
    """See `RunningApp.new_session`: ask for the app's page, wherever the server is."""
    sent = dict(headers or {})
    if cookies:
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    arguments = {**({} if id is None else {"session": id}), **(query or {})}
    asked = f"?{urlencode(arguments)}" if arguments else ""
    first = page_address(f"http://localhost{path}{asked}")
    visitor = Visitor(Dialer(lambda host, port: access.open_stream()), sent.items())
    page, address = await visitor.load(first)
    try:
        return TestSession(page, visitor, address=address, first=first, access=access)
    except PageRefused as refused:
        if id is not None and refused.status == 404:  # the page is for visitors, who can't change that
            refused.add_note(
                f"no session has the id {id!r} now; a test may choose ids with supervise(app, "
                'options=ServerOptions(session_ids="any")), or by --session-ids=any in a process of its own'
            )
        raise
