"""The loop of an actor: takes entries from its mailbox one by one, and guards each.

Essay: fairness. An actor yields after 64 entries or a millisecond, whichever comes first. It doesn't park while it has
mail, so without a bound its neighbours would never run. With 64 entries, a flood costs 0.65 µs a message, and a
neighbour waits a quarter of a millisecond at worst; with 1,024, a message costs a quarter less, and the neighbour waits
four times as long.

Essay: depth. Between a session's nursery and its park there are as few coroutines as possible: the loop is one, and the
mailbox's wait adds none. Waking a task resumes each of them, and with hundreds of idle sessions each of their frames
comes from memory, not from a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import random
from time import perf_counter
from types import CoroutineType, MappingProxyType
from typing import Any

import attrs
import trio

from supervisor.actor.brief import brief
from supervisor.actor.entry import Entry, Stop
from supervisor.actor.guard import pass_on, split_failure, text_of, unwrap
from supervisor.actor.holding import Hold, Holds
from supervisor.actor.in_thread import Prepare, threaded
from supervisor.actor.mailbox import CAPACITY, Mailbox
from supervisor.actor.policy import MailboxPolicy
from supervisor.actor.ref import ActorStatistics
from supervisor.actor.story import Stories, Story
from supervisor.actor.timers import TimerQueue
from supervisor.actor.unawaited import catch_unawaited, unawaited
from supervisor.errors import ActorGone, MailboxFull, Rejected
from supervisor.instruments import GuardedInstruments, Instruments

DRAIN = 64
"""Entries handled before other tasks get their turn."""
DRAIN_SECONDS = 0.001
"""Seconds spent on entries before other tasks get their turn."""


@attrs.frozen(kw_only=True)
class Runtime:
    """What every actor of one server is given."""

    holds: Holds = attrs.Factory(Holds)
    timers: TimerQueue = attrs.Factory(TimerQueue)
    instruments: Instruments = attrs.field(factory=Instruments, converter=GuardedInstruments)
    """They may raise: that ends nothing."""
    stories: Stories = attrs.Factory(Stories)
    """Where what happens is told; by default nowhere."""
    clock: Callable[[], float] = perf_counter
    """Seconds, by which turns are measured: read for each message, so not trio's, which costs a call more."""
    random: Callable[[], float] = random
    """Chance, from 0 to 1: for pauses before restarts."""
    prepare: Prepare = threaded
    """What is called in place of a function that is handed to an adder."""


