"""The actor of one session: owns its document, handles its messages, runs its two hooks, and ends all that it started.

Essay: an end is decided in one synchronous stretch, and only what must be awaited comes after it. There are two ways:

- `finish()` is soft, for a server that shuts down. The mailbox takes nothing more, and what waits in it is handled as
  usual, answers and patches included. Then, or when the owner's time is over, the hard way follows.
- `end()` is hard, and is that stretch. The session leaves the application's sessions, its mailbox closes (asks fail at
  once, tells become dead letters), its connections are told, its timers are removed, and its scope is cancelled, which
  ends running handlers (rolled back) and background tasks. Called from the session's own handler, it waits for that
  handler to return instead, so that its changes are kept and sent.

The session's task does the rest, shielded and under deadlines. Borrows that were waiting get their turn while
background tasks unwind, which may take long. The closed hooks of connections and then the destroyed hooks run, with the
document still readable. Then the session waits for connections: for the hooks, a connection is over once it was told,
since one that reads slowly must not hold them up. Last of all, with no await after it, those who wait for the end are
woken: when they run, nothing of the session runs any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, final

import trio

from supervisor.actor.base import Actor, Runtime
from supervisor.actor.callbacks import Callbacks
from supervisor.actor.entry import Entry, Finish, Stop, Tell
from supervisor.actor.guard import Report, pass_on, split_failure, unwrap
from supervisor.actor.holding import Hold
from supervisor.actor.mailbox import CAPACITY
from supervisor.actor.policy import MailboxPolicy
from supervisor.actor.ref import ActorRef, put_under, wait_for_room
from supervisor.actor.stopping import Children, Stopping
from supervisor.actor.timers import Alarm
from supervisor.actor.workers import Workers
from supervisor.document.json_document import JsonDocument, outline
from supervisor.errors import SessionGone
from supervisor.session.background import Background, Tasks
from supervisor.session.changes import ChangeListeners
from supervisor.session.connection import Audience, Connection, ConnectionContext, Ending, NoAudience, seen_by
from supervisor.session.context import Document, SessionContext
from supervisor.session.custody import Custody
from supervisor.session.editing import EditRules
from supervisor.session.expiry import Expiry
from supervisor.session.household import Household
from supervisor.session.lending import Borrow, borrowed
from supervisor.session.lifecycle import Effect, Event, Lifecycle, State
from supervisor.session.opening import Departure, let_in
from supervisor.session.receivers import Receivers
from supervisor.session.request import Request
from supervisor.session.restarting import Recovery

GRACE = 5.0
"""Seconds, from when the end has begun, in which borrows get their turn and connections close politely, before they are
cancelled: enough for a step, too little to hang a stop."""
RESTARTING = Ending(kind="restarting", reason="the server is restarting")
"""The end of a session that nobody destroyed: what is above it ends."""


@final
class SessionActor(Actor):
    """One session. Made by the application, which runs `live` in its nursery."""

    # With a dict instead, a session takes a twelfth more memory: it has more attributes than dicts share the keys of.
    __slots__ = (
        "_age_alarm", "_closes_by", "_end_hold", "_ended", "_expiry", "_first_attach", "_hooks_only",
        "_household", "_linger", "_max_age", "_nursery", "_receivers", "audience", "background", "callbacks",
        "change_listeners", "connection_in_hand", "connections", "context", "custody", "document", "edit_rules",
        "ending", "ending_from_above", "epoch", "id", "is_silent", "lagged_in_broadcast", "lagged_in_update",
        "lifecycle", "policies", "recovery", "ref", "request", "shown_id", "stopping", "stored", "working",
    )  # fmt: skip

    def __init__(
        self,
        *,
        id: str,
        shown_id: str,
        epoch: str,
        request: Request,
        household: Household,
        receivers: Receivers,
        runtime: Runtime,
        linger: float,
        first_attach: float,
        max_age: float | None = None,
        capacity: int = CAPACITY,
        workers: Workers | None = None,
        max_document_size: int | None = None,
    ) -> None:
        super().__init__(f"session {shown_id}", runtime, capacity=capacity)
        self.id = id
        self.shown_id = shown_id
        """The id as logs and errors show it: too short to attach with."""
        self.epoch = epoch
        """Tells this life of the document from every other; another one after a restart."""
        self.request = request
        self.lifecycle = Lifecycle()
        self.custody = Custody(self, workers or Workers())
        self.stored = JsonDocument(guard=self.custody.check, max_size=max_document_size)
        """The document, as it is shown."""
        # What the session's code works on: `stored`, but while a restart builds, the document that takes its place.
        self.working = self.stored
        # Whether nobody is shown what is kept: while a restart builds, and once the end has begun.
        self.is_silent = False
        self.callbacks = Callbacks(self, runtime.timers)
        self.edit_rules = EditRules(self._tell_editable)
        self.change_listeners = ChangeListeners(self.callbacks)
        # Whose message or edit is in hand; None: the server's own code works.
        self.connection_in_hand: ConnectionContext | None = None
        self.ref = ActorRef(self)
        self.context = SessionContext(self)
        self.document = Document(self)
        self.audience: Audience = NoAudience()
        self.connections: Children[Connection] = Children()
        self.stopping = Stopping(household.stopping, reserve=household.hooks_reserve)
        # When the connections must have closed: set as the end begins.
        self._closes_by = math.inf
        # Whether a broadcast, or an update of all sessions, found this one late the last time.
        self.lagged_in_broadcast = False
        self.lagged_in_update = False
        # Why it ends; set once, by whoever wanted it first.
        self.ending: Ending | None = None
        # Why, if nobody has ended it: what is above it ends.
        self.ending_from_above = RESTARTING
        self._household = household
        self._receivers = receivers.by_type
        self.policies = receivers.policies
        self._linger = linger
        self._first_attach = first_attach
        self._max_age = max_age
        # What ends the session while nobody is attached, yet or any more.
        self._expiry = Expiry(runtime.timers, self._destroy)
        self._age_alarm: Alarm | None = None
        # The session's own nursery while it lives: its background tasks, and the scope that destroying cancels.
        self._nursery: trio.Nursery | None = None
        self.background: Tasks = Background(self._report_and_supervise)
        self.recovery = Recovery(self, household, receivers.on_failure)
        self._hooks_only = False
        # Set when the end begins, which waits for the background tasks: until then they hold nobody up.
        self._end_hold: Hold | None = None
        self._ended = trio.Event()

    # Its life.

    async def live(self) -> None:
        """Live from creation to the end; what the application's nursery runs. Never raises but to pass a cancellation.

        The second guard stands here, outside of the session's scope; see `actor.guard`.
        """
        passing: BaseException | None = None
        try:
            await self._live()
        except BaseException as error:
            passing = self._report_failure("session", error)
        passing = await self.close() or passing
        if passing is not None:
            pass_on(passing, passing)

    async def _live(self) -> None:
        async with trio.open_nursery() as nursery:
            try:
                with self.at_work(nursery):
                    await self.be_made()
                    if self.ending is None:
                        await self.handle_mail()
            finally:
                await self.lend_to_the_last()

    # The parts of its life. Who drives a session by hand goes through them in this order, and instead of `handle_mail`
    # handles entries one by one.

    @contextmanager
    def at_work(self, nursery: trio.Nursery | None = None) -> Iterator[None]:
        """While this is entered, the current task does the session's work, and holds the document.

        `nursery` was opened by that task around this: the end of the session cancels what goes on in it.
        """
        self._nursery = nursery or self._nursery
        self._main_hold = self.custody.holder = self.holds.take(self)
        try:
            yield
        finally:
            self.holds.release(self._main_hold)
            self._main_hold = self.custody.holder = None

    async def be_made(self) -> None:
        """Be created by the application; afterwards there is an ending if it is not to be. At work."""
        if self.ending is None:
            self._handling = True  # so that a hook which destroys the session is let finish
            await self._household.create(self)
            self._handling = False
        if self.ending is None:
            self._perform(Event.BUILT)
            if self._max_age is not None:
                self._age_alarm = self.runtime.timers.call_after(
                    self._max_age, lambda: self._destroy("the session reached its greatest age")
                )

    async def lend_to_the_last(self) -> None:
        """Begin the end, and give borrows that were waiting their turn; not to be cancelled.

        Those for whom time is too short are told that it is over.
        """
        self.begin_end()
        with trio.CancelScope(shield=True), self.at_work():
            await self._lend_to_the_last()

    async def _lend_to_the_last(self) -> None:
        while trio.current_time() < self.stopping.at and (entry := self.mailbox.take()) is not None:
            if isinstance(entry, Borrow):  # else it is the stop that nobody needs any more
                await entry.start(self)
        for entry in self.mailbox.close():
            entry.dropped()

    async def close(self) -> BaseException | None:
        """Wait for the rest of the end, hooks included, and then be over; returns what must pass."""
        passing: BaseException | None = None
        if self._end_hold is not None:
            self.holds.release(self._end_hold)
        try:
            with trio.CancelScope(shield=True):
                await self._close()
        except BaseException as error:  # ours: whatever hooks and borrowers raise is reported where they are called
            passing = self._report_failure("end of the session", error)
        self._nursery = None
        self.stopping.leave()
        self._household.over(self)
        self._perform(Event.CLOSED)
        return passing

    async def _close(self) -> None:
        """Wait for hooks and for connections, each under its deadline."""
        with self.at_work():
            await self._household.take_leave(self)
        timeout = self._closes_by - trio.current_time()
        await self.connections.finish(self._household.stopping, lambda each: each.cancel(), timeout=timeout)

    def end(self, ending: Ending) -> None:
        """See `SessionContext.destroy`; `ending` says what connections are told, and the first one counts.

        A handler that destroyed its session and then goes on working is not let finish when somebody else does.
        """
        if self.has_ended:
            return
        self.ending = self.ending or ending
        if not self.in_own_hand():
            self.begin_end()
        self.mailbox.put_system(Stop())

    def finish(self, ending: Ending) -> None:
        """Begin to end softly: take nothing more, handle what waits, then end with `ending`. Returns at once.

        Whoever calls this calls `end` when time is over. A session that is being created or restarted ends at once;
        one that was told to end, and lets its own handler finish, goes on with that.
        """
        if self.lifecycle.state is State.CREATING or self.recovery.is_restarting:
            self.end(ending)
        elif self.ending is None and not self.mailbox.is_closed:
            self.ending_from_above = ending
            self._perform(Event.FINISHED)

    def _take_no_more(self) -> None:
        """Those who wait for room still get it: they sent before, and wait only for what is there already."""
        self.callbacks.finish()
        self.mailbox.finish()
        self.recovery.finish()
        self.mailbox.put_tick(Finish())

    def begin_end(self) -> None:
        """Do all of the end that needs no waiting; once."""
        if self.ending is None:
            self.ending = self.ending_from_above
        if not self.has_ended:
            self._perform(Event.ENDED)

    def _perform(self, event: Event) -> None:
        for effect in self.lifecycle.handle(event):
            if effect is Effect.START_WAIT:
                self._expiry.start(self._first_attach, "nobody attached")
            elif effect is Effect.START_LINGER:
                self._expiry.start(self._linger, "nobody was attached any more")
            elif effect in (Effect.STOP_WAIT, Effect.STOP_LINGER):
                self._expiry.stop()
            elif effect is Effect.TAKE_NO_MORE:
                self._take_no_more()
            elif effect is Effect.LEAVE:
                self._leave()
            else:
                assert effect is Effect.ANNOUNCE_END
                self._ended.set()

    def _destroy(self, reason: str) -> None:
        self.end(Ending(kind="destroyed", reason=reason))

    def _leave(self) -> None:
        assert self.ending is not None
        self.is_silent = True
        self._closes_by = trio.current_time() + GRACE
        self.stopping.soft(self._closes_by)
        self._household.left(self)
        self.callbacks.clear()
        if self._age_alarm is not None:
            self._age_alarm.cancel()
        for entry in self.mailbox.keep_only(lambda entry: isinstance(entry, Borrow)):
            if isinstance(entry, Tell):
                self.dead_letter(entry.message)
            entry.dropped()
        for connection in self.connections:
            connection.end(self.ending)
        if self._nursery is not None:
            self._end_hold = self.holds.take_all_of(self._nursery.parent_task, self)
            self._nursery.cancel_scope.cancel()

    @property
    def has_ended(self) -> bool:
        """Whether the end has begun."""
        return self.lifecycle.has_ended

    async def wait_ended(self) -> None:
        """See `SessionContext.wait_destroyed`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self.holds.waiting_for((self,), f"wait_destroyed() of {self}"):
            await self._ended.wait()

    # Its document.

    def keep(self) -> None:
        """See `Actor.keep`: commit, and show it to the audience; once the end has begun it goes to nobody."""
        patch = self.working.commit()
        if patch is not None and self.story is not None:
            self.story.then(f"revision {patch.revision}: {outline(patch)}{'' if self.is_silent else seen_by(self)}")
        if patch is not None and not self.is_silent:
            self.audience.committed(patch)
            if self.change_listeners.any and self.lifecycle.state is not State.CREATING:
                self.change_listeners.committed(patch, self.connection_in_hand)

    def undo(self) -> None:
        """See `Actor.undo`."""
        if self.story is not None and self.working.changed:
            self.story.then("rolled back")
        self.working.roll_back()

    async def run_in_thread(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """See `Custody.run_in_thread`."""
        return await self.custody.run_in_thread(func, args)

    def _tell_editable(self) -> None:
        if not self.is_silent:
            self.audience.editable(self.edit_rules.patterns)

    def borrow(self, timeout: float) -> AbstractAsyncContextManager[Document]:
        """See `SessionContext.locked_document`."""
        return borrowed(self, timeout=timeout)

    # Its messages and tasks.

    def knows(self, message_type: type) -> bool:
        """See `Recipient.knows`."""
        return message_type in self._receivers

    def receive(self, message: object) -> object:
        """See `Doer.receive`."""
        return self._receivers[type(message)](self.document, message)

    def call(self, func: Callable[..., object], *args: object) -> object:
        """See `Doer.call`: the function is given the document."""
        return func(self.document, *args)

    async def deliver(self, entry: Entry, policy: MailboxPolicy | None = None, key: Hashable = None) -> None:
        """Put an entry into the mailbox, waiting for room. Safe to cancel: then it was not put. The caller bounds it.

        If the session has ended, or ends meanwhile, the entry is dropped.

        Raises:
            MailboxFull: there is no room, and by its policy the entry doesn't wait for any
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.mailbox.is_closed:
            entry.dropped()
            return
        taken = self.mailbox.put(entry) if policy is None else put_under(self, policy, entry, key)
        if not taken and not await wait_for_room(self.mailbox, entry, policy, key):
            entry.dropped()

    def run_hooks_only(self) -> None:
        """From now on, callbacks and background tasks that are added never run."""
        self.callbacks.hold()
        self._hooks_only = True

    def start_background(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """See `SessionContext.start_soon`."""
        if self.has_ended or self._hooks_only or not self.background.start(self._nursery, func, args):
            self.dead_letter(func)

    # Its connections.

    @property
    def connection_contexts(self) -> tuple[ConnectionContext, ...]:
        """Who is attached now."""
        return tuple(connection.context for connection in self.connections)

    @property
    def application_context(self) -> Any:
        """See `SessionContext.application`."""
        return self._household.context

    @property
    def asks_porter(self) -> bool:
        """Whether a connection must be let in, by `let_in`, before it may attach."""
        return self._household.porter.is_needed

    async def let_in(self, connection: ConnectionContext) -> str | None:
        """Run the opened hooks for a connection. See `opening.let_in`: `depart` must follow unless it is refused.

        If it isn't, it must attach in the same step, before the session ends because nobody is there.
        """
        with self._expiry.put_off():
            return await let_in(self, self._household.porter, connection)

    def depart(self, connection: ConnectionContext) -> None:
        """A connection that was let in has left; its closed hooks run in their turn. The end takes care of its own."""
        if not self.mailbox.is_closed:
            self.mailbox.put_tick(Departure(self._household.porter, connection))

    def attach(self, connection: Connection) -> None:
        """A connection joins. The session must not have ended."""
        if not self.lifecycle.was_attached:
            self._household.attached(self)
        self._perform(Event.ATTACHED)
        self.connections.add(connection)

    def detach(self, connection: Connection) -> None:
        """A connection has left, with all its tasks."""
        self.connections.discard(connection)
        if not self.connections:
            self._perform(Event.LEFT)

    # Reports.

    def report(self, what: str, error: BaseException) -> str:
        """See `Actor.report`. For what no policy has a say in."""
        return self.recovery.report(what, unwrap(error)).id

    def supervise(self, entry: Entry, error: BaseException) -> str:
        """See `Actor.supervise`."""
        if entry.supervised:
            return self.recovery.failed(entry.describe(), error, getattr(entry, "message", None))
        return self.report(entry.describe(), error)

    def report_supervised(self, what: str, error: BaseException) -> str:
        """Report what failed beside an entry's own work, and have the policy decide what follows."""
        return self.recovery.failed(what, unwrap(error))

    def _report_and_supervise(self, what: str, error: BaseException) -> BaseException | None:
        return self._report_failure(what, error, self.report_supervised)

    def _report_failure(self, what: str, error: BaseException, report: Report | None = None) -> BaseException | None:
        """Report the part of `error` that is a failure; returns the part that must pass."""
        failure, rest = split_failure(error)
        if failure is not None:
            self.failures += 1
            (report or self.report)(what, failure)
        return rest

    def gone(self) -> SessionGone:
        """See `Recipient.gone`."""
        return SessionGone(
            f"{self} {'has ended' if self.has_ended else 'takes nothing more, since the server goes down'}"
        )

    def dead_letter(self, message: object) -> None:
        """See `Recipient.dead_letter`."""
        super().dead_letter(message)
        self._household.dead_letter(self, message)

    def message_dropped(self, message: object) -> None:
        """See `Actor.message_dropped`."""
        self._household.message_dropped(self, message)
