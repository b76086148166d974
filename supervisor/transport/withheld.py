"""What has yet to be sent to one client, because it reads more slowly than its session changes. Pure.

Patches are merged (see `merging`), while answers and other messages keep their places between them: an answer must
follow the patches that its message caused, and must not wait for later patches merged into those. A patch for which an
`edited` was sent stays separate, so that the client can tell its own edit from what others did.

If even that grows too large, one snapshot replaces it, and only the answers are kept.
"""

from __future__ import annotations

from collections import deque
from typing import final

import attrs

from supervisor.protocol.merging import Merger
from supervisor.transport.frames import payload_of, text_frame

MAX_OPERATIONS = 5_000
"""Operations that are kept back for one client: a few megabytes of memory at most, beside their bytes."""

_PATCH = b'{"type":"patch",'


@final
@attrs.frozen
class Item:
    """A frame that is to be sent."""

    frame: bytes
    is_answer: bool


@final
class Withheld:
    """What is kept back from one client, in order."""

    __slots__ = ("_is_alone", "_items", "_operations", "awaits_snapshot", "size")

    def __init__(self) -> None:
        self._items: deque[Merger | Item] = deque()
        # Whether the next patch is kept by itself. The first one is: an `edited` for it may have been sent.
        self._is_alone = True
        self._operations = 0
        self.awaits_snapshot = False
        """Whether a snapshot stands for all that was, or will be, shown; then `answers` follow it."""
        self.size = 0
        """Bytes of what is kept, as it would be sent."""

    def show(self, frame: bytes) -> None:
        """Keep a patch, or what else may be left out if a snapshot follows."""
        if self.awaits_snapshot:
            return
        payload = payload_of(frame)
        if not payload.startswith(_PATCH):
            self._put(Item(frame, is_answer=False))
            return
        last = self._items[-1] if self._items else None
        alone, self._is_alone = self._is_alone, False
        if isinstance(last, Merger) and not alone and last.is_open:
            size, operations = last.size, len(last)
            if last.add(payload):
                self.size += last.size - size
                self._operations += len(last) - operations
                return
        merger = Merger()
        if not merger.add(payload):  # of another kind of document
            self._put(Item(frame, is_answer=False))
            return
        merger.is_open = not alone
        self._items.append(merger)
        self.size += merger.size
        self._operations += len(merger)

    def answer(self, frame: bytes) -> None:
        """Keep an answer, behind what was shown before; never left out."""
        self._put(Item(frame, is_answer=True))

    def announced(self) -> None:
        """The client was told of the next patch: it is kept by itself."""
        self._is_alone = True

    def give_way(self, answers: list[bytes]) -> None:
        """Keep only answers, `answers` before the others: a snapshot will be sent before them."""
        kept = [Item(frame, is_answer=True) for frame in answers]
        kept += [item for item in self._items if isinstance(item, Item) and item.is_answer]
        self._items = deque(kept)
        self.size = sum(len(item.frame) for item in kept)
        self._operations = 0
        self.awaits_snapshot = True

    @property
    def is_too_long(self) -> bool:
        """Whether there are more operations than may be kept."""
        return self._operations > MAX_OPERATIONS

    def first(self) -> Item | None:
        """What is to be sent next; if it was, call `sent`. None: there is no more."""
        if not self._items:
            return None
        first = self._items[0]
        return first if isinstance(first, Item) else Item(text_frame(first.message()), is_answer=False)

    def sent(self) -> None:
        """The first one was sent."""
        first = self._items.popleft()
        if isinstance(first, Item):
            self.size -= len(first.frame)
        else:
            self.size -= first.size
            self._operations -= len(first)

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self.size += len(item.frame)
