"""One session without a server, driven by hand: the test's own task does its work.

The session is the real one: its actor, mailbox, document, receivers, edit rules, callbacks, hooks and failure policy.
What is missing is everything that happens by itself: it has no task, its timers ring when `advance()` says so, its
background tasks are noted and not run, and other sessions are probes.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, final

import attrs
import trio

from supervisor.actor.callbacks import Kind
from supervisor.actor.guard import check_thread
from supervisor.actor.ref import Ask, check_handled
from supervisor.actor.unawaited import watch_unawaited
from supervisor.application.creation import Created, Creation, Refused
from supervisor.application.handlers import Application
from supervisor.application.options import ApplicationOptions
from supervisor.errors import SessionRefused
from supervisor.instruments import Incident
from supervisor.protocol.encoding import encode_value
from supervisor.protocol.fields import ClientMessages
from supervisor.session.actor import SessionActor
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.session.context import SessionContext
from supervisor.session.opening import Opening
from supervisor.session.request import Request
from supervisor.testing.application import App, Messages, application_of, messages_of
from supervisor.testing.block import opens_block
from supervisor.testing.driving import Driver, HandTime
from supervisor.testing.faults import Faults, faults_or_default
from supervisor.testing.probe import Probe, Told
from supervisor.testing.sender import Sender
from supervisor.testing.stand_ins import Link, Onlooker, Started, Unrun
from supervisor.testing.surroundings import Surroundings
from supervisor.transport.wire import SessionWire

EditOp = Literal["set", "insert", "remove"]

FOR_EVER = ApplicationOptions(linger=math.inf, first_attach=math.inf)
"""Else the session would end after seconds, since nobody is attached."""


@final
@attrs.frozen(kw_only=True)
class Scheduled:
    """One callback that will be called."""

    kind: Kind
    """`next tick`, `timeout` or `periodic`."""
    name: str
    """The function's name."""
    seconds: float
    """As they were given when it was added; 0 for a next tick."""


@opens_block
async def hand_driven(
    app: App,
    *,
    id: str = "hand-driven",
    request: Request | None = None,
    options: ApplicationOptions | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[HandDrivenSession]:
    """Open one session of an app without a server, and drive it by hand inside this block.

    Entering runs the load hooks, the created hooks and `modify_document`; leaving runs the destroyed hooks and the
    unload hooks, each under its deadline. What failed meanwhile, and no call has raised, is raised then.

    Args:
        app: a path as for `serve`, a function `modify_document(doc)`, a `Handler`, or an `Application`.
        id: the session's id.
        request: the request that created it.
        options: the application's options; without them the session doesn't end because nobody is attached.
        faults: what is to go wrong in the app's code from the beginning; `session.faults` inside of the block. A plain
            call refuses a function that is to hang or is delayed, as it does one that is `async`.

    Raises:
        ApplicationError: the app can't be loaded.
        SessionRefused: a created hook has refused the session.
        Exception: whatever a hook or `modify_document` raised.
        LookupError: a fault was to strike a function that never was there.
        RuntimeError: this is not a trio run.
        TypeError: what is given is not an app, the options are not `ApplicationOptions`, such as a server's, or the
            faults are not `Faults`.
    """
    given: object = options
    if not (given is None or isinstance(given, ApplicationOptions)):
        raise TypeError(
            f"options must be an ApplicationOptions, as in ApplicationOptions(linger=60.0), not {type(given).__name__}"
        )
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "hand_driven() works inside a trio run; write an `async def` test for pytest-trio (trio_mode = true)"
        )
    faults = faults_or_default(faults)
    failure: BaseException | None = None
    with faults.in_use():
        definition = faults.install(application_of(app))
        session = HandDrivenSession(definition, id, request or Request(), options or FOR_EVER, faults)
        with watch_unawaited(session._coroutine_dropped):
            try:
                try:
                    await session._begin()
                    yield session
                finally:
                    await session._end()
            except (trio.Cancelled, GeneratorExit):
                raise
            except BaseException as error:
                failure = error
        left = [incident for incident in session._unraised() if not faults.caused(incident)]
        if failure is not None:
            for incident in left:
                failure.add_note(f"{incident.what} failed meanwhile: {incident.error!r}")
            raise failure
        if left:
            errors = [incident.error for incident in left]
            raise errors[0] if len(errors) == 1 else BaseExceptionGroup("the app failed while the test ran", errors)


