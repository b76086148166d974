"""The server: builds everything from applications and options, runs it, and shuts it down in order.

Essay: the order of a shutdown is the order of the nurseries: services ⊃ applications ⊃ HTTP connections ⊃ listeners.
`stop()` tells the applications to end side by side, and sends idle connections away. The listeners stay open until the
last session has ended, so that load balancers and visitors are told that the server goes down; from then on another
process can have the port, while the unload hooks run. The timers go last, since all the others use them. One deadline
bounds it all, and `stop()` may be called again to bring it nearer: see `actor.stopping`.
"""

from __future__ import annotations

import contextlib
import math
import random
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, final

import trio

from supervisor.actor.base import Runtime
from supervisor.actor.guard import unwrap
from supervisor.actor.in_thread import Prepare, threaded
from supervisor.actor.stopping import Stopping
from supervisor.actor.story import Stories
from supervisor.actor.unawaited import watch_unawaited
from supervisor.actor.watchdog import LoopStatistics, Watchdog
from supervisor.application.actor import ApplicationActor
from supervisor.application.context import ApplicationContext
from supervisor.application.handlers import Application
from supervisor.application.stand_in import load_all
from supervisor.application.starting import start_all
from supervisor.development.reloader import Places, Reloader, Watch
from supervisor.development.watcher import check_watchfiles, watch
from supervisor.embedding import serving
from supervisor.errors import ApplicationError
from supervisor.failure_log import LoggedFailures
from supervisor.identity import Entropy
from supervisor.instruments import Incident, Instruments
from supervisor.protocol.feed import MAX_DETACHED
from supervisor.protocol.fields import ClientMessages
from supervisor.server_options import ServerOptions, options_or_default
from supervisor.session.actor import SessionActor
from supervisor.transport.address import Address
from supervisor.transport.admission import Admission
from supervisor.transport.conversation import Door
from supervisor.transport.credentials import Credentials
from supervisor.transport.development import Development, RememberingInstruments
from supervisor.transport.draining import Draining
from supervisor.transport.forwarded import TrustedProxies
from supervisor.transport.health import health_of
from supervisor.transport.listener import accept_connections, connections_allowed
from supervisor.transport.occupancy import Occupancy
from supervisor.transport.origin import Origins, frame_source
from supervisor.transport.pages import Pages
from supervisor.transport.places import STACKS
from supervisor.transport.presence import PresenceRoom
from supervisor.transport.reception import Reception
from supervisor.transport.reports import Reports
from supervisor.transport.site import Site
from supervisor.transport.web import make_web_app
from supervisor.transport.wire import SessionWire

_ONCE = "a server serves once; make another one of the same applications"


