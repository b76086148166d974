"""An application's sessions: created within limits, found by id, and forgotten when they have ended.

Essay: creation belongs to the application. A session's task starts in the application's nursery and runs its own
created hooks; whoever asks for the id waits for one shared result. So a visitor who leaves ends only a wait, and two
visitors with the same id can't make two sessions. Limits are checked before a task is started. Crawlers open pages and
never attach: they get a quarter of the sessions, and the oldest session that nobody attached to makes room for the
next.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, final

import trio

from supervisor.actor.base import Runtime
from supervisor.actor.brief import brief
from supervisor.actor.guard import new_incident_id, pass_on, split_failure
from supervisor.actor.stopping import Children, Stopping
from supervisor.actor.waiting import WaitStatistics
from supervisor.actor.workers import Workers
from supervisor.application.batches import in_batches, pause_between
from supervisor.application.creation import Busy, Created, Creation, Failed, Outcome, Refused, TooMany
from supervisor.application.crowd import Crowd
from supervisor.application.deadline import HOOKS_ONLY, UNLOAD_RESERVE, call_last_hook
from supervisor.application.handlers import Application, Handler
from supervisor.application.hooks import call_author, refusal_in
from supervisor.application.options import ApplicationOptions
from supervisor.application.porter import Porter
from supervisor.application.session_failed_hooks import SessionFailedHooks
from supervisor.application.statistics import RegistryStatistics
from supervisor.instruments import Incident
from supervisor.session.actor import RESTARTING, SessionActor
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.session.context import SessionContext
from supervisor.session.request import Request


@final
class SessionRegistry:
    """The sessions of one application; the household that each of them knows."""

    def __init__(
        self,
        definition: Application,
        *,
        context: Any,
        runtime: Runtime,
        options: ApplicationOptions,
        stopping: Stopping,
        make_epoch: Callable[[], str],
        show_id: Callable[[str], str],
        on_session: Callable[[SessionActor], None],
        workers: Workers,
        on_escalation: Callable[[Incident], None] = lambda incident: None,
        hooks_only: bool = False,
    ) -> None:
        self.application = definition.name
        """See `Household.application`."""
        self.context = context
        """See `Household.context`."""
        self.stopping = Stopping(stopping, reserve=UNLOAD_RESERVE)
        """See `Household.stopping`."""
        self.porter = Porter(definition, options=options, stopping=self.stopping)
        """See `Household.porter`."""
        self.failure_policy = definition.failure_policy
        """See `Household.failure_policy`."""
        self._session_failed_hooks = SessionFailedHooks(definition, options=options, stopping=self.stopping)
        self.has_failed_hooks = self._session_failed_hooks.any
        """See `Household.has_failed_hooks`."""
        self.hooks_reserve = HOOKS_ONLY - UNLOAD_RESERVE
        """See `Household.hooks_reserve`."""
        self.dead_letters = 0
        """Messages that came for sessions that had ended."""
        self._definition = definition
        self._runtime = runtime
        self._options = options
        self._make_epoch = make_epoch
        self._show_id = show_id
        # Called with each new session before its task starts: the wire gives it its audience.
        self._on_session = on_session
        # Called when a session's failure policy hands a failure on: the application decides what becomes of it.
        self._on_escalation = on_escalation
        # Whether sessions run their hooks and nothing else; see `ApplicationActor`.
        self._hooks_only = hooks_only
        self._workers = workers
        # Where sessions' tasks belong while new ones may be created, else None.
        self._nursery: trio.Nursery | None = None
        # Every session whose task has not ended, by id; at most one of each id that has not begun to end.
        self._by_id: dict[str, SessionActor] = {}
        self._creations: dict[SessionActor, Creation] = {}
        # The sessions that authors see, in order of their acceptance.
        self._accepted: dict[SessionActor, None] = {}
        # Those that nobody ever attached to, the oldest first.
        self._unattached: dict[SessionActor, None] = {}
        # The handlers whose created hooks accepted a session: their destroyed hooks are due.
        self._hooked: dict[SessionActor, list[Handler]] = {}
        # Those whose end has not begun.
        self._live: Children[SessionActor] = Children()
        self._draining = 0
        self._crowd = Crowd(options.max_sessions_per_address)
        self._creating = trio.CapacityLimiter(options.max_creating)

    def open(self, nursery: trio.Nursery) -> None:
        """From now on sessions can be created; their tasks belong to this nursery."""
        self._nursery = nursery

    def stop_creating(self) -> None:
        """Create no more sessions; those that there are go on."""
        self._nursery = None

    async def finish_all(self, ending: Ending = RESTARTING) -> None:
        """Create no more, and let those that there are finish, batch by batch. Returns when all have, or time is over.

        `end_all` must follow, for those that have not.
        """
        self.stop_creating()
        batches = in_batches(((session, len(session.connections)) for session in self._live), self._options.drain_batch)
        with self.stopping.working(self.hooks_reserve):
            within = self.stopping.at - self.hooks_reserve - trio.current_time()
            pause = pause_between(len(batches), interval=self._options.drain_interval, within=within)
            for number, batch in enumerate(batches):
                if number:
                    await trio.sleep(pause)
                for session in batch:
                    session.finish(ending)
            with trio.move_on_after(self._options.drain_timeout):
                await self._live.wait_empty()

    def end_all(self, ending: Ending = RESTARTING) -> None:
        """Create no more, and begin the end of all there are."""
        self.stop_creating()
        for session in list(self._creations):
            session.end(ending)

    @property
    def accepted(self) -> Iterable[SessionActor]:
        """The sessions that authors see, in order of their acceptance."""
        return self._accepted.keys()

    def unended(self) -> tuple[SessionActor, ...]:
        """All whose task isn't over, those included that are being created or are ending."""
        return tuple(self._creations)

    def contexts(self) -> tuple[SessionContext, ...]:
        """Their contexts, as a snapshot."""
        return tuple(session.context for session in self._accepted)

    def connections(self) -> tuple[ConnectionContext, ...]:
        """Who is attached to any of them, as a snapshot."""
        return tuple(connection for session in self._accepted for connection in session.connection_contexts)

    async def open_session(self, id: str, request: Request, *, counted_as: str | None = None) -> Outcome:
        """The session with this id, created if there is none. Safe to cancel: a creation goes on without its visitor.

        All who ask for one id while it is being created get the same result. Waits for the creation, which its
        deadlines bound; and for the end of a session of the same id that is just ending. `counted_as` is the address
        whose session it is, if it is created here; None for nobody's.
        """
        while True:
            if self._nursery is None:
                return Busy(self._options.linger)
            session = self._by_id.get(id)
            if session is None:
                return await self._create(id, request, counted_as).wait()
            if not session.has_ended:
                return await self._creations[session].wait()
            with trio.move_on_after(self._options.creating_timeout) as scope:
                await session.wait_ended()
            if scope.cancelled_caught:
                return Busy(self._options.creating_timeout)

    def destroy(self, id: str) -> bool:
        """See `ApplicationContext.destroy_session`."""
        session = self._by_id.get(id)
        if session is None or session.has_ended:
            return False
        session.end(Ending(kind="destroyed"))
        return True

    def find(self, id: str) -> SessionActor | None:
        """The live, built session with this id, or None."""
        session = self._by_id.get(id)
        if session is None or session.has_ended:
            return None
        return session if isinstance(self._creations[session].outcome, Created) else None

    def _create(self, id: str, request: Request, counted_as: str | None = None) -> Creation:
        creation = Creation(counted_as)
        limit = self._options.max_sessions_per_address
        if counted_as is not None and limit is not None and not self._crowd.has_room(counted_as):
            creation.settle(TooMany(counted_as, limit, self._options.linger))
            return creation
        if len(self._unattached) >= self._options.max_unattached:
            oldest = next(iter(self._unattached))
            self._creations[oldest].settle(Busy(self._options.linger))  # if it is not even built
            oldest.end(Ending(kind="destroyed", reason="nobody had attached when others needed the room"))
        if max(len(self._live), self._draining) >= self._options.max_sessions:  # slow hooks mustn't pile up ends either
            creation.settle(Busy(self._options.linger))
            return creation
        session = self.new_session(id, request, creation)
        assert self._nursery is not None
        self._nursery.start_soon(session.live, name=str(session))
        return creation

    def new_session(self, id: str, request: Request, creation: Creation) -> SessionActor:
        """A session that is one of these from now on, within limits or not. Whoever calls this lives its life."""
        session = SessionActor(
            id=id,
            shown_id=self._show_id(id),
            epoch=self._make_epoch(),
            request=request,
            household=self,
            receivers=self._definition.receivers,
            runtime=self._runtime,
            linger=self._options.linger,
            first_attach=max(self._options.linger, self._options.first_attach),
            max_age=self._options.max_age,
            capacity=self._options.mailbox_capacity,
            workers=self._workers,
            max_document_size=self._options.max_document_size,
        )
        session.story = self._runtime.stories.begin(session.name, id=id)
        self._on_session(session)
        if self._hooks_only:
            session.run_hooks_only()
        self._by_id[id] = session
        self._creations[session] = creation
        self._unattached[session] = None
        self._hooked[session] = []
        self._live.add(session)
        self._crowd.enter(creation.counted_as)
        return session

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
        if self._hooks_only or not isinstance(outcome, Created):
            session.end(Ending(kind="destroyed"))

    async def _make_in_turn(self, session: SessionActor) -> Outcome:
        async with self._turn(session, self._options.creating_timeout) as has_turn:
            return await self._make(session) if has_turn else Busy(self._options.creating_timeout)

    @asynccontextmanager
    async def _turn(self, session: SessionActor, timeout: float) -> AsyncIterator[bool]:
        """One of `max_creating` that build a document; False if there was no turn in time."""
        shown = self._runtime.holds.shown(session, "sessions that are being made", "its turn to build a document")
        with trio.move_on_after(timeout) as scope, shown:
            await self._creating.acquire_on_behalf_of(session)
        if scope.cancelled_caught:
            yield False
            return
        try:
            yield True
        finally:
            self._creating.release_on_behalf_of(session)

    async def _make(self, session: SessionActor) -> Outcome:
        """Run the created hooks and build the document.

        A hook that destroyed its session said no. One during which somebody else destroyed it, and which returned all
        the same, had accepted it: so its destroyed hook runs.
        """
        for handler in self._definition.handlers:
            try:
                timeout = self._options.hook_timeout
                await call_author(handler.on_session_created, session.context, timeout=timeout, story=session.story)
                session.keep()
            except BaseException as error:
                return self._not_created(session, error, "on_session_created", may_refuse=True)
            if session.has_ended or session.ending is None:
                self._hooked[session].append(handler)
            if session.ending is not None:
                return self._refused(session, session.ending.reason)
        self._accepted[session] = None
        session.recovery.mark()
        for handler in self._definition.handlers:
            try:
                timeout = self._options.build_timeout
                await call_author(handler.modify_document, session.document, timeout=timeout, story=session.story)
                session.keep()
            except BaseException as error:
                return self._not_created(session, error, "modify_document", may_refuse=False)
            if session.ending is not None:
                return self._refused(session, session.ending.reason)
        self._runtime.instruments.session_created(application=self.application, session=session.shown_id)
        return Created(session)

    async def rebuild(self, session: SessionActor) -> None:
        """See `Household.rebuild`.

        It waits for its turn as long as those before it take, whose hooks and builders have deadlines: were it to fail
        for that, the slowness of others would use up its own budget. The session's end interrupts it.
        """
        async with self._turn(session, math.inf):
            timeout = self._options.build_timeout
            for handler in self._definition.handlers:
                await call_author(handler.modify_document, session.document, timeout=timeout, story=session.story)
                session.keep()
                if session.ending is not None:
                    return

    async def tell_failures(self, session: SessionActor) -> None:
        """See `Household.tell_failures`. Only those hear of it whose created hooks accepted the session."""
        await self._session_failed_hooks.tell(session, self._hooked[session])

    def escalate(self, session: SessionActor, incident: Incident) -> None:
        """See `Household.escalate`."""
        self._on_escalation(incident)

    def make_epoch(self) -> str:
        """See `Household.make_epoch`."""
        return self._make_epoch()

    def _not_created(self, session: SessionActor, error: BaseException, what: str, *, may_refuse: bool) -> Outcome:
        session.undo()
        failure, rest = split_failure(error)
        if rest is not None:
            if failure is not None:
                session.report(what, failure)
            pass_on(error, rest)
        assert failure is not None
        refusal = refusal_in(failure) if may_refuse else None
        if refusal is not None:
            return self._refused(session, refusal)
        return Failed(session.report(what, failure))

    def _refused(self, session: SessionActor, reason: str) -> Refused:
        incident = ""
        if session.story is not None:
            session.story.add("session", f"refused{f': {reason}' if reason else ''}")
        if self._creations[session].outcome is None:
            incident = new_incident_id()
            self._runtime.instruments.session_refused(
                application=self.application, session=session.shown_id, reason=reason, incident=incident
            )
        return Refused(reason, incident)

    async def take_leave(self, session: SessionActor) -> None:
        """See `Household.take_leave`."""
        await self.porter.close_connections(session)
        await self.tell_failures(session)
        for handler in reversed(self._hooked[session]):
            await call_last_hook(
                self.stopping,
                "on_session_destroyed",
                handler,
                session.context,
                timeout=self._options.hook_timeout,
                report=session.report,
                story=session.story,
            )
            session.undo()
        if isinstance(self._creations[session].outcome, Created):
            assert session.ending is not None
            self._runtime.instruments.session_destroyed(
                application=self.application, session=session.shown_id, reason=session.ending.reason
            )

    def attached(self, session: SessionActor) -> None:
        """See `Household.attached`."""
        self._unattached.pop(session, None)

    def left(self, session: SessionActor) -> None:
        """See `Household.left`. What was not built gives its id free, so that it can be tried again at once."""
        creation = self._creations[session]
        if session.story is not None:
            session.story.add("session", f"ends, {session.ending}")
        if creation.outcome is None:  # somebody destroyed it while it was being created, or everything ends
            assert session.ending is not None
            gone = session.ending.kind == "destroyed"
            creation.settle(self._refused(session, session.ending.reason) if gone else Busy(self._options.linger))
        if not isinstance(creation.outcome, Created):
            self._forget_id(session)
        self._accepted.pop(session, None)
        self._unattached.pop(session, None)
        self._live.discard(session)
        self._crowd.leave(creation.counted_as)
        self._draining += 1

    def over(self, session: SessionActor) -> None:
        """See `Household.over`."""
        self._draining -= 1
        del self._creations[session]
        del self._hooked[session]
        self._forget_id(session)

    def dead_letter(self, session: SessionActor, message: object) -> None:
        """See `Household.dead_letter`."""
        self.dead_letters += 1
        if session.story is not None:
            session.story.add("dead letter", brief(message))
        self._runtime.instruments.dead_letter(application=self.application, session=session.shown_id, message=message)

    def waits(self) -> tuple[WaitStatistics, ...]:
        """See `ApplicationContext.waits`."""
        return self._runtime.holds.graph.statistics(self._creations)

    def message_dropped(self, session: SessionActor, message: object) -> None:
        """See `Household.message_dropped`."""
        if session.story is not None:
            session.story.add("dropped", f"{brief(message)}, for a newer one")
        self._runtime.instruments.message_dropped(
            application=self.application, session=session.shown_id, message=message
        )

    def statistics(self) -> RegistryStatistics:
        """The state of the sessions now."""
        return RegistryStatistics(
            sessions=len(self._live),
            unattached=len(self._unattached),
            draining=self._draining,
            dead_letters=self.dead_letters,
        )

    def __repr__(self) -> str:
        return f"<SessionRegistry of {self.application} {self.statistics()}>"