@final
class HandDrivenSession:
    """One session that works only when the test tells it to, in the test's own task. Get one by `hand_driven()`.

    Plain methods are for an app's plain code. Each has a twin, `…_async`, for code that is `async` or runs in a thread;
    for such code the plain method raises `TypeError`, and nothing is kept. All of them first handle what waits in the
    mailbox. They raise what failed meanwhile, several failures as a group; after the session's end they raise
    `SessionGone`. Only one of them may run at a time.
    """

    def __init__(
        self, definition: Application, id: str, request: Request, options: ApplicationOptions, faults: Faults
    ) -> None:
        time = HandTime()
        self.faults = faults
        """What the test makes go wrong in the app's code."""
        self._surroundings = Surroundings(
            definition, options=options, now=time.now, faults=faults, on_session=self._prepare
        )
        self._creation = Creation()
        self._is_loaded = False
        self.patches: list[list[dict[str, Any]]] = []
        """The JSON Patch (RFC 6902) of each kept transaction, in order, including those that built the document."""
        self.started: list[Started] = []
        """The background tasks that the session started, in order. None of them runs."""
        self._actor: SessionActor = self._surroundings.registry.new_session(id, request, self._creation)
        self._driver = Driver(self._actor, self._surroundings, time)
        self._sender = Sender(self._wire, ClientMessages(definition.receivers.from_client))
        self._links: dict[str, Link] = {}

    # What can be looked at.

    @property
    def context(self) -> SessionContext:
        """The `session_context`, as the app's hooks get it.

        What is sent through it waits in the mailbox, where `conflate` and `when_full` apply: call
        `session.context.tell_nowait(…)` several times, then `advance(0)`, which handles what is left.
        """
        return self._actor.context

    @property
    def data(self) -> dict[str, Any]:
        """The document, as clients see it: a copy."""
        data: dict[str, Any] = json.loads(self._actor.stored.snapshot())
        return data

    @property
    def revision(self) -> int:
        """The document's revision."""
        return self._actor.stored.revision

    @property
    def editable(self) -> tuple[str, ...]:
        """What clients may edit, as patterns."""
        return self._actor.edit_rules.patterns

    @property
    def messages(self) -> Messages:
        """The classes of messages that the app handles, by name: `session.messages.Quote("ACME", 12.5)`."""
        return messages_of(self._surroundings.definition)

    @property
    def scheduled(self) -> list[Scheduled]:
        """The session's pending callbacks, in the order in which they were added."""
        return [
            Scheduled(kind=handle.kind, name=handle.name, seconds=handle.seconds)
            for handle in self._actor.callbacks
            if handle.kind != "listener"
        ]

    @property
    def queued(self) -> list[str]:
        """What waits in the mailbox, in words, in order: "message Quote"."""
        mailbox = self._actor.mailbox
        statistics = mailbox.statistics()
        return [entry.describe() for entry in mailbox.tail(statistics.counted + statistics.uncounted)]

    @property
    def told(self) -> list[Told]:
        """What other sessions were sent, in order; a test may clear it."""
        return self._surroundings.told

    @property
    def incidents(self) -> list[Incident]:
        """What has failed so far, including what calls have raised."""
        return self._surroundings.seen.incidents

    @property
    def escalated(self) -> Incident | None:
        """The failure that the policy has escalated, which would end the application; None if there is none."""
        return self._surroundings.escalated[0] if self._surroundings.escalated else None

    @property
    def ending(self) -> Ending | None:
        """Why the session has ended; None while it goes on. Its destroyed hooks run as the block is left."""
        return self._actor.ending if self._actor.has_ended else None

    def neighbour(self, id: str, *, request: Request | None = None) -> Probe:
        """Another session of the application from now on: a probe, which records and answers. Asked again, the same."""
        check_thread()
        neighbours = self._surroundings.neighbours
        if id == self._actor.id:
            raise ValueError(f"{id!r} is the session itself; give its neighbour another id")
        if id not in neighbours:
            neighbours[id] = Probe(
                id,
                self._surroundings.context,
                request=request or Request(),
                types=frozenset(self._surroundings.definition.receivers.by_type),
                note=self.told.append,
            )
        return neighbours[id]

    # What can be done.

    def receive(self, message: object) -> Any:
        """Handle a message, as from a hook or another session; returns what its handler returned.

        Raises:
            Exception: whatever the handler raised; its changes are rolled back, and the failure policy has decided.
            TypeError: the app has no handler for messages of this type, or it is `async`: see `receive_async()`.
            SessionGone: the session has ended.
        """
        return self._driver.handle(self._asked(message), "receive")

    async def receive_async(self, message: object) -> Any:
        """See `receive()`; for handlers that are `async`, or run in threads. Cancelled, the handler is rolled back."""
        return await self._driver.handle_async(self._asked(message), "receive")

    def receive_from_client(
        self, name: str, fields: Mapping[str, object] | None = None, *, connection: ConnectionContext | None = None
    ) -> Any:
        """Handle a message as a browser sends it; returns the answer as the browser gets it, which is JSON.

        `connection` is the sender: what `connect()` returned; by default, a visitor of whom nothing is known.

        Raises:
            SendInvalid: clients may not send that, or a field is wrong.
            Exception: whatever the handler raised, `Rejected` if it said no; otherwise as `receive()`.
        """
        entry = self._sender.message(name, fields or {}, connection or self._visitor())
        return _as_json(self._driver.handle(entry, "receive_from_client"))

    async def receive_from_client_async(
        self, name: str, fields: Mapping[str, object] | None = None, *, connection: ConnectionContext | None = None
    ) -> Any:
        """See `receive_from_client()`; for handlers that are `async`, or run in threads."""
        entry = self._sender.message(name, fields or {}, connection or self._visitor())
        return _as_json(await self._driver.handle_async(entry, "receive_from_client"))

    def edit(self, op: EditOp, path: str, value: object = None, *, connection: ConnectionContext | None = None) -> None:
        """Edit the document as a client does that sees it as it is; `path` is a JSON Pointer, `-` the end of a list.

        Raises:
            Rejected: clients may not edit that, or the app's function said no.
            SendConflict: the place is not there.
            ValueError: the path is none, or names the whole document.
            Exception: as `receive()`.
        """
        entry = self._sender.edit(op, path, value, self.data, connection or self._visitor())
        self._driver.handle(entry, "edit")

    async def edit_async(
        self, op: EditOp, path: str, value: object = None, *, connection: ConnectionContext | None = None
    ) -> None:
        """See `edit()`; for apps whose function that is asked about edits is `async`, or runs in a thread."""
        entry = self._sender.edit(op, path, value, self.data, connection or self._visitor())
        await self._driver.handle_async(entry, "edit")

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass: handle what waits, then ring what is due, in order, each at its time.

        `advance(0)` handles what waits: next ticks, change listeners, messages that the session was sent. A virtual
        clock is moved on with the session; on another, only the session's own time is, and its code that looks at
        `trio.current_time()` doesn't see it.

        Raises:
            Exception: whatever callbacks and handlers raised; the others have been called all the same.
            TypeError: one of them is `async`: see `advance_async()`.
            RuntimeError: it goes on without end, such as a next tick that adds itself.
        """
        self._driver.advance(seconds)

    async def advance_async(self, seconds: float) -> None:
        """See `advance()`; what is `async` is awaited, and restarts that are due are carried out."""
        await self._driver.advance_async(seconds)

    async def connect(
        self, id: str = "c1", *, request: Request | None = None, name: str | None = None, **metadata: Any
    ) -> ConnectionContext:
        """Attach a connection, by the opened hooks of the app; returns it, as they meet it.

        Args:
            id: the connection's, another one for each.
            request: the request that opened it; the session's own if it is left out.
            name: what the app calls it.
            metadata: what the client tells others of itself.

        Raises:
            SessionRefused: an opened hook has refused it.
            Exception: whatever the hook raised; or as `receive()`.
        """
        connection = ConnectionContext(
            id=id,
            request=request or self._actor.request,
            peer=id,
            name=name,
            metadata=MappingProxyType(metadata),
        )
        if id in self._links:
            raise ValueError(f"connection {id!r} is attached already; give each an id of its own")
        porter = self._surroundings.registry.porter
        refusal = await self._driver.handle_async(Opening(porter, connection, self._actor.gone), "connect")
        if refusal is not None:
            raise SessionRefused(str(refusal))
        if self._actor.has_ended:
            raise self._actor.gone()
        self._links[id] = Link(connection)
        self._actor.attach(self._links[id])
        return connection

    async def disconnect(self, connection: ConnectionContext) -> None:
        """Detach a connection, and run the closed hooks of the app."""
        link = self._links.pop(connection.id)
        self._actor.detach(link)
        self._actor.depart(connection)
        await self._driver.advance_async(0)

    def __repr__(self) -> str:
        state = "ended" if self._actor.has_ended else f"at revision {self.revision}"
        return f"<HandDrivenSession {self._actor.id} {state}, {len(self.queued)} queued>"

    # Its life.

    def _prepare(self, session: SessionActor) -> None:
        self._wire = SessionWire(session, key="", new_client_id=_counted("client"), linger=0.0)
        session.audience = Onlooker(self._wire, self.patches)
        session.background = Unrun(self.started)

    async def _begin(self) -> None:
        """Load the app and build the session. `_end` must follow, whatever this raises."""
        await self._surroundings.load()
        self._is_loaded = True
        actor = self._actor
        with actor.at_work():
            await actor.be_made()
        if actor.ending is None:
            return
        actor.begin_end()
        if isinstance(self._creation.outcome, Refused):
            raise SessionRefused(self._creation.outcome.reason)
        if not isinstance(self._creation.outcome, Created):
            left = self._unraised()
            raise left[0].error

    async def _end(self) -> None:
        actor = self._actor
        for link in self._links.values():
            actor.detach(link)
        self._links.clear()
        actor.end(Ending(kind="destroyed", reason="the test is over"))
        await actor.lend_to_the_last()
        passing = await actor.close()
        if self._is_loaded:
            await self._surroundings.unload()
        if passing is not None:
            raise passing

    def _unraised(self) -> list[Incident]:
        left = self.incidents[self._driver.raised :]
        self._driver.raised = len(self.incidents)
        return left

    def _coroutine_dropped(self, error: BaseException) -> None:
        self._surroundings.report("coroutine that nobody awaited", error)

    def _asked(self, message: object) -> Ask:
        check_handled(self._actor, message)
        return Ask(message, self._actor.gone)

    def _visitor(self) -> ConnectionContext:
        return ConnectionContext(id="client", request=self._actor.request, peer="client")


def _as_json(answer: object) -> Any:
    return json.loads(encode_value(answer))


def _counted(what: str) -> Callable[[], str]:
    count = 0

    def name() -> str:
        nonlocal count
        count += 1
        return f"{what}{count}"

    return name