@final
class Server:
    """Applications on one port. A server serves once, inside an `async with` block of your program.

        async with Server(["chat.py"], port=8080) as server:
            print(server.urls["chat"])
            await trio.sleep_forever()

    Entering it returns when all applications have loaded and connections are accepted. Leaving it shuts down as
    SIGTERM does to `serve`: connections end, destroyed and unload hooks run, all within
    `ServerOptions.shutdown_timeout`, also if the block raises. If the block is cancelled, connections are cut and the
    hooks still run within that time. If the server fails, the block is cancelled and the failure raised. Signals,
    logging and the garbage collector are left to the program.

    If one of several applications can't be loaded, or fails later, it ends alone: its page says so, `failures` has it,
    and the others go on. A program that wants all or none looks at `failures` on entering. When none is left, the
    server ends with an `ApplicationError`; under `ServerOptions.dev` it waits for changed code instead.

    A program that has listeners already awaits `serve` instead; `stop` begins the end of both.

    Args:
        applications: one or several, each an `Application`, or what `load_application` takes; loaded here.
        options: everything else that can be set.
        host: a name or an address of this machine to listen on; None for all its addresses.
        port: the port to listen on; 0 for any free one.
        unix_socket: the path of a Unix socket, to listen on in place of host and port.
        unix_socket_mode: who may connect to it, as a file's mode such as 0o660; None leaves that to the umask.
        ssl_context: for TLS; one that `ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)` made, with a certificate.
        listeners: what to listen on instead of all these; the server takes them over, and closes them in the end.
        instruments: told of all that happens; without it, failures and refused connections are logged by Python's
            `logging`, under the name "supervisor".
        entropy: where keys and ids come from; for tests.
        wall_clock: what the ages of tokens are counted by; for tests.
        clock: what the turns of actors are measured by, in seconds; for tests.
        chance: random numbers from 0 to 1, which vary the lengths of pauses; for tests.
        prepare: what is called in place of functions that are handed to adders; for tests.
        watch: what tells of changed files with `ServerOptions.dev`; for tests.

    Raises:
        ApplicationError: none of the applications can be loaded and served, or two have one name; when entering, also
            if the load hooks of none succeeded, or the address can't be used. Nothing is left running then.
        ValueError: an option has an impossible value, such as a malformed origin; the text has the way out.
    """

    def __init__(
        self,
        applications: Iterable[Application | str | PathLike[str]] | Application | str | PathLike[str],
        *,
        options: ServerOptions | None = None,
        host: str | None = "127.0.0.1",
        port: int = 5006,
        unix_socket: str | PathLike[str] | None = None,
        unix_socket_mode: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        listeners: Sequence[trio.abc.Listener[Any]] | None = None,
        instruments: Instruments | None = None,
        entropy: Entropy = secrets.token_bytes,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.perf_counter,
        chance: Callable[[], float] = random.random,
        prepare: Prepare = threaded,
        watch: Watch = watch,
    ) -> None:
        self.options = options_or_default(options)
        """What it was made with."""
        self.urls: dict[str, str] = {}
        """Where each application is served, by its name. Empty before entering, and for a Unix socket."""
        self._address = Address(
            host=host,
            port=port,
            unix_socket=unix_socket,
            unix_socket_mode=unix_socket_mode,
            ssl_context=ssl_context,
        )
        self._listeners = listeners
        # Why the server ends by itself: no application is left.
        self._none_left: ApplicationError | None = None
        self._embedded: contextlib.AbstractAsyncContextManager[None] | None = None
        self._has_served = False
        self._credentials = Credentials(
            self.options.keys,
            session_ids=self.options.session_ids,
            token_max_age=self.options.token_max_age,
            entropy=entropy,
            wall_clock=wall_clock,
        )
        told = instruments or LoggedFailures()
        self._development: Development | None = None
        if self.options.dev:
            self._development = self._begin_development()
            told = RememberingInstruments(told, self._development)
        stories = Stories(self.options.story_length, now=trio.current_time)
        self.runtime = Runtime(instruments=told, clock=clock, random=chance, stories=stories, prepare=prepare)
        self._watchdog: Watchdog | None = None
        if self.options.stall_limit:
            self._watchdog = Watchdog(self.options.stall_limit, stacks=STACKS, instruments=self.runtime.instruments)
        self._reports = Reports(self.runtime.instruments, new_incident_id=self._credentials.new_incident_id)
        self._draining = Draining()
        self._stopping = Stopping()
        # Whether connections and hooks are over, and whether all is.
        self._left = trio.Event()
        self._stopped = trio.Event()
        self.applications: dict[str, ApplicationActor] = {}
        """The applications by their names, in the order in which they were given."""
        self._doors: dict[bytes, Door] = {}
        admission = self._make_admission()  # a wrong origin is refused before any app's code runs
        if isinstance(applications, (Application, str, PathLike)):
            applications = [applications]
        loading_began_at = time.time()  # not the server's clock: it is compared with those of files
        for application in load_all(applications, self._check):
            if application.name in self.applications:
                raise ApplicationError(f"two applications are named {application.name!r}; rename one of them")
            self._install(application)
        if not self.applications:
            raise ValueError("a server needs at least one application")
        self._reloader: Reloader | None = None
        if self._development is not None:
            self._reloader = self._make_reloader(self._development, watch, loading_began_at)
        self.occupancy = Occupancy(
            max_connections=connections_allowed(self.options.max_connections),
            max_newcomers=self.options.max_newcomers,
            on_full=lambda: self._reports.places_taken(
                self.occupancy.max_connections, wanted=self.options.max_connections
            ),
        )
        """How many connections there are."""
        self._reception = self._make_reception(admission)

    def _begin_development(self) -> Development:
        check_watchfiles()
        if not self._address.is_local or self.options.trusted_proxies:
            raise ValueError("dev=True is for this machine only: use host 127.0.0.1, and no trusted_proxies")
        return Development(boot=self._credentials.new_id())

    def _make_admission(self) -> Admission:
        names = (*self.options.allow_origins, *self._address.allowed_names)
        return Admission(
            Origins(names, machine=socket.gethostname()),
            websockets=self._doors,
            local_only=self.options.dev,
            tell=self._reports.refused,
        )

    def _make_reception(self, admission: Admission) -> Reception:
        return Reception(
            make_web_app(self._make_site()),
            doors=self._doors,
            admission=admission,
            proxies=TrustedProxies(self.options.trusted_proxies),
            draining=self._draining,
            http=self.options.http,
            websocket=self.options.websocket,
            occupancy=self.occupancy,
            on_proxy=(lambda address: None) if self.options.dev else self._reports.proxy_met,  # dev lets none be named
            on_error=self._reports.connection_failed,
        )

    def _make_site(self) -> Site:
        pages = Pages(
            prefix=self.options.prefix,
            new_nonce=self._credentials.new_id,
            names=list(self.applications),
            embedders=[frame_source(origin) for origin in self.options.allow_embedding],
        )
        return Site(
            applications=self.applications,
            pages=pages,
            prefix=self.options.prefix,
            session_ids=self.options.session_ids,
            max_message_size=self.options.websocket.max_message_size,
            new_session_id=self._credentials.new_id,
            read_signed_id=self._credentials.read_signed_id,
            sign=lambda application, id: self._credentials.sign(application.application, id),
            health=lambda: health_of(self.applications.values(), draining=self._draining.begun),
            report=self._reports.failed,
            instruments=self.runtime.instruments,
            development=self._development,
        )

    @staticmethod
    def _check(application: Application) -> ClientMessages:
        try:
            return ClientMessages(application.receivers.from_client)
        except TypeError as error:
            raise ApplicationError(f"application {application.name!r}: {error}") from error

    def _install(self, application: Application) -> ApplicationActor:
        messages, name = self._check(application), application.name
        actor = ApplicationActor(
            application,
            runtime=self.runtime,
            options=self.options.application,
            make_epoch=self._credentials.new_id,
            show_id=self._credentials.show_id,
            on_session=self._on_session,
            on_failed=self._application_failed,
            within=self._stopping,
        )
        self.applications[name] = actor
        self._doors[f"{self.options.prefix}/{name}/-/websocket".encode()] = Door(
            application=actor,
            messages=messages,
            check_token=lambda token: self._credentials.check_token(name, token),
            new_connection_id=self._credentials.new_id,
            random=random.random,
            presence=PresenceRoom("application", self.runtime.timers),
        )
        return actor

    def _make_reloader(self, development: Development, watch: Watch, loading_began_at: float) -> Reloader:
        for name, actor in self.applications.items():
            source = actor.definition.source
            development.add(name, root=Path() if source is None else source.root)
        return Reloader(
            Places(applications=self.applications, check=self._check, install=self._install),
            development,
            instruments=self.runtime.instruments,
            new_incident_id=self._credentials.new_incident_id,
            shutdown_timeout=self.options.shutdown_timeout,
            changed_since=loading_began_at,
            watch=watch,
        )

    # Its life.

    @property
    def contexts(self) -> dict[str, ApplicationContext]:
        """The applications' contexts by name: with them, the program around a server reaches its sessions."""
        return {name: actor.context for name, actor in self.applications.items()}

    async def __aenter__(self) -> Server:
        if self._embedded is not None or self._has_served:
            raise RuntimeError(_ONCE)
        self._embedded = serving(self._start, self.stop)
        await self._embedded.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._embedded is not None
        return await self._embedded.__aexit__(kind, error, traceback)

    async def _start(self, nursery: trio.Nursery) -> None:
        listeners = self._listeners
        if listeners is None:
            listeners = await self._address.listen()
            url = self._address.url(listeners)
            if url is not None:
                self.urls = {name: f"{url}{self.options.prefix}/{name}" for name in self.applications}
        await nursery.start(self.serve, listeners)

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[Any]] = (),
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Load the applications, accept connections, and serve until `stop()`; then end everything in order.

        Started when all have loaded, or failed to, and connections are accepted. Takes the listeners over and closes
        them. Cancelling it is a hard stop: hooks still run, each under its deadline.

        Raises:
            ApplicationError: none of the applications can be loaded; or all have failed later, and it was shut down.
            RuntimeError: it has served already.
        """
        if self._has_served:
            raise RuntimeError(_ONCE)
        self._has_served = True
        failure: BaseException | None = None
        try:
            watching = contextlib.nullcontext() if self._watchdog is None else self._watchdog.watching()
            with watch_unawaited(self._reports.coroutine_dropped), watching:
                await self._serve_all(listeners, task_status)
        except BaseExceptionGroup as group:
            failure = unwrap(group)
        else:
            failure = self._none_left
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
            if self._stopping.has_begun:  # before it served
                self.stop()
            with self._stopping.working():
                async with trio.open_nursery() as applications:
                    try:
                        await self._serve(applications, listeners, task_status)
                    finally:
                        self.stop()
            services.cancel_scope.cancel()

    async def _serve(
        self,
        applications: trio.Nursery,
        listeners: Sequence[trio.abc.Listener[Any]],
        task_status: trio.TaskStatus[None],
    ) -> None:
        await start_all(self.applications.values(), applications, until=self._stopping)
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(self._accept, listener, connections)
                if self._reloader is not None:
                    accepting.start_soon(self._reload, self._reloader, applications)
                task_status.started()
                await self._stopping.wait()
                for application in list(self.applications.values()):
                    await application.wait_drained()
                accepting.cancel_scope.cancel()
            for listener in listeners:
                await listener.aclose()
            self._draining.close()
        for application in list(self.applications.values()):
            if application.was_run:
                await application.wait_unloaded()
        self._left.set()

    def _application_failed(self, failed: ApplicationActor) -> None:
        """Go on with the others; when none is left, end, so that whoever runs the process hears of it."""
        if self._development is None and len(self.failures) == len(self.applications):
            self._none_left = ApplicationError(f"no application is left: {failed.failed_because}")
            self.stop()

    @property
    def failures(self) -> dict[str, Incident]:
        """Why applications have failed, by name; those that are served are not in it."""
        return {name: each.failure for name, each in self.applications.items() if each.failure is not None}

    async def _reload(self, reloader: Reloader, applications: trio.Nursery) -> None:
        with self._stopping.waiting():
            await reloader.run(applications)

    def stop(self, *, timeout: float | None = None) -> None:
        """Begin a graceful shutdown; returns at once.

        `timeout` is what it may take, in seconds; without it, `ServerOptions.shutdown_timeout`. May be called again,
        with less: then what goes on is cut short. `application.deadline.HOOKS_ONLY` seconds are enough for hooks and
        for nothing else. A later end than an earlier call said changes nothing.

        Raises:
            ValueError: `timeout` is not a number of seconds; nothing was begun.
        """
        seconds = self.options.shutdown_timeout if timeout is None else timeout
        if not seconds >= 0:  # NaN is none, and would be no deadline at all
            raise ValueError(f"timeout must be a number of seconds, at least 0, not {seconds!r}")
        # Before it serves there may be no clock: the time counts from when it does.
        self._stopping.soft(trio.current_time() + seconds if self._has_served else math.inf)
        self._draining.begin()
        if self._development is not None:
            self._development.end()
        for application in self.applications.values():
            application.stop()

    async def wait_stopping(self) -> None:
        """Wait until it begins to end: `stop` was called, or it failed."""
        await self._stopping.wait()

    @property
    def ends_at(self) -> float:
        """When a shutdown must be over, by `trio.current_time()`; infinity until one has begun."""
        return self._stopping.at

    async def wait_left(self) -> None:
        """Wait until connections and hooks are over. Only threads of an app may go on then, which nobody can end."""
        await self._left.wait()

    async def wait_stopped(self) -> None:
        """Wait until `serve` is over."""
        await self._stopped.wait()

    def statistics(self) -> LoopStatistics:
        """How the loop has turned so far: how often code has held it for too long, and how long at most."""
        return LoopStatistics() if self._watchdog is None else self._watchdog.statistics()

    # Its connections.

    async def _accept(self, listener: trio.abc.Listener[Any], connections: trio.Nursery) -> None:
        await accept_connections(
            listener, connections, self._reception.handle, on_error=self._reports.connection_failed
        )

    async def handle(self, stream: trio.abc.Stream) -> None:
        """See `Reception.handle`."""
        await self._reception.handle(stream)

    # Its sessions.

    def _on_session(self, session: SessionActor) -> None:
        session.audience = SessionWire(
            session,
            key=self._credentials.new_id(),
            new_client_id=self._credentials.new_id,
            linger=self.options.application.linger,
            max_detached=self.options.application.max_connections_per_session or MAX_DETACHED,
        )

    def __repr__(self) -> str:
        return f"<Server {', '.join(self.applications)}>"
