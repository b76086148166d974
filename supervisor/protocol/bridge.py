"""What lies between a client's document and the server's, and an edit's way across. Pure.

An edit's path is meant for the client's mirror at the edit's `base`, with the client's earlier edits on top that the
mirror lacks. The *bridge* is the list of operations that lead from there to the document as it is now. It is made of:

- what others did after `base`, carried over the client's own edits that came later;
- the inverse of each edit that was refused and that the client still shows;
- for an edit that the app changed, what leads from it to what was done in its place.

When an edit's turn comes, it is carried over the bridge, and the bridge over it. Then the bridge leads from the
client's document with this edit to the server's without it, and once the edit is done unchanged, to the server's with
it.

What the client already has leaves the bridge: an operation when the client's mirror reaches its revision (`base` says
so), a refused edit when the client has the error (`confirmed` says so: edits are answered in the order of their
numbers).

Nothing is done when others change the document: an edit's turn looks up in the history what the edit missed.

There is no bridge between two epochs. An edit that was made before its client saw the current one is lost, whatever its
path, and its client has lost it too; the bridges of all clients begin anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, final

import attrs
from msgspec import UNSET

from supervisor.protocol import messages
from supervisor.protocol.carrying import (
    Change,
    Keys,
    Operation,
    carry,
    carry_operation,
    difference,
    inverse,
    operation_at,
    operation_of,
)
from supervisor.protocol.history import History

MAX_OPERATIONS = 1_000
"""Operations that a bridge is made of; each edit of a client that is so far behind is carried over all of them."""


@final
@attrs.define(eq=False)
class _Plank:
    """One operation of a bridge."""

    operation: Operation
    revision: int
    """Of the document that has it; of a refused edit: when it was refused."""
    refused: int = 0
    """The number of the refused edit that this takes back; 0: it is no such."""
    taken_back: Change | None = None
    """That edit, where it was at first."""

    @property
    def change(self) -> Change:
        """The edit that this takes back, where it is now."""
        assert self.taken_back is not None
        # A path as text does not tell an index from a key, but it has the same steps as the edit: only numbers move.
        pairs = zip(self.taken_back.keys, self.operation.path, strict=True)
        return Change(self.taken_back.op, tuple(int(token) if type(key) is int else token for key, token in pairs))


@final
class Bridge:
    """The bridge of one client."""

    __slots__ = ("_blind_after", "_blind_revision", "_known", "_planks", "base")

    def __init__(self, base: int = 0) -> None:
        self.base = base
        """Of the client's last edit: it never falls."""
        # In the order in which they are crossed; the revisions rise.
        self._planks: list[_Plank] = []
        # The revision to which the planks lead; None before the first edit.
        self._known: int | None = None
        # What came before this revision, and before the answer to this number was known, nobody remembers.
        self._blind_revision = 0
        self._blind_after = 0

    def sees(self, edit: messages.Edit) -> bool:
        """Whether the bridge reaches back to where this edit comes from."""
        return edit.base >= self._blind_revision and edit.confirmed >= self._blind_after

    def come_to(self, revision: int, history: History, edit: messages.Edit) -> None:
        """Bring the far end to the document's revision, and the near one to where an edit comes from."""
        self._leave_behind(edit)
        if self._known is None or (not self._planks and edit.base > self._known):
            self._known = edit.base
        if self._known != revision:
            missed = history.since(self._known, current=revision)
            if missed is None:
                self._forget(revision)
            else:
                for message in missed:
                    patch = messages.decode_places(message)
                    self.add(patch.revision, (operation_at(each.op, each.path) for each in patch.operations))
                self._leave_behind(edit)
            self._known = revision
        if len(self._planks) > MAX_OPERATIONS:  # also of the client's own edits, if its base never rises
            self._forget(revision)

    def cross(self, change: Change, begin: int) -> tuple[Keys | None, int]:
        """Carry an edit over all but the first `begin` planks; returns its keys, and where to begin the next time."""
        keys: Keys | None = change.keys
        at = begin
        while at < len(self._planks) and keys is not None:
            plank = self._planks[at]
            before = Change(change.op, keys)
            keys = carry(before, plank.operation)
            if self._put(at, carry_operation(plank.operation, before)):
                at += 1
        return keys, at

    def add(self, revision: int, operations: Iterable[Operation]) -> None:
        """Lengthen the bridge at the far end."""
        self._planks += [_Plank(operation, revision) for operation in operations]

    def refuse(self, number: int, change: Change) -> None:
        """An edit that has crossed was not done: the client still shows it."""
        assert self._known is not None
        self._planks.append(_Plank(inverse(change), self._known, number, change))

    def lose_sight(self, number: int) -> None:
        """An edit was refused that could not be carried: indexes mean nothing until the client knows that."""
        self._blind_after = number

    def done(self, revision: int) -> None:
        """The last edit was done, and that led to this revision."""
        self._known = revision

    def _forget(self, revision: int) -> None:
        self._blind_revision = revision
        self._blind_after = max([self._blind_after, *(plank.refused for plank in self._planks)])
        self._planks.clear()

    def _put(self, at: int, operation: Operation | None) -> bool:
        if operation is None:
            del self._planks[at]
            return False
        self._planks[at].operation = operation
        return True

    def _leave_behind(self, edit: messages.Edit) -> None:
        """Drop what the client has.

        After a reconnect patches come before errors, so it may have an operation that came after a refusal of which it
        doesn't know yet. Then the two change places: the refused edit is carried over the operation.
        """
        kept: list[_Plank] = []
        for plank in self._planks:
            if plank.refused > edit.confirmed or (not plank.refused and plank.revision > edit.base):
                kept.append(plank)
            elif not plank.refused:
                kept = _behind(kept, plank.operation)
        self._planks = kept

    def __len__(self) -> int:
        """How many operations it is made of."""
        return len(self._planks)


