"""A mailbox: the bounded queue before one actor, with one reader.

Essay: one queue in order of arrival, three rules for room. A message, a borrow or an update counts towards the
capacity; a sender without room waits or is refused. A timer's tick doesn't count: each timer has at most one of them
in the queue, so they are as bounded as the timers are, and a full mailbox delays a tick but can't lose or multiply it.
Next ticks don't count either; they have a bound of their own (`Callbacks`). All share one queue because order is the
promise: what one sender does first is handled first, whichever kind it is. Only the system lane, for stop and other
lifecycle messages, is looked at before everything else, and it has always room.

The reader is one parked task that is rescheduled by whoever puts the first entry in: no lock, no event, no channel.
Everything here is synchronous except `wait`, and must be called in trio's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, final

import attrs
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from supervisor.actor.entry import Entry

CAPACITY = 1_000
"""Messages that a mailbox holds unless told otherwise: a second's worth of a fast feed, a few hundred kilobytes."""


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


@final
class Mailbox:
    """Holds entries for one reader."""

    __slots__ = (
        "_capacity",
        "_entries",
        "_parked",
        "_room",
        "_system",
        "_waiting",
        "is_closed",
    )

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox needs room for at least one entry, not {capacity!r}")
        self._entries: deque[Entry] = deque()
        self._system: deque[Entry] = deque()
        self._room = self._capacity = capacity
        # Those who wait for room, in order of arrival; not empty only while there is none.
        self._waiting: deque[tuple[Entry, RoomWaiter]] = deque()
        # The reader's task while it is parked in `wait`.
        self._parked: Task | None = None
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

    def put_when_room(self, entry: Entry, waiter: RoomWaiter) -> None:
        """Take a counted entry as soon as there is room, in turn; `waiter` hears of it."""
        self._waiting.append((entry, waiter))

    def take(self) -> Entry | None:
        """The next entry, or None if there is none; gives its room to the sender that waits longest."""
        if self._system:
            return self._system.popleft()
        if not self._entries:
            return None
        entry = self._entries.popleft()
        if entry.counted:
            if self._waiting:
                self._free_room()
            else:
                self._room += 1
        return entry

    def is_empty(self) -> bool:
        """Whether the reader has nothing to do."""
        return not self._entries and not self._system

    def withdraw(self, entry: Entry) -> bool:
        """Take back an entry that is queued or waits for room; False if it is neither (any more)."""
        for position, (waiting, _) in enumerate(self._waiting):
            if waiting is entry:
                del self._waiting[position]
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
        left = [*self._entries]
        self._entries.clear()
        self._system.clear()
        waiting, self._waiting = self._waiting, deque()
        for _, waiter in waiting:
            waiter.closed()
        return left

    def keep_only(self, keep: Callable[[Entry], bool]) -> list[Entry]:
        """Close, but keep the entries that satisfy `keep`, those that wait for room too; returns the others."""
        waiting = [(entry, waiter) for entry, waiter in self._waiting if keep(entry)]
        for pair in waiting:
            self._waiting.remove(pair)
        left = self.close()
        self._entries.extend(entry for entry in left if keep(entry))
        for entry, waiter in waiting:
            self._entries.append(entry)
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
        counted = sum(entry.counted for entry in self._entries)
        return MailboxStatistics(
            counted=counted,
            uncounted=len(self._entries) - counted,
            capacity=self._capacity,
            waiting_for_room=len(self._waiting),
        )

    def _wake(self) -> None:
        task = self._parked
        assert task is not None
        self._parked = None
        reschedule(task)

    def _free_room(self) -> None:
        if self._waiting:
            entry, waiter = self._waiting.popleft()
            self._entries.append(entry)
            waiter.granted()
        else:
            self._room += 1


async def _at_once() -> None:
    pass
