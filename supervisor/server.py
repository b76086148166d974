"""The server: builds everything from applications and options, runs it, and shuts it down in order.

Essay: the order of a shutdown is the order of the nurseries: services ⊃ applications ⊃ HTTP connections ⊃ listeners.
`stop()` closes the listeners and sends idle connections away; the applications then end side by side (producers,
sessions with their hooks, unload); last go the timers, which all of them use. One deadline bounds it all.
"""

from __future__ import annotations

import math
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import attrs
import trio

from supervisor.actor.base import Runtime
from supervisor.actor.guard import unwrap
from supervisor.actor.unawaited import watch_unawaited
from supervisor.application.actor import ApplicationActor
from supervisor.application.handlers import Application
from supervisor.application.options import ApplicationOptions
from supervisor.errors import ApplicationError, Unawaited
from supervisor.identity import Entropy, KeyRing, new_id
from supervisor.instruments import Incident, Instruments
from supervisor.protocol.fields import ClientMessages
from supervisor.session.actor import SessionActor
from supervisor.transport.bridge import Upgrade, serve_http
from supervisor.transport.draining import Draining
from supervisor.transport.head import Head, HttpLimits, Refusal
from supervisor.transport.listener import accept_connections
from supervisor.transport.origin import Origins, parse_allowed
from supervisor.transport.pages import Pages
from supervisor.transport.requests import read_request
from supervisor.transport.web import SessionIds, Site, make_web_app
from supervisor.transport.websocket import Door, WebSocketConnection, WebSocketOptions
from supervisor.transport.wire import SessionWire

SHOWN_CHARACTERS = 8
"""How much of a generated session id logs show: enough to tell sessions apart, far too little to attach with."""
SHOWN_NAME = 300
"""How much of a refused Host or Origin logs show; a name has at most 253 characters (RFC 1035, 2.3.4)."""


@final
@attrs.frozen(kw_only=True)
class ServerOptions:
    """What can be set for a server; times in seconds."""

    application: ApplicationOptions = attrs.field(factory=ApplicationOptions)
    http: HttpLimits = attrs.field(factory=HttpLimits)
    websocket: WebSocketOptions = attrs.field(factory=WebSocketOptions)
    prefix: str = ""
    """Put before every path: empty, or with a slash at its beginning and none at its end."""
    allow_origins: tuple[str, ...] = ()
    """Names that this server is reached by, beside IP literals, localhost and the machine's own name."""
    session_ids: SessionIds = "generated"
    token_max_age: float = 300.0
    """How long a page may wait before it attaches for the first time."""
    shutdown_timeout: float = 20.0
    """How long a shutdown may take."""
    keys: KeyRing | None = None
    """What tokens are signed with; None for a key that is made anew at each start."""