@final
class EditTurn:
    """One edit of a client, from its acceptance to its answer."""

    __slots__ = ("_begin", "_bridge", "_history", "_keys", "_message", "_state")

    def __init__(self, message: messages.Edit, bridge: Bridge, history: History) -> None:
        self._message = message
        self._bridge = bridge
        self._history = history
        self._keys: Keys = message.path
        # The planks that it has crossed already.
        self._begin = 0
        # `blind`: nobody remembers what it would have to be carried over.
        self._state: Literal["crossing", "lost", "blind", "over"] = "crossing"

    @property
    def message(self) -> messages.Edit:
        """What the client wrote."""
        return self._message

    @property
    def value(self) -> Any:
        """What is to be put there; None for a removal."""
        return None if self._message.value is UNSET else self._message.value

    def place(self, revision: int, operations: Iterable[Operation] = ()) -> Keys | None:
        """Where it is now; None: what it was to change has gone, or can't be found.

        Call it when the edit's turn has come; again if the document has changed since.

        Args:
            revision: the document's
            operations: what the transaction that is open has done beyond that

        """
        bridge = self._bridge
        if self._message.base < self._history.begun_at:
            self._state = "lost"
        if self._state == "crossing":
            # What the edit's own transaction has committed meanwhile comes before it, as if others had done it.
            bridge.come_to(revision, self._history, self._message)
            if not bridge.sees(self._message) and any(type(key) is int for key in self._keys):
                self._state = "blind"
                return None
            keys, self._begin = bridge.cross(Change(self._message.op, self._keys), self._begin)
            if keys is None:
                self._state = "lost"
            else:
                self._keys = keys
        place: Keys | None = self._keys if self._state == "crossing" else None
        for operation in operations:
            if place is not None:
                place = carry(Change(self._message.op, place), operation)
        return place

    def done(self, revision: int, encoded: bytes) -> None:
        """It was done, as part of the transaction that led to this revision by these operations, which are JSON."""
        patch = messages.decode_operations(encoded)
        change = Change(self._message.op, self._keys)
        self._bridge.add(revision, difference(change, self._message.value, patch, [*map(operation_of, patch)]))
        self._bridge.done(revision)
        self._state = "over"

    def unchanged(self) -> None:
        """It was done, and changed nothing."""
        self._state = "over"

    def refused(self) -> None:
        """It was not done. If it was lost, the client has lost it for itself."""
        if self._state == "crossing":
            self._bridge.refuse(self._message.number, Change(self._message.op, self._keys))
        elif self._state != "lost":
            self._bridge.lose_sight(self._message.number)
        self._state = "over"


def _behind(refused: list[_Plank], operation: Operation | None) -> list[_Plank]:
    """The inverses of refused edits, once an operation that came after them has come before them."""
    left: list[_Plank] = []
    for plank in reversed(refused):
        if operation is not None:
            change = plank.change
            keys = carry(change, operation)
            operation = carry_operation(operation, change)
            if keys is None:
                continue
            plank.operation = inverse(Change(change.op, keys))
        left.insert(0, plank)
    return left
