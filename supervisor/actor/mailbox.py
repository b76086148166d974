"""A mailbox: the bounded queue before one actor, with one reader.

Essay: one queue in order of arrival, three rules for room. A message, a borrow or an update counts towards the
capacity; a sender without room waits or is refused. A timer's tick doesn't count: each timer has at most one of them
in the queue, so ticks are as bounded as timers, and a full mailbox delays a tick but can't lose or multiply it. Next
ticks don't count either; they have a bound of their own (`Callbacks`). All share one queue because order is promised:
what one sender does first is handled first, whatever its kind. Only the system lane, for stop and other lifecycle
messages, comes before everything else, and it always has room.

The reader is one parked task that is rescheduled by whoever puts in the first entry: no lock, no event, no channel.
Everything here is synchronous except `wait`, and must be called in trio's thread.

Messages of a type with its own policy share the queue, each in a `Slot`. A dropped or withdrawn message leaves an empty
slot, which the reader skips: taking it out of the middle would mean a search through the whole queue. As soon as there
are more empty slots than the mailbox has room, all of them are removed at once. Other types pay nothing for this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from itertools import islice
from typing import Any, Final, Protocol, final

import attrs
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from supervisor.actor.entry import Entry
from supervisor.actor.lane import Lane, Slot
from supervisor.actor.policy import NO_KEY, Admission, MailboxPolicy

CAPACITY = 1_000
"""Messages that a mailbox holds unless told otherwise: a second's worth of a fast feed, a few hundred kilobytes."""

_NOBODY: Final[deque[Any]] = deque(maxlen=0)
"""The queue of all mailboxes at which nobody waits for room: it can't hold anything."""


class RoomWaiter(Protocol):
    """Somebody without room, who is told once what became of the wait."""

    def granted(self) -> None:
        """There was room: the entry is in the mailbox now."""

    def closed(self) -> None:
        """The mailbox closed first: the entry was not taken."""


@final
@attrs.frozen(kw_only=True)
class MailboxStatistics:
    """The state of a mailbox at one moment."""

    counted: int
    """Entries that count towards the capacity."""
    uncounted: int
    """Ticks that wait."""
    capacity: int
    """How many counted entries there may be."""
    waiting_for_room: int
    """Senders without room."""
    waited: int = 0
    """Senders that had to wait for room so far, whatever became of them."""
    refused: int = 0
    """Messages that were not taken, and whose senders were told so at once."""
    dropped: int = 0
    """Messages that gave up their place to a newer one, since there was no room (`when_full="drop_oldest"`)."""
    conflated: int = 0
    """Messages whose place a newer one of the same key took before their turn came (`conflate=`)."""
    highest: int = 0
    """The most counted entries that waited at once, as its actor saw it each time that others had had their turn."""


