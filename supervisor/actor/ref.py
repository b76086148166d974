"""A ref: the only handle to an actor, with tell, ask and the deadlines of both."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol, final

import attrs
import outcome
import trio

from supervisor.actor.brief import brief
from supervisor.actor.entry import Doer, Entry, Tell
from supervisor.actor.guard import check_thread, unwrap
from supervisor.actor.holding import Holds
from supervisor.actor.mailbox import Mailbox, MailboxStatistics
from supervisor.actor.policy import Admission, MailboxPolicy
from supervisor.errors import ActorGone, HandlerFailed, MailboxFull

TIMEOUT = 30.0
"""Seconds that an ask, a borrow or a wait for room lasts unless told otherwise; after that a person has left."""


class Recipient(Protocol):
    """What a ref needs of its actor."""

    mailbox: Mailbox
    holds: Holds

    @property
    def policies(self) -> Mapping[type, MailboxPolicy]:
        """The types of messages that have a policy of their own."""

    def __str__(self) -> str: ...

    def __hash__(self) -> int: ...

    def knows(self, message_type: type) -> bool:
        """Whether the actor has a handler for messages of this type."""

    def dead_letter(self, message: object) -> None:
        """Count a message that came too late."""

    def drop(self, entry: Entry) -> None:
        """An entry gave its place to a newer one: count it, and tell who waits for it."""

    def gone(self) -> ActorGone:
        """The exception for those who ask an actor that has ended."""

    def cancel_in_hand(self, entry: Entry) -> None:
        """Cancel this entry's handler, if it is the one in hand."""


@final
@attrs.frozen(kw_only=True)
class ActorStatistics:
    """The state of an actor at one moment."""

    name: str
    mailbox: MailboxStatistics
    dead_letters: int
    """Messages that came after the actor's end."""
    failures: int
    """Entries that raised."""


