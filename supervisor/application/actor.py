"""The actor of one application: runs its load and unload hooks, creates, finds and ends its sessions.

Essay: the order of an end. Producers are cancelled first, so that nothing new is made; then the sessions end, side by
side, each with its hooks; then the unload hooks run, and the sessions are none any more; then whatever is left of
connections is cancelled. The nurseries are nested in that order, background ⊃ connections ⊃ sessions, so that leaving
them one after the other is the order, and a producer that is slow to unwind delays no session's hooks.

An end can have a deadline. It moves nearer what is under way: nobody's hook begins with more time than is left, and one
that had begun before loses what is too much. Two seconds of it belong to the unload hooks.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, final

import attrs
import trio

from supervisor.actor.base import Actor, Runtime
from supervisor.actor.callbacks import Callbacks
from supervisor.actor.guard import Report, new_incident_id, pass_on, split_failure, unwrap
from supervisor.application.broadcast import BroadcastReport, UpdateReport, broadcast, update_sessions
from supervisor.application.context import ApplicationContext
from supervisor.application.creation import Busy, Created, Creation, Failed, Outcome, Refused
from supervisor.application.handlers import Application, Handler
from supervisor.application.hooks import call_author
from supervisor.application.options import ApplicationOptions
from supervisor.application.producers import Producer
from supervisor.application.threads import ThreadDoor
from supervisor.errors import ActorGone, ApplicationError, SessionRefused
from supervisor.instruments import Incident
from supervisor.session.actor import RESTARTING, SessionActor
from supervisor.session.connection import Ending
from supervisor.session.context import SessionContext
from supervisor.session.request import Request

PRODUCER_GRACE = 2.0
"""Seconds that producers get to unwind before the sessions begin to end all the same."""
UNLOAD_RESERVE = 2.0
"""Seconds of a shutdown's time that destroyed hooks must leave to the unload hooks."""


@final
@attrs.frozen(kw_only=True)
class ApplicationStatistics:
    """The state of an application at one moment."""

    sessions: int
    """Live sessions, those being created included."""
    unattached: int
    """Those of them that nobody ever attached to."""
    draining: int
    """Sessions whose end has begun and is not over."""
    dead_letters: int
    """Messages that came for sessions that had ended."""


@final
class CallbackActor(Actor):
    """Runs an application's periodic, timeout and next-tick callbacks, one at a time."""

    def __init__(self, application: ApplicationActor) -> None:
        super().__init__(f"callbacks of application {application.application}", application.runtime)
        self._application = application

    def report(self, what: str, error: BaseException) -> str:
        """See `Actor.report`."""
        return self._application.report(what, error)

    def dead_letter(self, message: object) -> None:
        """See `Recipient.dead_letter`."""
        self._application.dead_letters += 1

    async def run(self) -> None:
        """Handle ticks until cancelled. This is the outer guard: it starts the loop again after a failure in it."""
        while True:
            try:
                await self.handle_mail()
            except BaseException as error:
                failure, rest = split_failure(error)
                if failure is not None:
                    self.report("application callback", failure)
                if rest is not None:
                    pass_on(error, rest)


