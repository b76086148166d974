"""The messages of one type under a policy of their own, as they wait in a mailbox. Pure.

Essay: what is conflated, and what is not. Of the waiting messages with the same key, the newest takes the place of the
older one: it is handled when that one would have been, and never later. Three rules keep the rest in order.

* A message whose sender waits, by `ask` or from a browser, is never conflated away: its handling was promised, and an
  answer about another message would be wrong.
* Nothing is conflated across such a message: otherwise a newer one would come before it, and the older one would win.
* Nothing is conflated while a message of its key waits for room, for the same reason. Once that message has room, it
  may itself take the place of an older one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import final

from supervisor.actor.entry import Entry
from supervisor.actor.policy import NO_KEY


@final
class Slot(Entry):
    """A place in a mailbox's queue, whose message may be exchanged, or taken out without a search.

    It says that it doesn't count only so that the mailbox looks at it apart from other entries: it takes up room as
    long as it holds an entry. An empty one is skipped.
    """

    __slots__ = ("entry", "key", "lane")
    counted = False

    def __init__(self, lane: Lane, entry: Entry, key: Hashable) -> None:
        self.lane = lane
        self.entry: Entry | None = entry
        self.key = key

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "an empty place" if self.entry is None else self.entry.describe()


@final
class Lane:
    """What waits of one type, in one mailbox. Everything takes the same time, however much waits."""

    __slots__ = ("_by_key", "_expected", "_slots")

    def __init__(self) -> None:
        # By their entries, from the message that was sent longest ago on. An OrderedDict, since a dict from whose
        # front much was removed takes long to find its first key.
        self._slots: OrderedDict[Entry, Slot] = OrderedDict()
        # Those whose place a newer message of the key may take.
        self._by_key: dict[Hashable, Slot] = {}
        # How many of a key wait for room.
        self._expected: dict[Hashable, int] = {}

    def conflate(self, entry: Entry, key: Hashable) -> bool:
        """Put a message in the place of an older one; False if there is none, or if it must not."""
        if key is NO_KEY:
            return False
        if entry.is_answered:
            self._by_key.pop(key, None)
            return False
        slot = self._by_key.get(key)
        if slot is None or key in self._expected:
            return False
        assert slot.entry is not None
        del self._slots[slot.entry]
        slot.entry = entry
        self._slots[entry] = slot
        return True

    def add(self, slot: Slot) -> None:
        """A place was put into the queue, behind all others."""
        assert slot.entry is not None
        self._slots[slot.entry] = slot
        if slot.key is not NO_KEY and not slot.entry.is_answered:
            self._by_key[slot.key] = slot

    def empty(self, slot: Slot) -> Entry:
        """Take a place's entry out: it was taken, dropped or withdrawn."""
        entry, slot.entry = slot.entry, None
        assert entry is not None
        del self._slots[entry]
        if self._by_key.get(slot.key) is slot:
            del self._by_key[slot.key]
        return entry

    def expect(self, slot: Slot) -> None:
        """A message waits for room."""
        if slot.key is not NO_KEY:
            self._expected[slot.key] = self._expected.get(slot.key, 0) + 1

    def expect_no_more(self, slot: Slot) -> None:
        """A message waits for room no longer."""
        if slot.key is not NO_KEY:
            left = self._expected.pop(slot.key) - 1
            if left:
                self._expected[slot.key] = left

    def find(self, entry: Entry) -> Slot | None:
        """The place of an entry."""
        return self._slots.get(entry)

    def oldest(self) -> Slot | None:
        """The place of the message that was sent longest ago."""
        return next(iter(self._slots.values()), None)

    def __len__(self) -> int:
        """How many messages are queued."""
        return len(self._slots)
