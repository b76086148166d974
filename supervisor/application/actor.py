"""The actor of one application: runs its load and unload hooks, creates, finds and ends its sessions.

Essay: an application ends in the order of its nurseries, background ⊃ connections ⊃ sessions, from the inside out.
Producers are told first, so that nothing new is made: if the app ever asks whether it is stopping, they get time to
return, and then all are cancelled. The sessions finish what waits in their mailboxes, batch by batch, and end side by
side, each with its hooks; the remaining connections are cancelled; then the unload hooks run. The background is left
last: a producer that unwinds slowly, or blocks a thread, delays nobody's hooks. All of this is the soft half of one
stop: when its time is over, or `run` is cancelled, what has not finished is ended hard, in the same order.

Essay: an application fails alone. It has failed if it can't be loaded, or if a failure escalates by its policy. Then it
ends as at a stop, with its sessions and hooks, and `run` returns without an exception, so that its surroundings and
neighbours go on. Only a `run` that never got to serve raises. `failure` stays, so that pages can say what happened.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import trio

from supervisor.actor.base import Runtime
from supervisor.actor.brief import brief
from supervisor.actor.guard import new_incident_id, pass_on, split_failure, unwrap
from supervisor.actor.stopping import Stopping
from supervisor.actor.story import told
from supervisor.actor.thread_door import ThreadDoor
from supervisor.actor.waiting import WaitStatistics
from supervisor.actor.workers import Workers, WorkOwner, current_work
from supervisor.application.background import Background
from supervisor.application.broadcast import (
    BroadcastReport,
    UpdateReport,
    broadcast,
    check_received,
    update_sessions,
)
from supervisor.application.context import ApplicationContext
from supervisor.application.creation import Failed, Outcome, Refused
from supervisor.application.deadline import CLOSING, UNLOAD_RESERVE, call_last_hook
from supervisor.application.failed_application import because_escalated, because_not_loaded, ending_of_failed
from supervisor.application.handlers import Application, Handler
from supervisor.application.hooks import call_author
from supervisor.application.loading import own_part_of
from supervisor.application.options import ApplicationOptions
from supervisor.application.producer_life import ProducerLife
from supervisor.application.producers import Producer
from supervisor.application.registry import SessionRegistry
from supervisor.application.statistics import ApplicationStatistics, ApplicationStatus
from supervisor.application.visitors import choose_session_id, name_connection
from supervisor.errors import ActorGone, ApplicationError
from supervisor.instruments import Incident
from supervisor.session.actor import RESTARTING, SessionActor
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.session.context import SessionContext
from supervisor.session.request import Request


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
        on_failed: Callable[[ApplicationActor], None] = lambda application: None,
        hooks_only: bool = False,
        within: Stopping | None = None,
    ) -> None:
        """`within` is the stopping of what this application is part of, whose deadline bounds this one's.

        `on_failed` is called once, as soon as it has failed, before its sessions end.

        `hooks_only` is for an export: producers, callbacks and background tasks that are added never run, and each
        session ends as soon as it is built.
        """
        self.definition = application
        self.story = runtime.stories.begin(f"application {application.name}")
        """Where what happens to it is told; None: nowhere."""
        self.application = application.name
        """The application's name."""
        self.runtime = runtime
        self.options = options or ApplicationOptions()
        self.context = ApplicationContext(self)
        self.workers = Workers(self.options.max_threads)
        self.connection_nursery: trio.Nursery | None = None
        """Where the tasks of this application's connections belong; None before it is loaded and after its end."""
        self.failure: Incident | None = None
        """Why it has failed: it could not be loaded, or something escalated. The first reason counts."""
        self.failed_because = ""
        """The same in a sentence, for operators."""
        self._on_failed = on_failed
        self.was_run = False
        """Whether `run` was called: else there is nothing that could end."""
        self._drained = trio.Event()
        self._unloaded = trio.Event()
        self.shares_presence = False
        """See `ApplicationContext.share_presence`."""
        self.stopping = Stopping(within)
        self._registry = SessionRegistry(
            application,
            context=self.context,
            runtime=runtime,
            options=self.options,
            stopping=self.stopping,
            make_epoch=make_epoch,
            show_id=show_id,
            on_session=on_session,
            workers=self.workers,
            on_escalation=self.escalate,
            hooks_only=hooks_only,
        )
        self._work_owner = WorkOwner(
            name=f"application {self.application}",
            report=self.report,
            gone=lambda: ActorGone(f"application {self.application!r} has ended, or its thread's work was cancelled"),
            has_ended=lambda: self.has_unloaded,
            stopping=self.stopping,
        )
        self.background = Background(
            application,
            context=self.context,
            runtime=runtime,
            options=self.options,
            stopping=self.stopping,
            report=self.incident,
            story=self.story,
            escalate=self.escalate,
            idle=hooks_only,
        )
        """Its producers and callbacks."""
        self.callbacks = self.background.callbacks
        self._has_loaded = False
        self._door: ThreadDoor | None = None
        self.ending = RESTARTING
        """What the sessions' connections are told when all of it ends."""
        # Whether the app has ever asked if it is stopping: then its producers can be expected to return by themselves.
        self._is_looked_at = False

    # Its life.

    async def start(self, nursery: trio.Nursery) -> None:
        """Let it run in this nursery, and wait until it has loaded.

        Raises:
            ApplicationError: see `run`. The nursery and the others in it go on.
        """
        await nursery.start(self.run)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load, serve until `stop()` or `escalate()`, end all sessions, unload. Started when it has loaded.

        Cancelling it is a hard stop: sessions still end with their hooks, each under its deadline.

        Raises:
            ApplicationError: its code couldn't be loaded, or a load hook failed or was late; handlers that had loaded
                were unloaded again.
        """
        loaded: list[Handler] = []
        self.was_run = True
        try:
            await self._load(loaded)
            self.runtime.instruments.application_loaded(application=self.application)
            if self.story is not None:
                self.story.add("application", "loaded")
            async with trio.open_nursery() as background:
                self._has_loaded = True
                self._door = ThreadDoor(background, f"application {self.application!r}", self.report)
                try:
                    await self._serve(background, task_status)
                finally:
                    self._door.close()
                    # Before what is left of the background, which a blocked thread can hold up.
                    with trio.CancelScope(shield=True):
                        await self._unload(loaded)
                    background.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._unload(loaded)

    async def _serve(self, background: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as connections:
            self.connection_nursery = connections
            async with trio.open_nursery() as sessions:
                if not self.stopping.has_begun:  # or it was told to while it loaded
                    self._registry.open(sessions)
                try:
                    self.background.start(background)
                    task_status.started()
                    await self.stopping.wait()
                    await self._finish()
                finally:
                    self.stopping.soft()
                    await self.background.end(shield=True)
                    self._registry.end_all(self.ending)
            self._drained.set()
            # Those that had no session were told at the beginning of the stop, or as they came.
            connections.cancel_scope.deadline = min(trio.current_time() + CLOSING, self.stopping.at - UNLOAD_RESERVE)
        self.connection_nursery = None

    async def _finish(self) -> None:
        """The soft half of the end."""
        if self._is_looked_at:
            await self.background.wait_returned()
        await self.background.end()
        await self._registry.finish_all(self.ending)

    def stop(self, *, deadline: float = math.inf, ending: Ending = RESTARTING) -> None:
        """Begin to end, without waiting; `deadline` is when all of it must be over, by `trio.current_time()`.

        `ending` is what the sessions' connections are told, and the first one counts.
        May be called again, with a nearer deadline. Called while it loads, it lets the load hooks go on until two
        seconds before the deadline.
        """
        if not self.stopping.has_begun:
            self.ending = ending
        self._registry.stop_creating()
        if self.story is not None and not self.stopping.has_begun:
            self.story.add("application", f"stops ({ending.kind})")
        self.stopping.soft(deadline)
        if not self._has_loaded:  # no session can be created any more
            self._drained.set()

    async def wait_drained(self) -> None:
        """Wait until the sessions are over. Their deadlines bound it once it was stopped."""
        await self._drained.wait()

    def escalate(self, incident: Incident) -> None:
        """End this application because of this incident, as `stop` does; no other one. Returns at once.

        The first one counts, and none once it ends anyway. Call it in the server's thread; it raises nothing.
        """
        if self.failure is None and not self.is_stopping:
            self._has_failed(incident, because_escalated(self.application, incident))
            self.stop(ending=ending_of_failed(incident))

    def _has_failed(self, incident: Incident, reason: str) -> None:
        self.failure, self.failed_because = incident, reason
        if self.story is not None:
            self.story.add("application", f"failed: {reason}")
        self.runtime.instruments.application_failed(application=self.application, reason=reason, incident=incident.id)
        self._on_failed(self)

    @property
    def status(self) -> ApplicationStatus:
        """Where it is in its life."""
        if self.failure is not None:
            return "failed"
        if self.has_unloaded:
            return "unloaded"
        if self.is_stopping:
            return "stopping"
        return "serving" if self._has_loaded else "loading"

    @property
    def is_degraded(self) -> bool:
        """Whether it has failed, or one of its producers has for good and was not removed since."""
        return self.failure is not None or self.background.producers.failed > 0

    @property
    def has_unloaded(self) -> bool:
        """Whether the sessions and then the unload hooks are over."""
        return self._unloaded.is_set()

    async def wait_unloaded(self) -> None:
        """Wait until the sessions and then the unload hooks are over. Their deadlines bound it once it was stopped."""
        await self._unloaded.wait()

    @property
    def is_stopping(self) -> bool:
        """Whether no new session is created any more."""
        return self.stopping.has_begun

    def look_at_stopping(self) -> Stopping:
        """See `ApplicationContext.stopping`: from now on producers are asked before they are cancelled."""
        self._is_looked_at = True
        return self.stopping

    async def _load(self, loaded: list[Handler]) -> None:
        if self.definition.load_error is not None:
            error = self.definition.load_error
            self._has_failed(self.incident("loading of its code", own_part_of(error)), str(error))
            raise error
        for handler in self.definition.handlers:
            try:
                scope = trio.CancelScope()
                with self.stopping.bounding(scope, UNLOAD_RESERVE):
                    timeout = self.options.load_timeout
                    await call_author(
                        handler.on_application_load, self.context, timeout=timeout, scope=scope, story=self.story
                    )
            except BaseException as error:
                failure, rest = split_failure(error)
                incident = None if failure is None else self.incident("on_application_load", failure)
                if rest is not None:
                    pass_on(error, rest)
                assert failure is not None
                assert incident is not None
                reason = because_not_loaded(self.application, incident)
                self._has_failed(incident, reason)
                raise ApplicationError(reason) from failure
            loaded.append(handler)

    async def _unload(self, loaded: list[Handler]) -> None:
        while loaded:  # each once, also if this is called again
            await call_last_hook(
                self.stopping,
                "on_application_unload",
                loaded.pop(),
                self.context,
                timeout=self.options.hook_timeout,
                report=self.report,
                story=self.story,
            )
        if not self.has_unloaded:
            self._drained.set()
            self._unloaded.set()
            self.background.leave()
            self.stopping.leave()
            if self._has_loaded:  # what was never told to be there can't be told to be gone
                self.runtime.instruments.application_unloaded(application=self.application)

    # Its sessions.

    async def open_session(self, id: str, request: Request, *, counted_as: str | None = None) -> Outcome:
        """See `SessionRegistry.open_session`."""
        return await self._registry.open_session(id, request, counted_as=counted_as)

    def find(self, id: str) -> SessionActor | None:
        """See `SessionRegistry.find`."""
        return self._registry.find(id)

    async def choose_session_id(self, request: Request) -> str | Refused | Failed | None:
        """See `visitors.choose_session_id`."""
        timeout = self.options.hook_timeout
        return await choose_session_id(self.definition.handlers, request, timeout=timeout, report=self.report)

    def name_connection(self, request: Request) -> str | None:
        """See `visitors.name_connection`."""
        return name_connection(self.definition.handlers, request, report=self.report)

    # What its context does.

    def snapshot(self) -> tuple[SessionContext, ...]:
        """See `ApplicationContext.sessions`."""
        return self._registry.contexts()

    def unended(self) -> tuple[SessionActor, ...]:
        """See `SessionRegistry.unended`."""
        return self._registry.unended()

    def connections(self) -> tuple[ConnectionContext, ...]:
        """See `ApplicationContext.connections`."""
        return self._registry.connections()

    def waits(self) -> tuple[WaitStatistics, ...]:
        """See `ApplicationContext.waits`."""
        return self._registry.waits()

    def destroy_session(self, id: str) -> bool:
        """See `ApplicationContext.destroy_session`."""
        return self._registry.destroy(id)

    def add_producer(
        self, func: Callable[..., Any], args: tuple[Any, ...], *, life: ProducerLife, name: str | None, escalates: bool
    ) -> Producer:
        """See `ApplicationContext.add_callback`."""
        return self.background.add_producer(func, args, life=life, name=name, escalates=escalates)

    def remove_producer(self, producer: Producer) -> None:
        """See `ApplicationContext.remove_callback`."""
        self.background.producers.remove(producer)

    async def broadcast(self, message: object, timeout: float) -> BroadcastReport:
        """See `ApplicationContext.broadcast`."""
        check_received(self.application, self.definition.receivers.by_type, message)
        report = await broadcast(
            tuple(self._registry.accepted),
            message,
            holds=self.runtime.holds,
            timeout=timeout,
            on_lag=self._report_lag,
            policy=self.definition.receivers.policies.get(type(message)),
        )
        if self.story is not None:
            counts = f"{len(report.accepted)} accepted, {len(report.lagged)} lagged, {len(report.gone)} gone"
            self.story.add("broadcast", f"{brief(message)}  → {counts}")
        return report

    def _report_lag(self, session: SessionActor) -> None:
        self.runtime.instruments.broadcast_lagged(application=self.application, session=session.shown_id)

    async def update_sessions(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> UpdateReport:
        """See `ApplicationContext.update_sessions`."""
        report = await update_sessions(
            tuple(self._registry.accepted), func, args, holds=self.runtime.holds, timeout=timeout
        )
        if self.story is not None:
            counts = f"{len(report.done)} done, {len(report.failed)} failed, {len(report.lagged)} lagged"
            name = getattr(func, "__qualname__", brief(func))
            self.story.add("update", f"{name}  → {counts}, {len(report.gone)} gone")
        return report

    def call_from_thread(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """See `ApplicationContext.call_from_thread`."""
        work = current_work()
        if work is not None and work.door is not None:
            return work.door.call(func, args, timeout)
        if self._door is None:
            raise ActorGone(f"application {self.application!r} has not loaded yet, or failed to load")
        return self._door.call(func, args, timeout)

    async def run_in_thread(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a function in a worker thread; see `Workers.run`."""
        return await self.workers.run(func, args, self._work_owner)

    # Reports.

    def report(self, what: str, error: BaseException) -> str:
        """Hand a failure to the instruments; returns the incident's id."""
        return self.incident(what, error).id

    def incident(self, what: str, error: BaseException, decision: str = "") -> Incident:
        """Hand a failure to the instruments, and what follows; returns the incident."""
        incident = Incident(
            id=new_incident_id(),
            application=self.application,
            session="-",
            what=what,
            error=unwrap(error),
            decision=decision,
            story=() if self.story is None else self.story.until_now(),
        )
        if self.story is not None:
            self.story.failed(what, told(incident))
        self.runtime.instruments.failed(incident)
        return incident

    def statistics(self) -> ApplicationStatistics:
        """The state of this application now."""
        producers = self.background.producers
        return ApplicationStatistics(
            status=self.status,
            sessions=self._registry.statistics(),
            producers=producers.live,
            failed_producers=producers.failed,
            producer_states=producers.statistics(),
            callbacks=self.background.statistics(),
            threads=self.workers.at_work,
        )

    def __repr__(self) -> str:
        return f"<ApplicationActor {self.application} {self.statistics()}>"