class Parked:
    """A task that is parked until an entry of its own is over, or has room."""

    __slots__ = ("_raise_cancel", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._raise_cancel: Callable[[], NoReturn] | None = None

    async def park(self, abort: Callable[[], bool]) -> Any:
        """Wait for `wake`. On cancellation `abort` says whether to leave at once; else the wait goes on to its end."""
        self._task = trio.lowlevel.current_task()

        def on_cancel(raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
            # Nobody may wake the task while `abort` undoes what would have: trio wakes it if that succeeds.
            task, self._task = self._task, None
            if abort():
                return trio.lowlevel.Abort.SUCCEEDED
            self._task = task
            self._raise_cancel = raise_cancel
            return trio.lowlevel.Abort.FAILED

        return await trio.lowlevel.wait_task_rescheduled(on_cancel)

    def wake(self, result: outcome.Outcome[Any]) -> None:
        """End the wait with this result."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task, result)

    def wake_cancelled(self) -> None:
        """End the wait with the cancellation that was asked for."""
        assert self._raise_cancel is not None
        self.wake(outcome.capture(self._raise_cancel))

    @property
    def is_cancelled(self) -> bool:
        """Whether the waiting task was cancelled, and waits only for the work to unwind."""
        return self._raise_cancel is not None


class Answered(Entry):
    """An entry whose sender is parked until it is over."""

    __slots__ = ("_gone", "parked")
    is_answered = True

    def __init__(self, gone: Callable[[], ActorGone]) -> None:
        self.parked = Parked()
        self._gone = gone

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`."""
        self.parked.wake(outcome.Value(result))

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`."""
        if self.parked.is_cancelled:  # the log has the failure; the sender has left
            self.parked.wake_cancelled()
        elif isinstance(error, Exception):
            self.parked.wake(outcome.Error(error))
        else:  # a SystemExit that reached the sender would end the sender's task, and more
            failure = HandlerFailed(f"{unwrap(error)!r} ended {self.describe()} (incident {incident})")
            failure.__cause__ = error
            self.parked.wake(outcome.Error(failure))

    def cancelled(self) -> None:
        """See `Entry.cancelled`."""
        self.parked.wake_cancelled()

    def dropped(self) -> None:
        """See `Entry.dropped`."""
        if self.parked.is_cancelled:
            self.parked.wake_cancelled()
        else:
            self.parked.wake(outcome.Error(self._gone()))

    def displaced(self, error: Exception) -> None:
        """See `Entry.displaced`."""
        self.parked.wake(outcome.Error(error))

    def granted(self) -> None:
        """See `RoomWaiter.granted`: the wait goes on for the answer."""

    def closed(self) -> None:
        """See `RoomWaiter.closed`."""
        self.dropped()


@final
class Ask(Answered):
    """A message whose sender waits for what the handler returns."""

    __slots__ = ("message",)
    told_as = "message"

    def __init__(self, message: object, gone: Callable[[], ActorGone]) -> None:
        super().__init__(gone)
        self.message = message

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        return actor.receive(self.message)

    def describe(self) -> str:
        """See `Entry.describe`."""
        return f"message {type(self.message).__qualname__}"

    def told(self) -> str:
        """See `Entry.told`."""
        return brief(self.message)


@final
class Room:
    """A task's wait for room; `parked.park()` returns whether there was any before the end."""

    def __init__(self) -> None:
        self.parked = Parked()

    def granted(self) -> None:
        """See `RoomWaiter.granted`."""
        self.parked.wake(outcome.Value(True))

    def closed(self) -> None:
        """See `RoomWaiter.closed`."""
        self.parked.wake(outcome.Value(False))


@final
class ActorRef:
    """The only handle to an actor. It outlives its actor, and a restart of it. Get one, don't make one."""

    __slots__ = ("_actor",)

    def __init__(self, actor: Recipient) -> None:
        self._actor = actor

    def tell_nowait(self, message: object) -> None:
        """Send a message and don't wait at all.

        To an actor that has ended, the message is a dead letter: counted, and no error.

        Raises:
            MailboxFull: there is no room; the message was not sent.
            TypeError: the actor has no handler for messages of this type.
            Exception: whatever the type's `conflate` function raised; the message was not sent.
        """
        check_thread()
        actor = self._actor
        check_handled(actor, message)
        if actor.mailbox.is_closed:
            actor.dead_letter(message)
            return
        policy = actor.policies.get(type(message)) if actor.policies else None
        if policy is None:
            taken = actor.mailbox.put(Tell(message))
        else:
            taken = put_under(actor, policy, Tell(message), policy.key_of(message))
        if not taken:
            actor.mailbox.refused += 1
            raise MailboxFull(f"the mailbox of {actor} is full; wait for room with tell()")

    async def tell(self, message: object, *, timeout: float = TIMEOUT) -> None:
        """Send a message; waits for room only, never for its handling. Safe to cancel: then it was not sent.

        To an actor that has ended, or ends meanwhile, the message is a dead letter: counted, and no error.

        Raises:
            trio.TooSlowError: there was no room for `timeout` seconds; the message was not sent.
            MailboxFull: there is no room, and messages of this type aren't waited for; the message was not sent.
            DeadlockError: the mailbox is full, and its actor waits for the one that sends.
            TypeError: the actor has no handler for messages of this type.
            Exception: whatever the type's `conflate` function raised; the message was not sent.
        """
        actor = self._actor
        check_handled(actor, message)
        await trio.lowlevel.checkpoint_if_cancelled()
        entry = Tell(message)
        if actor.mailbox.is_closed:
            actor.dead_letter(message)
        else:
            policy = actor.policies.get(type(message)) if actor.policies else None
            key = None if policy is None else policy.key_of(message)
            if not (actor.mailbox.put(entry) if policy is None else put_under(actor, policy, entry, key)):
                doing = f"tell() to the full mailbox of {actor}"
                with in_time(timeout, doing), actor.holds.waiting_for((actor,), doing):
                    if not await wait_for_room(actor.mailbox, entry, policy, key):
                        actor.dead_letter(message)
                return
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def ask(self, message: object, *, timeout: float = TIMEOUT) -> Any:
        """Send a message and wait for what its handler returns.

        On cancellation, or after `timeout` seconds, a message that is still queued is withdrawn. A handler in hand is
        cancelled, and the ask waits until it has unwound: its changes are rolled back, but for what a `doc.commit()`
        kept. If the handler finishes all the same, the ask returns its result.

        Raises:
            Exception: whatever the handler raised; `Rejected` if the handler said no.
            trio.TooSlowError: the answer took longer than `timeout` seconds.
            ActorGone: the actor has ended, or ends before it answers (`SessionGone` for a session).
            MailboxFull: there was no room, or a newer message got this one's place, and messages of this type aren't
                waited for; the handler was not called.
            DeadlockError: the actor waits for the one that asks.
            TypeError: the actor has no handler for messages of this type.
        """
        actor = self._actor
        check_handled(actor, message)
        entry = Ask(message, actor.gone)
        return await post(
            actor,
            entry,
            timeout=timeout,
            doing=f"ask() of {actor}",
            policy=actor.policies.get(type(message)) if actor.policies else None,
        )

    def statistics(self) -> MailboxStatistics:
        """The state of the actor's mailbox now."""
        return self._actor.mailbox.statistics()

    def __repr__(self) -> str:
        return f"<ActorRef {self._actor}>"


async def post(
    actor: Recipient, entry: Answered, *, timeout: float, doing: str, policy: MailboxPolicy | None = None
) -> Any:
    """Queue an entry and wait until it is over; the rules of waiting and cancellation are those of `ActorRef.ask`.

    With a policy, the entry is an `Ask`.
    """
    mailbox = actor.mailbox
    await trio.lowlevel.checkpoint_if_cancelled()
    if mailbox.is_closed:
        actor.dead_letter(getattr(entry, "message", entry))
        raise actor.gone()

    def abort() -> bool:
        if mailbox.withdraw(entry):
            return True
        actor.cancel_in_hand(entry)
        return False

    if policy is None:
        with in_time(timeout, doing), actor.holds.waiting_for((actor,), doing):
            if not mailbox.put(entry):
                mailbox.put_when_room(entry, entry)
            return await entry.parked.park(abort)
    key = policy.key_of(getattr(entry, "message", entry))
    with in_time(timeout, doing), actor.holds.waiting_for((actor,), doing):
        if not put_under(actor, policy, entry, key):
            mailbox.put_when_room(entry, entry, policy, key)
        return await entry.parked.park(abort)


def put_under(actor: Recipient, policy: MailboxPolicy, entry: Entry, key: Hashable) -> bool:
    """Put an entry into an open mailbox under its type's policy; False if it must wait for room.

    Raises:
        MailboxFull: there is none, and it must not wait
    """
    admission = actor.mailbox.put_under(policy, entry, key, actor.drop)
    if admission is Admission.REFUSED:
        raise MailboxFull(f"the mailbox of {actor} is full, and {entry.describe()} doesn't wait for room")
    return admission is not Admission.WAIT


async def wait_for_room(
    mailbox: Mailbox, entry: Entry, policy: MailboxPolicy | None = None, key: Hashable = None
) -> bool:
    """Wait until an entry for which there was no room has some; False: the mailbox closed first. Safe to cancel."""
    room = Room()
    mailbox.put_when_room(entry, room, policy, key)
    granted: bool = await room.parked.park(lambda: mailbox.withdraw(entry))
    return granted


@contextmanager
def in_time(timeout: float, doing: str) -> Iterator[None]:
    """As `trio.fail_after`, whose error doesn't say what took too long."""
    with trio.move_on_after(timeout) as scope:
        yield
    if scope.cancelled_caught:
        raise trio.TooSlowError(f"{doing} took longer than {timeout:g} s")


class Knowing(Protocol):
    """What knows which messages it has handlers for; its `str` names it."""

    def knows(self, message_type: type) -> bool:
        """Whether there is a handler for messages of this type."""


def check_handled(actor: Knowing, message: object) -> None:
    """Refuse a message that the actor has no handler for, at its sender."""
    if not actor.knows(type(message)):
        raise unhandled(str(actor), message)


def unhandled(who: str, message: object) -> TypeError:
    """The error of a message that they have no handler for."""
    if isinstance(message, type):
        name = message.__qualname__
        return TypeError(f"{who} is sent messages, and {name} is a class of them: write {name}(…)")
    name = type(message).__qualname__
    return TypeError(f"{who} has no handler for {name}; write one and mark it @receives({name})")
