"""To all sessions at once: one deadline, and a report of the outcome for each.

Essay: one shared record. A broadcast to five hundred sessions makes no task, no event and no reply for each: it puts
the message into every mailbox that has room, in one loop. Only sessions without room are waited for, and they share one
record that counts down. At the deadline, messages that still wait are withdrawn. A session that lagged is not waited
for the next time: it takes part if it has room at once. So one stuck session delays the others once, by one deadline,
and then never again until it has caught up.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from typing import Any, final

import attrs
import outcome
import trio

from supervisor.actor.entry import Doer, Entry, Tell
from supervisor.actor.holding import Holds
from supervisor.actor.policy import Admission, MailboxPolicy
from supervisor.actor.ref import Parked, unhandled
from supervisor.actor.waiting import in_words
from supervisor.errors import DeadlockError
from supervisor.session.actor import SessionActor
from supervisor.session.context import SessionContext

TIMEOUT = 1.0
"""Seconds that sessions get to take part, all together: a person notices a feed that stalls for longer."""


@final
@attrs.frozen(kw_only=True)
class BroadcastReport:
    """What became of a broadcast: each session is in one of these."""

    accepted: tuple[SessionContext, ...] = ()
    """The message is in their mailboxes. It may have taken an older one's place, and a newer one may take its place."""
    lagged: tuple[SessionContext, ...] = ()
    """They had no room by the deadline, or none at once for a type whose senders don't wait; they didn't get it."""
    gone: tuple[SessionContext, ...] = ()
    """They ended meanwhile."""


@final
@attrs.frozen(kw_only=True)
class UpdateReport:
    """What became of an update: each session is in one of these."""

    done: tuple[SessionContext, ...] = ()
    """The function has run, and its changes are kept."""
    lagged: tuple[SessionContext, ...] = ()
    """It had not run by the deadline, or was cancelled then: rolled back, unless it finished all the same."""
    gone: tuple[SessionContext, ...] = ()
    """They ended before it ran."""
    failed: Mapping[SessionContext, BaseException] = attrs.field(factory=dict)
    """It raised this and was rolled back; the log has it too, with the session."""


@final
class _Room:
    """One session's wait for room, as part of a broadcast."""

    __slots__ = ("entry", "record", "session")

    def __init__(self, record: _Broadcast, session: SessionActor) -> None:
        self.record = record
        self.session = session
        self.entry = Tell(record.message)

    def granted(self) -> None:
        """See `RoomWaiter.granted`."""
        self.record.over(self, self.record.accepted)

    def closed(self) -> None:
        """See `RoomWaiter.closed`."""
        self.record.over(self, self.record.gone)


@final
class _Broadcast:
    """The shared record of those that wait for room."""

    def __init__(self, message: object) -> None:
        self.message = message
        self.accepted: list[SessionActor] = []
        self.lagged: list[SessionActor] = []
        self.gone: list[SessionActor] = []
        self.waiting: dict[_Room, None] = {}
        self._parked = Parked()

    def over(self, room: _Room, outcome_list: list[SessionActor]) -> None:
        del self.waiting[room]
        room.session.lagged_in_broadcast = outcome_list is self.lagged
        outcome_list.append(room.session)
        if not self.waiting:
            self._parked.wake(outcome.Value(None))

    def sessions(self) -> list[SessionActor]:
        """Those that have no room yet."""
        return [room.session for room in self.waiting]

    async def wait(self) -> None:
        """Wait until all have room; on cancellation, as by a deadline, withdraw what waits."""
        await self._parked.park(self._withdraw)

    def _withdraw(self) -> bool:
        for room in list(self.waiting):
            room.session.mailbox.withdraw(room.entry)
            self.over(room, self.lagged)
        return True


def check_received(application: str, types: Container[type], message: object) -> None:
    """Refuse a message that the application has no handler for, at its sender."""
    if type(message) not in types:
        raise unhandled(f"application {application!r}", message)


async def broadcast(
    sessions: Iterable[SessionActor],
    message: object,
    *,
    holds: Holds,
    timeout: float,
    on_lag: Callable[[SessionActor], None] = lambda session: None,
    policy: MailboxPolicy | None = None,
) -> BroadcastReport:
    """See `ApplicationContext.broadcast`; `on_lag` hears of each session that lagged."""
    await trio.lowlevel.checkpoint_if_cancelled()
    record = _Broadcast(message)
    accepted = record.accepted
    entry = Tell(message)
    key = None
    if policy is not None:  # those that are left have no room, and are waited for
        key = policy.key_of(message)
        sessions = _put_under(sessions, record, entry, policy, key)
    blocked = None
    for session in sessions:
        if session.mailbox.is_closed:
            record.gone.append(session)
        elif policy is None and session.mailbox.put(entry):
            session.lagged_in_broadcast = False
            accepted.append(session)
        else:
            if blocked is None:
                blocked = holds.graph.in_circle(holds.held_up())
            if session.lagged_in_broadcast or session in blocked:
                record.lagged.append(session)
                session.lagged_in_broadcast = True
            else:
                room = _Room(record, session)
                record.waiting[room] = None
                session.mailbox.put_when_room(room.entry, room, policy, key)
    if record.waiting:
        left = record.sessions
        with trio.move_on_after(timeout), holds.waiting_for(left(), "broadcast()", left=left):
            await record.wait()
    else:
        await trio.lowlevel.cancel_shielded_checkpoint()
    for session in record.lagged:
        on_lag(session)
    return BroadcastReport(accepted=_contexts(accepted), lagged=_contexts(record.lagged), gone=_contexts(record.gone))