class Actor:
    """One task, one mailbox, one owner of state. Subclasses say what is kept, undone, and how messages are handled."""

    __slots__ = (
        "_handling",
        "_in_hand",
        "_main_hold",
        "_unawaited",
        "dead_letters",
        "failures",
        "holds",
        "mailbox",
        "name",
        "runtime",
        "story",
    )

    policies: Mapping[type, MailboxPolicy] = MappingProxyType({})
    """See `Recipient.policies`."""

    def __init__(self, name: str, runtime: Runtime, *, capacity: int = CAPACITY, story: Story | None = None) -> None:
        self.name = name
        self.runtime = runtime
        self.holds = runtime.holds
        self.mailbox = Mailbox(capacity)
        self.story = story
        """Where what happens to it is told; None: nowhere. Set before its task starts."""
        self.dead_letters = 0
        self.failures = 0
        # The entry whose result is being awaited, and the scope around that; None between entries.
        self._in_hand: tuple[Entry, trio.CancelScope] | None = None
        # Set while an entry is handled, so that "my own handler" can be told from "between two entries".
        self._handling = False
        # What marks the task that does this actor's work: set while that runs.
        self._main_hold: Hold | None = None
        # The coroutines that the entry in hand has dropped without awaiting them; empty between entries.
        self._unawaited: list[str] = []

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.mailbox.statistics()}>"

    # What a subclass fills in.

    def knows(self, message_type: type) -> bool:
        """See `Recipient.knows`."""
        return False

    def receive(self, message: object) -> object:
        """See `Doer.receive`."""
        raise NotImplementedError

    def call(self, func: Callable[..., object], *args: object) -> object:
        """See `Doer.call`."""
        raise NotImplementedError

    def keep(self) -> None:
        """Keep what the entry in hand has changed."""

    def undo(self) -> None:
        """Undo what the entry in hand has changed."""

    def report(self, what: str, error: BaseException) -> str:
        """Hand a failure to the instruments; returns the incident's id."""
        raise NotImplementedError

    def supervise(self, entry: Entry, error: BaseException) -> str:
        """An entry has failed, and is undone: report it, and decide what follows; returns the incident's id."""
        return self.report(entry.describe(), error)

    def gone(self) -> ActorGone:
        """See `Recipient.gone`."""
        return ActorGone(f"{self} has ended")

    def dead_letter(self, message: object) -> None:
        """See `Recipient.dead_letter`."""
        self.dead_letters += 1

    def message_dropped(self, message: object) -> None:
        """A message gave its place in the mailbox to a newer one of its type."""

    def drop(self, entry: Entry) -> None:
        """See `Recipient.drop`."""
        self.message_dropped(getattr(entry, "message", entry))
        entry.displaced(MailboxFull(f"the mailbox of {self} is full, and a newer message took this one's place"))

    # The loop.

    async def handle_mail(self) -> None:
        """Handle entries until one of them is `Stop`. Cancelling it rolls the entry in hand back."""
        with self.catching():
            mailbox = self.mailbox
            handle = self.handle if self.story is None else self._handle_and_tell
            now = self.runtime.clock
            until = now() + DRAIN_SECONDS
            handled = 0
            while True:
                entry = mailbox.take()
                if entry is None:
                    await mailbox.wait()
                    mailbox.note_backlog()
                    until = now() + DRAIN_SECONDS
                    handled = 0
                    continue
                if type(entry) is Stop:
                    return
                waiting = handle(entry)
                if waiting is not None:
                    await waiting
                    mailbox.note_backlog()
                if self._unawaited:  # they were part of the entry's result, or of what it raised
                    self.report_unawaited(entry)
                handled += 1
                if handled >= DRAIN or now() > until:
                    await trio.lowlevel.checkpoint()
                    mailbox.note_backlog()
                    until = now() + DRAIN_SECONDS
                    handled = 0

    @contextmanager
    def catching(self) -> Iterator[None]:
        """The block in which entries are handled: one that drops a coroutine without awaiting it fails."""
        with catch_unawaited() as self._unawaited:
            yield

    def handle(self, entry: Entry) -> Any | None:
        """Handle one entry; returns None if it is over, else what must be awaited until it is.

        Once it is over, `report_unawaited` must follow.
        """
        self._handling = True
        try:
            result = entry.start(self)
            if hasattr(result, "__await__"):
                return self._finish(entry, result)
            result = entry.check(result)
            if self._unawaited:
                raise unawaited(self._unawaited)
            self.keep()
        except BaseException as error:
            self._over(entry, error)
            return None
        self._handling = False
        if self.story is not None:
            self._tell_result(entry, result)
        entry.succeeded(result)
        return None

    def _handle_and_tell(self, entry: Entry) -> Any | None:
        assert self.story is not None
        if entry.told_as:
            self.story.begin(entry.told_as, entry.told(), entry.describe())
        return self.handle(entry)

    def _tell_result(self, entry: Entry, result: object) -> None:
        assert self.story is not None
        if entry.is_answered and entry.told_as and result is not None:
            self.story.then(f"answered {brief(result)}")

    async def _finish(self, entry: Entry, awaitable: Any) -> None:
        """Await what the author's function returned, in a scope that the asker can cancel."""
        try:
            with trio.CancelScope() as scope:
                self._in_hand = (entry, scope)
                result = await awaitable
            self._in_hand = None
            if not scope.cancelled_caught:
                if isinstance(result, CoroutineType):  # whoever awaited it later would do so outside of this entry
                    result.close()
                    self._unawaited.append(result.__qualname__)
                result = entry.check(result)
                if self._unawaited:
                    raise unawaited(self._unawaited)
                self.keep()
        except BaseException as error:
            self._in_hand = None
            self._over(entry, error)
            return
        if scope.cancelled_caught:
            self.undo()
            self._handling = False
            if self.story is not None:
                self.story.then("cancelled by who asked for it")
            self.report_unawaited(entry)
            entry.cancelled()
            return
        self._handling = False
        if self.story is not None:
            self._tell_result(entry, result)
            if entry.told_as:
                self.story.over()
        entry.succeeded(result)

    def _over(self, entry: Entry, error: BaseException) -> None:
        """An entry raised: undo it, report what is a failure, and let the rest pass."""
        self.undo()
        self._handling = False
        self.report_unawaited(entry)
        failure, rest = split_failure(error)
        if rest is not None:
            if failure is not None:
                self.failures += 1
                self.report(entry.describe(), failure)
            if self.story is not None and entry.told_as:
                self.story.then("cancelled")
            entry.dropped()
            pass_on(error, rest)
        assert failure is not None
        if isinstance(failure, Rejected):
            if self.story is not None:
                self.story.then(f"rejected: {text_of(failure)}")
            entry.failed(failure, None)
            return
        self.failures += 1
        entry.failed(failure, self.supervise(entry, unwrap(failure)))

    def report_unawaited(self, entry: Entry) -> None:
        """Report the coroutines that an entry dropped in its result, or as it was rolled back for another reason."""
        if self._unawaited:
            self.failures += 1
            self.report(entry.describe(), unawaited(self._unawaited))

    def cancel_in_hand(self, entry: Entry) -> None:
        """See `Recipient.cancel_in_hand`."""
        if self._in_hand is not None and self._in_hand[0] is entry:
            self._in_hand[1].cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand and nothing waits."""
        return not self._handling and self.mailbox.is_empty()

    def in_own_hand(self) -> bool:
        """Whether the current task is this actor's handler, or a task that the handler waits for."""
        return self._handling and self._main_hold is not None and self._main_hold.covers(trio.lowlevel.current_task())

    def statistics(self) -> ActorStatistics:
        """The state of this actor now."""
        return ActorStatistics(
            name=self.name,
            mailbox=self.mailbox.statistics(),
            dead_letters=self.dead_letters,
            failures=self.failures,
        )
