"""A whole server in the test's own process: real pages, real websockets, memory streams, any clock."""

from __future__ import annotations

import contextlib
import html
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Mapping
from os import PathLike, fspath
from types import SimpleNamespace
from typing import Any, final
from urllib.parse import urlencode

import attrs
import trio
import trio.testing

from supervisor.actor.guard import unwrap
from supervisor.actor.thread_door import BusyThreads
from supervisor.application.actor import ApplicationActor
from supervisor.application.broadcast import TIMEOUT, BroadcastReport
from supervisor.application.context import ApplicationContext, Sessions
from supervisor.application.handlers import Application, FunctionHandler, Handler
from supervisor.application.loading import load_application
from supervisor.errors import SupervisorError
from supervisor.instruments import Incident, Instruments
from supervisor.protocol.client import ClientConnection
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.context import SessionContext
from supervisor.testing.client import Client
from supervisor.testing.http import Answer, get
from supervisor.testing.memory import MemoryListener

_META = re.compile(r'<meta name="supervisor" content="([^"]*)">')


class PageRefused(SupervisorError):
    """The page was not served: `status` and `text` are the answer's."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the page was answered with status {answer.status}")
        self.status = answer.status
        """The answer's status, such as 403."""
        self.text = answer.text
        """The page that was served instead, as text."""
        self.headers = answer.headers
        """The answer's headers, by lower-case name."""


@final
class TestSession:
    """One session, as a page's visitor has it."""

    __test__ = False  # for pytest: no class of tests

    def __init__(self, app: RunningApp, page: Answer, nursery: trio.Nursery, headers: Mapping[str, str]) -> None:
        found = _META.search(page.text)
        assert found is not None, "the page has no <meta name=supervisor>"
        meta: Mapping[str, Any] = json.loads(html.unescape(found.group(1)))
        self.page = page
        """The page that was served."""
        self.id = meta["session"]
        """The session's id."""
        self._token = meta["token"]
        self._path = meta["websocket"]
        self._max_message_size = meta["max_message_size"]
        self._app = app
        self._nursery = nursery
        # Those of the page's request, which a browser sends with its websocket too, or a proxy for it.
        self._headers = headers

    @property
    def context(self) -> SessionContext:
        """The session, as hooks meet it.

        Raises:
            LookupError: it has ended.
        """
        session = self._app.actor.find(self.id)
        if session is None:
            raise LookupError(f"session {self.id} has ended")
        return session.context

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
        protocol = ClientConnection(token=self._token, session=self.id, max_message_size=self._max_message_size)
        client = Client(self._app.listener.connect, self._path, protocol, headers=self._headers)
        self._nursery.start_soon(client.run, name=f"client of session {self.id}")
        return client


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
            PageRefused: the page was not served.
        """
        sent = dict(headers or {})
        if cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        arguments = {**({} if id is None else {"session": id}), **(query or {})}
        asked = f"?{urlencode(arguments)}" if arguments else ""
        page = await self.get(f"{self.server.options.prefix}/{self.actor.application}{asked}", headers=sent)
        if page.status != 200:
            raise PageRefused(page)
        return TestSession(self, page, self._nursery, sent)


@final
class Incidents(Instruments):
    """Collects what fails."""

    def __init__(self) -> None:
        self.incidents: list[Incident] = []

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`."""
        self.incidents.append(incident)


App = str | PathLike[str] | Application | Handler | Callable[[Any], Any]


@contextlib.asynccontextmanager
async def supervise(app: App, *, options: ServerOptions | None = None) -> AsyncIterator[RunningApp]:
    """Run an app in a whole server over memory streams, inside this block.

    Under trio's `autojump` clock nothing here waits for real time. Leaving the block shuts the server down as SIGTERM
    would, hooks included. Then whatever failed in the app, and was not cleared from `incidents`, is raised.

    Args:
        app: a path as for `serve`, a function `modify_document(doc)`, a `Handler`, or an `Application`.
        options: the server's options. Blocked code is not watched for: `stall_limit` counts real time.

    Raises:
        ApplicationError: the app can't be loaded.
        ExceptionGroup: something failed in the app, and the test didn't clear it from `incidents`.
    """
    seen = Incidents()
    failure: BaseException | None = None
    listener = MemoryListener()
    options = attrs.evolve(options or ServerOptions(), stall_limit=0.0)
    server = Server(
        _application(app),
        options=options,
        listeners=[listener],
        instruments=seen,
        wall_clock=trio.current_time,
        chance=lambda: 0.5,
    )
    _wait_for_threads(server.runtime.busy)
    try:
        async with server, trio.open_nursery() as clients:
            (actor,) = server.applications.values()
            yield RunningApp(server, actor, listener, clients, seen)
            clients.cancel_scope.cancel()
    except (trio.Cancelled, GeneratorExit):
        raise
    except BaseException as error:  # a test reads its own exception, not the nursery around it
        failure = unwrap(error)
    if failure is not None:  # raised here and not above, where it would lose its own cause
        for incident in seen.incidents:
            failure.add_note(f"{_where(incident)} failed meanwhile: {incident.error!r}")
        raise failure
    if seen.incidents:
        errors = [_with_note(incident) for incident in seen.incidents]
        raise BaseExceptionGroup("the app failed while the test ran", errors)


def _wait_for_threads(busy: BusyThreads) -> None:
    """Keep a clock that jumps from jumping while a thread works: it only sees that all tasks wait."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, trio.testing.MockClock):
        return
    threshold = clock.autojump_threshold

    def stop_or_go(count: int) -> None:
        nonlocal threshold
        if clock.autojump_threshold != math.inf:
            threshold = clock.autojump_threshold
        clock.autojump_threshold = math.inf if count else threshold

    busy.on_change = stop_or_go


def _with_note(incident: Incident) -> BaseException:
    incident.error.add_note(f"in {_where(incident)}")
    return incident.error


def _where(incident: Incident) -> str:
    return f"{incident.what}, session {incident.session}, incident {incident.id}"


def _application(app: App) -> Application:
    if isinstance(app, Application):
        return app
    if isinstance(app, Handler):
        return Application(app, name="app")
    if isinstance(app, (str, PathLike)):
        return load_application(fspath(app))
    return Application(FunctionHandler(app), name=getattr(app, "__name__", "app"))