def _put_under(
    sessions: Iterable[SessionActor], record: _Broadcast, entry: Tell, policy: MailboxPolicy, key: Hashable
) -> list[SessionActor]:
    """Put it into all mailboxes under its type's policy; returns those without room that are waited for."""
    waiting = []
    for session in sessions:
        if session.mailbox.is_closed:
            record.gone.append(session)
            continue
        admission = session.mailbox.put_under(policy, entry, key, session.drop)
        if admission is Admission.WAIT:
            waiting.append(session)
        elif admission is Admission.REFUSED:
            record.lagged.append(session)
        else:
            record.accepted.append(session)
            if admission is Admission.QUEUED and policy.when_full == "wait":  # it has caught up
                session.lagged_in_broadcast = False
    return waiting


def _contexts(sessions: Iterable[SessionActor]) -> tuple[SessionContext, ...]:
    return tuple(session.context for session in sessions)


@final
class _Part(Entry):
    """One session's part in an update."""

    __slots__ = ("record", "session")
    supervised = False
    told_as = "update"

    def __init__(self, record: _Update, session: SessionActor) -> None:
        self.record = record
        self.session = session

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        return actor.call(self.record.func, *self.record.args)

    def check(self, result: object) -> object:
        """See `Entry.check`, and `Tell.check`."""
        return None

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`."""
        self.record.over(self, self.record.done)

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`."""
        if self in self.record.waiting:
            self.record.failed[self.session.context] = error
            self.record.over(self, None)

    def cancelled(self) -> None:
        """See `Entry.cancelled`."""
        self.record.over(self, self.record.lagged)

    def dropped(self) -> None:
        """See `Entry.dropped`."""
        self.record.over(self, self.record.gone)

    def granted(self) -> None:
        """See `RoomWaiter.granted`: the part waits for its turn now."""

    def closed(self) -> None:
        """See `RoomWaiter.closed`."""
        self.record.over(self, self.record.gone)

    def describe(self) -> str:
        """See `Entry.describe`."""
        return f"update_sessions({getattr(self.record.func, '__qualname__', self.record.func)})"


@final
class _Update:
    """The shared record of an update."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.func = func
        self.args = args
        self.done: list[SessionContext] = []
        self.lagged: list[SessionContext] = []
        self.gone: list[SessionContext] = []
        self.failed: dict[SessionContext, BaseException] = {}
        self.waiting: dict[_Part, None] = {}
        self._parked = Parked()

    def over(self, part: _Part, outcome_list: list[SessionContext] | None) -> None:
        if part not in self.waiting:  # the deadline has passed, and it was counted as lagged
            return
        del self.waiting[part]
        part.session.lagged_in_update = outcome_list is self.lagged
        if outcome_list is not None:
            outcome_list.append(part.session.context)
        if not self.waiting:
            self._parked.wake(outcome.Value(None))

    def sessions(self) -> list[SessionActor]:
        """Those whose part is not over."""
        return [part.session for part in self.waiting]

    async def wait(self) -> None:
        """Wait until all parts are over; on cancellation, as by a deadline, revoke what isn't."""
        await self._parked.park(self._revoke)

    def _revoke(self) -> bool:
        # A part in hand is cancelled and unwinds in its own session; nobody waits for that here.
        for part in list(self.waiting):
            if not part.session.mailbox.withdraw(part):
                part.session.cancel_in_hand(part)
            self.over(part, self.lagged)
        return True


async def update_sessions(
    sessions: Sequence[SessionActor],
    func: Callable[..., Any],
    args: tuple[Any, ...],
    *,
    holds: Holds,
    timeout: float,
) -> UpdateReport:
    """See `ApplicationContext.update_sessions`."""
    await trio.lowlevel.checkpoint_if_cancelled()
    waiters = holds.held_up()
    circle = holds.graph.circle(waiters, sessions) if waiters else None
    if circle is not None:
        raise DeadlockError(
            f"update_sessions() would wait for ever: {in_words(circle)}; "
            "from a handler, hook or borrow use broadcast(), and change the session's own document directly"
        )
    record = _Update(func, args)
    for session in sessions:
        part = _Part(record, session)
        if session.mailbox.is_closed:
            record.gone.append(session.context)
        elif session.lagged_in_update and not session.is_idle:
            record.lagged.append(session.context)
        else:
            record.waiting[part] = None
            if not session.mailbox.put(part):
                session.mailbox.put_when_room(part, part)
    if record.waiting:
        with (
            trio.move_on_after(timeout),
            holds.waiting_for(record.sessions(), "update_sessions()", left=record.sessions),
        ):
            await record.wait()
    else:
        await trio.lowlevel.cancel_shielded_checkpoint()
    return UpdateReport(
        done=tuple(record.done),
        lagged=tuple(record.lagged),
        gone=tuple(record.gone),
        failed=dict(record.failed),
    )