@final
class Mailbox:
    """Holds entries for one reader."""

    __slots__ = (
        "_capacity",
        "_conflated",
        "_dropped",
        "_empty_slots",
        "_entries",
        "_lanes",
        "_least_room",
        "_parked",
        "_room",
        "_system",
        "_waited",
        "_waiting",
        "is_closed",
        "refused",
    )

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox needs room for at least one entry, not {capacity!r}")
        self._entries: deque[Entry] = deque()
        # There are hardly ever two lifecycle entries, and an empty list takes a tenth of an empty deque's memory.
        self._system: list[Entry] = []
        self._room = self._least_room = self._capacity = capacity
        # Those who wait for room, in order of arrival; not empty only while there is none. Most mailboxes never have
        # any, so the queue is made for the first one.
        self._waiting: deque[tuple[Entry, RoomWaiter]] = _NOBODY
        # The reader's task while it is parked in `wait`.
        self._parked: Task | None = None
        # For each type with a policy, what is queued of it.
        self._lanes: dict[MailboxPolicy, Lane] = {}
        self._empty_slots = 0
        self._waited = self._dropped = self._conflated = 0
        self.refused = 0
        """See `MailboxStatistics.refused`; who refuses because `put` has no room counts it here."""
        self.is_closed = False

    def put(self, entry: Entry) -> bool:
        """Take a counted entry; False if there is no room. The mailbox must not be closed."""
        if self._room <= 0:
            return False
        self._room -= 1
        self._entries.append(entry)
        task = self._parked  # as `_wake`, written out: a broadcast comes here for each session
        if task is not None:
            self._parked = None
            reschedule(task)
        return True

    def put_under(
        self, policy: MailboxPolicy, entry: Entry, key: Hashable, dropped: Callable[[Entry], None]
    ) -> Admission:
        """Take a counted entry under its type's policy. The mailbox must not be closed.

        If the answer is `WAIT`, `put_when_room` comes next, with the same policy and key. `dropped` is called, last of
        all, with the entry that gave up its place, if one did.
        """
        lane = self._lane(policy)
        if lane.conflate(entry, key):
            self._conflated += 1
            return Admission.CONFLATED
        if self._room > 0:
            self._room -= 1
            self._queue_slot(Slot(lane, entry, key))
            return Admission.QUEUED
        if policy.when_full == "wait":
            return Admission.WAIT
        oldest = lane.oldest() if policy.when_full == "drop_oldest" else None
        if oldest is None:
            self.refused += 1
            return Admission.REFUSED
        given_up = self._empty(oldest)
        self._dropped += 1
        self._queue_slot(Slot(lane, entry, key))
        dropped(given_up)
        return Admission.QUEUED

    def put_tick(self, entry: Entry) -> None:
        """Take an entry that doesn't count: its owner bounds it."""
        self._entries.append(entry)
        if self._parked is not None:
            self._wake()

    def put_system(self, entry: Entry) -> None:
        """Take a lifecycle entry, ahead of all others."""
        self._system.append(entry)
        if self._parked is not None:
            self._wake()

    def put_when_room(
        self, entry: Entry, waiter: RoomWaiter, policy: MailboxPolicy | None = None, key: Hashable = NO_KEY
    ) -> None:
        """Take a counted entry as soon as there is room, in turn; `waiter` hears of it."""
        self._waited += 1
        self._least_room = 0
        if policy is not None:
            entry = Slot(self._lane(policy), entry, key)
            entry.lane.expect(entry)
        if self._waiting is _NOBODY:
            self._waiting = deque()
        self._waiting.append((entry, waiter))

    def take(self) -> Entry | None:
        """The next entry, or None if there is none; gives its room to the sender that waits longest."""
        if self._system:
            return self._system.pop(0)
        if not self._entries:
            return None
        entry = self._entries.popleft()
        if entry.counted:
            if self._waiting:
                self._free_room()
            else:
                self._room += 1
        elif type(entry) is Slot:
            return self._take_slot(entry)
        return entry

    def note_backlog(self) -> None:
        """See `MailboxStatistics.highest`. The reader calls it when others have had their turn; `put` is for speed."""
        if self._room < self._least_room:
            self._least_room = self._room

    def is_empty(self) -> bool:
        """Whether the reader has nothing to do."""
        return len(self._entries) == self._empty_slots and not self._system

    @property
    def has_system_entry(self) -> bool:
        """Whether what `take` gives next is a lifecycle entry."""
        return bool(self._system)

    def tail(self, count: int) -> list[Entry]:
        """The last so many entries that are queued, the newest last."""
        queued = (_entry_in(entry) for entry in reversed(self._entries) if not _is_empty_slot(entry))
        return list(islice(queued, count))[::-1]

    def withdraw(self, entry: Entry) -> bool:
        """Take back an entry that is queued or waits for room; False if it is neither (any more)."""
        for position, (waiting, _) in enumerate(self._waiting):
            if waiting is entry or (type(waiting) is Slot and waiting.entry is entry):
                del self._waiting[position]
                if type(waiting) is Slot:
                    waiting.lane.expect_no_more(waiting)
                return True
        for lane in self._lanes.values():
            slot = lane.find(entry)
            if slot is not None:
                self._empty(slot)
                self._free_room()
                return True
        try:
            self._entries.remove(entry)
        except ValueError:
            return False
        if entry.counted:
            self._free_room()
        return True

    def close(self) -> list[Entry]:
        """Take nothing more; returns the entries that were queued, and tells those who wait for room."""
        self.is_closed = True
        left = [_entry_in(entry) for entry in self._entries if not _is_empty_slot(entry)]
        self._entries.clear()
        self._system.clear()
        self._lanes.clear()
        self._empty_slots = 0
        waiting, self._waiting = self._waiting, _NOBODY
        for _, waiter in waiting:
            waiter.closed()
        return left

    def finish(self) -> None:
        """Take nothing more from senders. What is queued stays, in both lanes; those who wait for room get it in turn.

        So it becomes empty in the end, unless its owner goes on putting ticks into it.
        """
        self.is_closed = True

    def keep_only(self, keep: Callable[[Entry], bool]) -> list[Entry]:
        """Close, but keep the entries that satisfy `keep`, those that wait for room too; returns the others."""
        waiting = [pair for pair in self._waiting if keep(_entry_in(pair[0]))]
        for pair in waiting:
            self._waiting.remove(pair)
        left = self.close()
        self._entries.extend(entry for entry in left if keep(entry))
        for entry, waiter in waiting:
            self._entries.append(_entry_in(entry))
            waiter.granted()
        return [entry for entry in left if not keep(entry)]

    def wait(self) -> Awaitable[object]:
        """Await this to park the reader until there is an entry; over at once if there is one. Safe to cancel.

        A plain function that returns trio's own awaitable: a coroutine of ours in between would be touched, and its
        frame fetched from memory, each time that the reader is woken.
        """
        if self._entries or self._system:
            return _at_once()
        self._parked = current_task()
        return wait_task_rescheduled(self._abort)  # noqa: ASYNC105 (the caller awaits it)

    def _abort(self, _: object) -> Abort:
        self._parked = None
        return Abort.SUCCEEDED

    def statistics(self) -> MailboxStatistics:
        """The state of this mailbox now."""
        self.note_backlog()
        counted = sum(entry.counted for entry in self._entries) + sum(map(len, self._lanes.values()))
        return MailboxStatistics(
            counted=counted,
            uncounted=len(self._entries) - self._empty_slots - counted,
            capacity=self._capacity,
            waiting_for_room=len(self._waiting),
            waited=self._waited,
            refused=self.refused,
            dropped=self._dropped,
            conflated=self._conflated,
            highest=self._capacity - self._least_room,
        )

    def _wake(self) -> None:
        task = self._parked
        assert task is not None
        self._parked = None
        reschedule(task)

    def _free_room(self) -> None:
        while self._waiting:
            entry, waiter = self._waiting.popleft()
            if type(entry) is Slot:
                slot, lane = entry, entry.lane
                assert slot.entry is not None
                lane.expect_no_more(slot)
                if lane.conflate(slot.entry, slot.key):  # into one that waited before it: the room is free still
                    self._conflated += 1
                    waiter.granted()
                    continue
                lane.add(slot)
            self._entries.append(entry)
            waiter.granted()
            return
        self._room += 1

    # Messages under a policy.

    def _lane(self, policy: MailboxPolicy) -> Lane:
        lane = self._lanes.get(policy)
        if lane is None:
            lane = self._lanes[policy] = Lane()
        return lane

    def _queue_slot(self, slot: Slot) -> None:
        slot.lane.add(slot)
        self._entries.append(slot)
        if self._parked is not None:
            self._wake()

    def _take_slot(self, slot: Slot) -> Entry | None:
        if slot.entry is not None:
            entry = slot.lane.empty(slot)
            self._free_room()
            return entry
        self._empty_slots -= 1
        while self._entries and _is_empty_slot(self._entries[0]):
            self._entries.popleft()
            self._empty_slots -= 1
        return self.take()

    def _empty(self, slot: Slot) -> Entry:
        entry = slot.lane.empty(slot)
        self._empty_slots += 1
        if self._empty_slots > self._capacity:
            self._entries = deque(each for each in self._entries if not _is_empty_slot(each))
            self._empty_slots = 0
        return entry


def _is_empty_slot(entry: Entry) -> bool:
    return type(entry) is Slot and entry.entry is None


def _entry_in(entry: Entry) -> Entry:
    if type(entry) is Slot:
        assert entry.entry is not None
        return entry.entry
    return entry


async def _at_once() -> None:
    pass