@final
class Server:
    """Applications on one port. `serve` is its life; `stop` begins its end."""

    def __init__(
        self,
        applications: Iterable[Application],
        *,
        options: ServerOptions | None = None,
        instruments: Instruments | None = None,
        entropy: Entropy = secrets.token_bytes,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.options = options or ServerOptions()
        self.runtime = Runtime(instruments=instruments or Instruments())
        self._entropy = entropy
        self._wall_clock = wall_clock
        self._keys = self.options.keys or KeyRing((entropy(32),))
        self._origins = Origins(self.options.allow_origins, machine=socket.gethostname())
        self._draining = Draining()
        self._stop = trio.Event()
        self._stopped = trio.Event()
        # When all must be over, by `trio.current_time()`; set when the end begins.
        self._end_by = math.inf
        self.applications: dict[str, ApplicationActor] = {}
        """The applications by their names, in the order in which they were given."""
        self._doors: dict[bytes, Door] = {}
        for application in applications:
            self._add(application)
        if not self.applications:
            raise ValueError("a server needs at least one application")
        site = Site(
            applications=self.applications,
            pages=Pages(prefix=self.options.prefix, new_nonce=self._new_id),
            prefix=self.options.prefix,
            session_ids=self.options.session_ids,
            new_session_id=self._new_id,
            sign=self._sign,
            health=lambda: "draining" if self._draining.begun else "ok",
        )
        self._web_app = make_web_app(site)

    def _add(self, application: Application) -> None:
        name = application.name
        if name in self.applications:
            raise ApplicationError(f"two applications are named {name!r}; rename one of them")
        try:
            messages = ClientMessages(application.receivers.from_client)
        except TypeError as error:
            raise ApplicationError(f"application {name!r}: {error}") from error
        actor = ApplicationActor(
            application,
            runtime=self.runtime,
            options=self.options.application,
            make_epoch=self._new_id,
            show_id=self._show_id,
            on_session=self._on_session,
        )
        self.applications[name] = actor
        self._doors[f"{self.options.prefix}/{name}/-/websocket".encode()] = Door(
            application=actor,
            messages=messages,
            check_token=lambda token: self._check_token(actor, token),
            new_connection_id=self._new_id,
            random=random.random,
        )

    # Its life.

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[Any]] = (),
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Load the applications, accept connections, and serve until `stop()`; then end everything in order.

        Started when all have loaded and connections are accepted. Takes the listeners over and closes them. Cancelling
        it is a hard stop: hooks still run, each under its deadline.

        Raises:
            ApplicationError: an application can't be loaded; the others were unloaded again.
        """
        failure: BaseException | None = None
        try:
            with watch_unawaited(self._coroutine_dropped):
                await self._serve_all(listeners, task_status)
        except BaseExceptionGroup as group:
            failure = unwrap(group)
        finally:
            with trio.CancelScope(shield=True):
                for listener in listeners:
                    await listener.aclose()
            self._stopped.set()
        if failure is not None:  # raised here and not above, where it would lose its own cause
            raise failure

    async def _serve_all(self, listeners: Sequence[trio.abc.Listener[Any]], task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as services:
            services.start_soon(self.runtime.timers.run)
            services.start_soon(self._end_when_told)
            async with trio.open_nursery() as applications:
                try:
                    await self._serve(applications, listeners, task_status)
                finally:
                    self._begin_end()
                    applications.cancel_scope.deadline = self._end_by
            services.cancel_scope.cancel()

    async def _serve(
        self,
        applications: trio.Nursery,
        listeners: Sequence[trio.abc.Listener[Any]],
        task_status: trio.TaskStatus[None],
    ) -> None:
        for application in self.applications.values():
            if not self._stop.is_set():
                await applications.start(application.run)
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(self._accept, listener, connections)
                task_status.started()
                await self._stop.wait()
                accepting.cancel_scope.cancel()
            for listener in listeners:
                await listener.aclose()
            self._begin_end()
            connections.cancel_scope.deadline = self._end_by

    async def _end_when_told(self) -> None:
        """So that a stop counts at once, also for load hooks that are under way."""
        await self._stop.wait()
        self._begin_end()

    def _begin_end(self) -> None:
        self._draining.begin()
        self._end_by = min(self._end_by, trio.current_time() + self.options.shutdown_timeout)
        for application in self.applications.values():
            application.stop(deadline=self._end_by)

    def stop(self) -> None:
        """Begin a graceful shutdown; returns at once, and may be called again."""
        self._stop.set()

    async def wait_stopping(self) -> None:
        """Wait until `stop` was called."""
        await self._stop.wait()

    async def wait_stopped(self) -> None:
        """Wait until `serve` is over."""
        await self._stopped.wait()

    # Its connections.

    async def _accept(self, listener: trio.abc.Listener[Any], connections: trio.Nursery) -> None:
        await accept_connections(listener, connections, self.handle, on_error=self._connection_failed)

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection, which may be any stream. Takes the stream over, and closes it in the end.

        When the connection becomes a websocket this returns: its tasks belong to the application's nursery then.
        """
        upgrade = None
        try:
            upgrade = await serve_http(
                stream,
                self._web_app,
                check=self._check,
                on_error=self._connection_failed,
                draining=self._draining,
                limits=self.options.http,
            )
        finally:
            if upgrade is None or not self._open_websocket(upgrade, stream):
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)

    def _open_websocket(self, upgrade: Upgrade, stream: trio.abc.Stream) -> bool:
        """Hand a connection over to its application; False if that has ended meanwhile."""
        door = self._doors[upgrade.head.target.partition(b"?")[0]]
        nursery = door.application.connection_nursery
        if nursery is None or self._draining.begun:
            return False
        request = read_request(upgrade.head.target, upgrade.head.headers, remote_address=_remote_address(stream))
        connection = WebSocketConnection(upgrade.stream, request, door, self.options.websocket)
        nursery.start_soon(connection.run, name=f"websocket of {door.application.application}")
        return True

    def _check(self, head: Head) -> Refusal | None:
        """Turn away what doesn't belong here; see `transport.origin`."""
        host = (head.get(b"host") or b"").decode("latin-1")
        if not self._origins.accepts_host(host):
            self._refused(f"the host {_shown(host)} is none of ours{_advice(host)}")
            return Refusal(status=421, text="This server does not answer to the name that you called it by.")
        if not head.asks_for_websocket:
            return None
        if head.target.partition(b"?")[0] not in self._doors:
            return Refusal(status=404, text="There is no websocket at this address.")
        origin = head.get(b"origin")
        if origin is not None:
            shown = origin.decode("latin-1")
            if not self._origins.accepts_origin(shown, host=host):
                self._refused(f"the origin {_shown(shown)} is not {_shown(host)}{_advice(shown)}")
                return Refusal(status=403, text="Pages of this origin may not connect to this server.")
        return None

    def _refused(self, reason: str) -> None:
        self.runtime.instruments.connection_refused(application="-", reason=reason)

    def _coroutine_dropped(self, error: Unawaited) -> None:
        self._report("code outside of handlers and hooks", error)

    def _connection_failed(self, error: BaseException) -> None:
        self._report("connection", unwrap(error))

    def _report(self, what: str, error: BaseException) -> None:
        incident = Incident(id=self._entropy(4).hex(), application="-", session="-", what=what, error=error)
        self.runtime.instruments.failed(incident)

    # Its sessions.

    def _on_session(self, session: SessionActor) -> None:
        session.audience = SessionWire(
            session,
            key=self._new_id(),
            new_client_id=self._new_id,
            linger=self.options.application.linger,
        )

    def _new_id(self) -> str:
        return new_id(self._entropy)

    def _show_id(self, id: str) -> str:
        return id[:SHOWN_CHARACTERS] if self.options.session_ids == "generated" else id

    def _sign(self, application: ApplicationActor, session_id: str) -> str:
        purpose = f"attach to {application.application}"
        return self._keys.sign(session_id, purpose=purpose, now=self._wall_clock())

    def _check_token(self, application: ApplicationActor, token: str) -> str:
        purpose = f"attach to {application.application}"
        return self._keys.check(token, purpose=purpose, now=self._wall_clock(), max_age=self.options.token_max_age)

    def __repr__(self) -> str:
        return f"<Server {', '.join(self.applications)}>"


def _remote_address(stream: trio.abc.Stream) -> str | None:
    """The peer's IP address; None where there is none, and once the peer is gone."""
    if not isinstance(stream, trio.SocketStream):
        return None
    try:
        peer = stream.socket.getpeername()
    except OSError:
        return None
    return peer[0] if isinstance(peer, tuple) else None


def _shown(text: str) -> str:
    """A header's value for a log line: quoted, and no longer than a name can be."""
    return repr(text if len(text) <= SHOWN_NAME else text[: SHOWN_NAME - 1] + "…")


def _advice(name: str) -> str:
    """The option that would allow a name, if one can."""
    try:
        parse_allowed(name)
    except ValueError:
        return ""
    return f"; --allow-origin {name} would allow it"