@final
class ApplicationActor:
    """One application at work. `run` is its life; everything else may be called while that goes on."""

    def __init__(
        self,
        application: Application,
        *,
        runtime: Runtime,
        options: ApplicationOptions | None = None,
        make_epoch: Callable[[], str],
        show_id: Callable[[str], str],
        on_session: Callable[[SessionActor], None] = lambda session: None,
    ) -> None:
        self.definition = application
        self.application = application.name
        """The application's name."""
        self.runtime = runtime
        self.options = options or ApplicationOptions()
        self.context = ApplicationContext(self)
        self.dead_letters = 0
        self.connection_nursery: trio.Nursery | None = None
        """Where the tasks of this application's connections belong; None before it is loaded and after its end."""
        self._make_epoch = make_epoch
        self._show_id = show_id
        # Called with each new session before its task starts: the wire gives it its audience.
        self._on_session = on_session
        self._callback_actor = CallbackActor(self)
        self.callbacks = Callbacks(self._callback_actor, runtime.timers)
        self.callbacks.hold()
        self._callback_scope = trio.CancelScope()
        # Those that are not over; they run once there is a background nursery.
        self._producers: dict[Producer, None] = {}
        self._background: trio.Nursery | None = None
        # How many tasks of producers and callbacks there are, and whether all of them have ended.
        self._in_background = 0
        self._background_over = trio.Event()
        self._door: ThreadDoor | None = None
        self._session_nursery: trio.Nursery | None = None
        # Every session whose task has not ended, by id; at most one of each id that has not begun to end.
        self._by_id: dict[str, SessionActor] = {}
        self._creations: dict[SessionActor, Creation] = {}
        # The sessions that authors see, in order of their acceptance.
        self._accepted: dict[SessionActor, None] = {}
        # Those that nobody ever attached to, the oldest first.
        self._unattached: dict[SessionActor, None] = {}
        self._live = 0
        self._draining = 0
        self._hooked: dict[SessionActor, list[Handler]] = {}
        self._creating = trio.CapacityLimiter(self.options.max_creating)
        self._stop = trio.Event()
        self._stop_deadline = math.inf
        # The scopes of hooks that are under way and that an end waits for, each with the seconds that it must leave.
        self._awaited_hooks: dict[trio.CancelScope, float] = {}

    # Its life.

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load, serve until `stop()`, end all sessions, unload. Started when it has loaded.

        Cancelling it is a hard stop: sessions still end with their hooks, each under its deadline.

        Raises:
            ApplicationError: a load hook failed or was late; those that had loaded were unloaded again.
        """
        loaded: list[Handler] = []
        try:
            await self._load(loaded)
            self.runtime.instruments.application_loaded(application=self.application)
            async with trio.open_nursery() as background:
                self._background = background
                self._door = ThreadDoor(background, f"application {self.application!r}", self.report)
                try:
                    await self._serve(background, task_status)
                finally:
                    self._door.close()
                    background.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._unload(loaded)

    async def _serve(self, background: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as connections:
            self.connection_nursery = connections
            async with trio.open_nursery() as sessions:
                self._session_nursery = sessions
                try:
                    self._start(background, self._run_callbacks, name=f"callbacks of {self.application}")
                    self.callbacks.start()
                    for producer in self._producers:
                        self._start(background, producer.run, name=producer.name)
                    task_status.started()
                    await self._stop.wait()
                finally:
                    self._stop.set()
                    self._end_background()
                    grace_until = min(trio.current_time() + PRODUCER_GRACE, self.sessions_until)
                    with trio.CancelScope(shield=True, deadline=grace_until):
                        await self._background_over.wait()
                    for session in list(self._creations):
                        session.end(RESTARTING)
                    self._session_nursery = None
            connections.cancel_scope.cancel()
        self.connection_nursery = None

    def _start(self, background: trio.Nursery, run: Callable[[], Awaitable[None]], *, name: str) -> None:
        self._in_background += 1
        background.start_soon(self._run_in_background, run, name=name)

    async def _run_in_background(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        finally:
            self._in_background -= 1
            if not self._in_background:
                self._background_over.set()

    def _end_background(self) -> None:
        self._callback_scope.cancel()
        self._callback_actor.mailbox.close()
        self.callbacks.clear()
        for producer in list(self._producers):
            producer.cancel()

    def stop(self, *, deadline: float = math.inf) -> None:
        """Begin to end, without waiting; `deadline` is when all of it must be over, by `trio.current_time()`.

        May be called again, with a nearer deadline. Called while it loads, it lets the load hooks go on until two
        seconds before the deadline.
        """
        self._stop_deadline = min(self._stop_deadline, deadline)
        for scope, reserve in self._awaited_hooks.items():
            scope.deadline = min(scope.deadline, self._stop_deadline - reserve)
        self._stop.set()

    @property
    def is_stopping(self) -> bool:
        """Whether no new session is created any more."""
        return self._stop.is_set()

    @property
    def sessions_until(self) -> float:
        """See `Household.sessions_until`."""
        return self._stop_deadline - UNLOAD_RESERVE

    async def _load(self, loaded: list[Handler]) -> None:
        for handler in self.definition.handlers:
            try:
                with self._awaited_hook(UNLOAD_RESERVE) as scope:
                    timeout = self.options.load_timeout
                    await call_author(handler.on_application_load, self.context, timeout=timeout, scope=scope)
            except BaseException as error:
                failure, rest = split_failure(error)
                incident = "" if failure is None else self.report("on_application_load", failure)
                if rest is not None:
                    pass_on(error, rest)
                raise ApplicationError(
                    f"application {self.application!r} can't be served: its on_application_load raised "
                    f"{type(failure).__name__}: {failure} (incident {incident}, the log has the traceback)"
                ) from failure
            loaded.append(handler)

    async def _unload(self, loaded: list[Handler]) -> None:
        for handler in reversed(loaded):
            await self._call_last_hook("on_application_unload", handler, self.context, reserve=0.0, report=self.report)
        self.runtime.instruments.application_unloaded(application=self.application)

    async def _call_last_hook(
        self, name: str, handler: Handler, context: Any, *, reserve: float, report: Report
    ) -> None:
        """Call a destroyed or unload hook, whose failure stops nobody: it is reported."""
        try:
            with self._awaited_hook(reserve) as scope:
                await call_author(getattr(handler, name), context, timeout=self.options.hook_timeout, scope=scope)
        except BaseException as error:
            failure, rest = split_failure(error)
            if failure is not None:
                report(name, failure)
            if rest is not None:
                pass_on(error, rest)

    @contextlib.contextmanager
    def _awaited_hook(self, reserve: float) -> Iterator[trio.CancelScope]:
        """The scope for a hook that the application's end waits for: `stop` can move its deadline nearer."""
        scope = trio.CancelScope(deadline=self._stop_deadline - reserve)
        self._awaited_hooks[scope] = reserve
        try:
            yield scope
        finally:
            del self._awaited_hooks[scope]

    # Its sessions.

    async def open_session(self, id: str, request: Request) -> Outcome:
        """The session with this id, created if there is none. Safe to cancel: a creation goes on without its visitor.

        All who ask for one id while it is being created get the same result. Waits for the creation, which its
        deadlines bound; and for the end of a session of the same id that is just ending.
        """
        while True:
            if self.is_stopping or self._session_nursery is None:
                return Busy(self.options.linger)
            session = self._by_id.get(id)
            if session is None:
                return await self._create(id, request).wait()
            if not session.has_ended:
                return await self._creations[session].wait()
            with trio.move_on_after(self.options.creating_timeout) as scope:
                await session.wait_ended()
            if scope.cancelled_caught:
                return Busy(self.options.creating_timeout)

    def find(self, id: str) -> SessionActor | None:
        """The live, built session with this id, or None."""
        session = self._by_id.get(id)
        if session is None or session.has_ended:
            return None
        return session if isinstance(self._creations[session].outcome, Created) else None

    def _create(self, id: str, request: Request) -> Creation:
        creation = Creation()
        if len(self._unattached) >= self.options.max_unattached:
            oldest = next(iter(self._unattached))
            self._creations[oldest].settle(Busy(self.options.linger))  # if it is not even built
            oldest.end(Ending(kind="destroyed", reason="nobody had attached when others needed the room"))
        if self._live >= self.options.max_sessions:
            creation.settle(Busy(self.options.linger))
            return creation
        session = SessionActor(
            id=id,
            shown_id=self._show_id(id),
            epoch=self._make_epoch(),
            request=request,
            household=self,
            receivers=self.definition.receivers,
            runtime=self.runtime,
            linger=self.options.linger,
            max_age=self.options.max_age,
            capacity=self.options.mailbox_capacity,
        )
        self._on_session(session)
        self._by_id[id] = session
        self._creations[session] = creation
        self._unattached[session] = None
        self._hooked[session] = []
        self._live += 1
        assert self._session_nursery is not None
        self._session_nursery.start_soon(self._run_session, session, name=str(session))
        return creation

    async def _run_session(self, session: SessionActor) -> None:
        try:
            await session.live()
        finally:
            self._draining -= 1
            del self._creations[session]
            del self._hooked[session]
            self._forget_id(session)

    def _forget_id(self, session: SessionActor) -> None:
        if self._by_id.get(session.id) is session:
            del self._by_id[session.id]

    async def create(self, session: SessionActor) -> None:
        """See `Household.create`: settles the creation, and begins the session's end unless it was created."""
        outcome: Outcome
        try:
            outcome = await self._make_in_turn(session)
        except BaseException as error:  # a cancellation, or ours: what hooks raise was dealt with where they are called
            session.undo()
            failure, rest = split_failure(error)
            if failure is None or rest is not None:
                pass_on(error, rest or error)
            outcome = Failed(session.report("creation of the session", failure))
        self._creations[session].settle(outcome)
        if not isinstance(outcome, Created):
            session.end(Ending(kind="destroyed"))

    async def _make_in_turn(self, session: SessionActor) -> Outcome:
        with trio.move_on_after(self.options.creating_timeout) as scope:
            await self._creating.acquire_on_behalf_of(session)
        if scope.cancelled_caught:
            return Busy(self.options.creating_timeout)
        try:
            return await self._make(session)
        finally:
            self._creating.release_on_behalf_of(session)

    async def _make(self, session: SessionActor) -> Outcome:
        """Run the created hooks and build the document.

        A hook that destroyed its session said no. One during which somebody else destroyed it, and which returned all
        the same, had accepted it: so its destroyed hook runs.
        """
        for handler in self.definition.handlers:
            try:
                await call_author(handler.on_session_created, session.context, timeout=self.options.hook_timeout)
            except BaseException as error:
                return self._not_created(session, error, "on_session_created", may_refuse=True)
            session.keep()
            if session.has_ended or session.ending is None:
                self._hooked[session].append(handler)
            if session.ending is not None:
                return self._refused(session, session.ending.reason)
        self._accepted[session] = None
        for handler in self.definition.handlers:
            try:
                await call_author(handler.modify_document, session.document, timeout=self.options.build_timeout)
            except BaseException as error:
                return self._not_created(session, error, "modify_document", may_refuse=False)
            session.keep()
            if session.ending is not None:
                return self._refused(session, session.ending.reason)
        self.runtime.instruments.session_created(application=self.application, session=session.shown_id)
        return Created(session)

    def _not_created(self, session: SessionActor, error: BaseException, what: str, *, may_refuse: bool) -> Outcome:
        session.undo()
        failure, rest = split_failure(error)
        if rest is not None:
            if failure is not None:
                session.report(what, failure)
            pass_on(error, rest)
        assert failure is not None
        if may_refuse and isinstance(failure, SessionRefused):
            return self._refused(session, str(failure))
        # An operating system's "permission denied" has an errno; a hook's own PermissionError has none.
        if may_refuse and isinstance(failure, PermissionError) and failure.errno is None:
            return self._refused(session, "")
        return Failed(session.report(what, failure))

    def _refused(self, session: SessionActor, reason: str) -> Refused:
        if self._creations[session].outcome is None:
            self.runtime.instruments.session_refused(
                application=self.application, session=session.shown_id, reason=reason
            )
        return Refused(reason)

    async def take_leave(self, session: SessionActor) -> None:
        """See `Household.take_leave`."""
        for handler in reversed(self._hooked[session]):
            await self._call_last_hook(
                "on_session_destroyed", handler, session.context, reserve=UNLOAD_RESERVE, report=session.report
            )
            session.undo()
        if isinstance(self._creations[session].outcome, Created):
            assert session.ending is not None
            self.runtime.instruments.session_destroyed(
                application=self.application, session=session.shown_id, reason=session.ending.reason
            )

    def attached(self, session: SessionActor) -> None:
        """See `Household.attached`."""
        self._unattached.pop(session, None)

    def left(self, session: SessionActor) -> None:
        """See `Household.left`. What was not built gives its id free, so that it can be tried again at once."""
        creation = self._creations[session]
        if creation.outcome is None:  # somebody destroyed it while it was being created, or everything ends
            assert session.ending is not None
            gone = session.ending.kind == "destroyed"
            creation.settle(self._refused(session, session.ending.reason) if gone else Busy(self.options.linger))
        if not isinstance(creation.outcome, Created):
            self._forget_id(session)
        self._accepted.pop(session, None)
        self._unattached.pop(session, None)
        self._live -= 1
        self._draining += 1

    def dead_letter(self, session: SessionActor, message: object) -> None:
        """See `Household.dead_letter`."""
        self.dead_letters += 1
        self.runtime.instruments.dead_letter(application=self.application, session=session.shown_id, message=message)

    # What its context does.

    def snapshot(self) -> tuple[SessionContext, ...]:
        """See `ApplicationContext.sessions`."""
        return tuple(session.context for session in self._accepted)

    def destroy_session(self, id: str) -> bool:
        """See `ApplicationContext.destroy_session`."""
        session = self._by_id.get(id)
        if session is None or session.has_ended:
            return False
        session.end(Ending(kind="destroyed"))
        return True

    def add_producer(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Producer:
        """See `ApplicationContext.add_callback`."""
        producer = Producer(func, args, report=self.report, on_over=lambda producer: self._producers.pop(producer))
        self._producers[producer] = None
        if self.is_stopping:
            producer.cancel()
        elif self._background is not None:
            self._start(self._background, producer.run, name=producer.name)
        return producer

    def remove_producer(self, producer: Producer) -> None:
        """See `ApplicationContext.remove_callback`."""
        if producer not in self._producers:
            raise ValueError(f"{producer!r} was removed already, has finished, or is another application's")
        producer.cancel()

    async def _run_callbacks(self) -> None:
        with self._callback_scope:
            await self._callback_actor.run()

    async def broadcast(self, message: object, timeout: float) -> BroadcastReport:
        """See `ApplicationContext.broadcast`."""
        if type(message) not in self.definition.receivers.by_type:
            name = type(message).__qualname__
            raise TypeError(
                f"application {self.application!r} has no handler for {name}; write one and mark it @receives({name})"
            )
        return await broadcast(
            tuple(self._accepted), message, holds=self.runtime.holds, timeout=timeout, on_lag=self._report_lag
        )

    def _report_lag(self, session: SessionActor) -> None:
        self.runtime.instruments.broadcast_lagged(application=self.application, session=session.shown_id)

    async def update_sessions(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> UpdateReport:
        """See `ApplicationContext.update_sessions`."""
        return await update_sessions(tuple(self._accepted), func, args, holds=self.runtime.holds, timeout=timeout)

    def call_from_thread(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """See `ApplicationContext.call_from_thread`."""
        if self._door is None:
            raise ActorGone(f"application {self.application!r} has not loaded yet, or could not")
        return self._door.call(func, args, timeout)

    # Reports.

    def report(self, what: str, error: BaseException) -> str:
        """Hand a failure to the instruments; returns the incident's id."""
        incident = Incident(
            id=new_incident_id(),
            application=self.application,
            session="-",
            what=what,
            error=unwrap(error),
        )
        self.runtime.instruments.failed(incident)
        return incident.id

    def statistics(self) -> ApplicationStatistics:
        """The state of this application now."""
        return ApplicationStatistics(
            sessions=self._live,
            unattached=len(self._unattached),
            draining=self._draining,
            dead_letters=self.dead_letters,
        )

    def __repr__(self) -> str:
        return f"<ApplicationActor {self.application} {self.statistics()}>"
