"""A client's pending edits, and what is shown: the mirror with those edits on top. Pure.

Each edit was made on top of the mirror and of the edits before it. When the mirror changes, all of them are carried
over the change; when one leaves, those behind it are carried over the difference. "Edits" in `docs/reference/wire.md`
defines the terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, final

import attrs
import msgspec

from supervisor.errors import SendConflict
from supervisor.protocol import messages
from supervisor.protocol.carrying import (
    Keys,
    Operation,
    carry,
    carry_operation,
    difference,
    inverse,
    operation_of,
)
from supervisor.protocol.encoding import encode_value
from supervisor.protocol.mirror import Ours, own
from supervisor.protocol.pointer import index_of, split

MAX_STEPS = 200
"""Steps of an edit's path: documents are not nested deeper."""
MAX_KEY = 4096
"""Characters in one step; the server refuses longer ones."""


@final
@attrs.define(eq=False)
class PendingEdit:
    """One edit, from when it was made until it is answered and the mirror has it."""

    op: messages.EditName
    keys: Keys
    """Where it is now."""
    encoded: bytes | None
    """The value as JSON; None for a removal."""
    value: Any
    ticket: int = 0
    """Given by `Sends.add`."""
    state: Literal["shown", "lost", "gone"] = "shown"
    """`lost`: carried no further, but its answer has yet to come. `gone`: it is among the pending ones no more."""
    revision: int | None = None
    """The one that has it, once the server has told."""
    is_stale: bool = False
    """What is on top of it can't be written before it leaves.

    It was written before a snapshot, and names an index: nobody can tell where that is now. Or it was answered before
    the server forgot the client: for the server it is another's, and what is on top of it would be carried over it.
    """
    _frame: bytes | None = None

    @property
    def has_index(self) -> bool:
        """Whether a step of its path is an index."""
        return any(type(key) is int for key in self.keys)

    @property
    def was_written(self) -> bool:
        """Whether the server may know of it."""
        return self._frame is not None

    @property
    def content(self) -> tuple[bytes, ...]:
        """What its author put in, as JSON."""
        return encode_value(self.keys), self.encoded or b""

    def frame(self, number: int, confirmed: int, revision: int) -> bytes:
        """What is written: the first time made of what is true now, and the very same each further time."""
        if self._frame is None:
            value = b"" if self.encoded is None else b',"value":%b' % self.encoded
            self._frame = b'{"type":"edit","number":%d,"base":%d,"op":"%b","path":%b%b,"confirmed":%d}' % (
                number,
                revision,
                self.op.encode(),
                encode_value(self.keys),
                value,
                confirmed,
            )
        return self._frame


@final
class Pending:
    """The edits of one client, in the order in which they were made."""

    def __init__(self) -> None:
        # Those that are shown, and those that were lost but not answered.
        self._edits: list[PendingEdit] = []
        # What was shown last, and on top of which data; None: the edits have changed since.
        self._shown: tuple[dict[str, Any], dict[str, Any]] | None = None

    def make(self, op: messages.EditName, path: str, value: object, shown: dict[str, Any]) -> PendingEdit:
        """An edit of what is shown. It is pending once it was given to `add`.

        Raises:
            SendConflict: it doesn't fit what is shown
            ValueError: the path is not a JSON Pointer, or names the root, or is too long
            TypeError, ValueError: the value can't be sent as JSON

        """
        encoded = None if op == "remove" else encode_value(value, what=f"the value for {path!r}")
        keys = _resolved(op, path, shown)
        if len(keys) > MAX_STEPS or any(isinstance(key, str) and len(key) > MAX_KEY for key in keys):
            raise ValueError(f"a path has at most {MAX_STEPS} steps of {MAX_KEY} characters")
        encode_value(keys, what=f"the path {path!r}")
        # Decoded again, so that nobody else holds what is shown.
        return PendingEdit(op, keys, encoded, None if encoded is None else msgspec.json.decode(encoded))

    def add(self, edit: PendingEdit) -> None:
        """Show it from now on."""
        self._edits.append(edit)
        self._shown = None

    @property
    def is_stale(self) -> bool:
        """Whether some edit is pending on top of which none can be written."""
        return any(edit.is_stale for edit in self._edits)

    def patched(
        self,
        revision: int,
        operations: Sequence[messages.Add | messages.Remove | messages.Replace],
        taken: Sequence[Operation],
    ) -> list[PendingEdit]:
        """The mirror came to a revision by a patch; returns the edits that were lost by that.

        `taken` are the operations once more, taken apart while the mirror changed.
        """
        self._shown = None
        left, lost, below = self.done_at(revision), [], self._edits
        if len(left) == 1 and left[0].state == "shown":
            (edit,) = left
            at = self._edits.index(edit)
            self._drop(edit)
            below, behind = self._edits[:at], self._edits[at:]
            for operation in difference(edit, edit.value, operations, taken):
                lost += _carry(behind, operation)
        else:
            for edit in reversed(left):
                lost += self.leave(edit)
        for operation in taken:
            lost += _carry(below, operation)
        return [edit for edit in lost if edit.state == "lost"]

    def snapshotted(self, revision: int) -> list[PendingEdit]:
        """The mirror is another one; returns the edits that can't be carried over to it."""
        self._shown = None
        for edit in self.done_at(revision):
            self._drop(edit)
        lost = []
        for edit in self._edits:
            if edit.has_index and edit.state == "shown":
                if edit.was_written:
                    edit.is_stale = True
                else:
                    edit.state = "lost"
                    lost.append(edit)
        return lost

    def forget_written(self) -> list[PendingEdit]:
        """Nobody knows any more what became of those that were written and not answered.

        Returns the others that are lost by that.
        """
        lost = []
        for edit in [edit for edit in reversed(self._edits) if edit.was_written and edit.revision is None]:
            lost += self.leave(edit)
        for edit in self._edits:
            edit.is_stale = edit.revision is not None
        return [edit for edit in lost if edit.state == "lost"]

    def leave(self, edit: PendingEdit) -> list[PendingEdit]:
        """It is not on top of the mirror any more: those behind it are carried over its inverse, or lost by that."""
        behind = self._edits[self._edits.index(edit) + 1 :]
        was_shown = edit.state == "shown"
        self._drop(edit)
        if not was_shown:
            return []
        self._shown = None
        return _carry(behind, inverse(edit))

    def clear(self) -> list[PendingEdit]:
        """Show none any more; returns those that were done."""
        edits, self._edits, self._shown = self._edits, [], None
        for edit in edits:
            edit.state = "gone"
        return [edit for edit in edits if edit.revision is not None]

    def on_top_of(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is shown: the data with all edits on top; `data` is not changed, and shared where nothing is.

        The same object as long as neither the edits nor the data are others.
        """
        if not self._edits:
            return data
        if self._shown is None or self._shown[0] is not data:
            shown = data
            ours: Ours = {}
            for edit in self._edits:
                if edit.state == "shown":
                    shown = _applied(shown, edit, ours)
            self._shown = data, shown
        return self._shown[1]

    def __len__(self) -> int:
        """How many are pending, shown or not."""
        return len(self._edits)

    def done_at(self, revision: int) -> list[PendingEdit]:
        """Those that a mirror of that revision has, as the server told: they leave with it."""
        return [edit for edit in self._edits if edit.revision is not None and edit.revision <= revision]

    def _drop(self, edit: PendingEdit) -> None:
        edit.state = "gone"
        self._edits.remove(edit)


def _carry(edits: Iterable[PendingEdit], operation: Operation | None) -> list[PendingEdit]:
    """Carry edits, each made on top of those before it, over an operation; returns those that were lost."""
    lost = []
    for edit in edits:
        if operation is None:
            break
        if edit.state != "shown":
            continue
        behind = carry_operation(operation, edit)
        keys = carry(edit, operation)
        if keys is None:
            edit.state = "lost"
            lost.append(edit)
        else:
            edit.keys = keys
        operation = behind
    return lost


def take_apart(data: dict[str, Any], operation: messages.Add | messages.Remove | messages.Replace) -> Operation:
    """An operation without its value, with the end of an array as an index; before it is applied to `data`.

    Raises:
        ProtocolError: its path is not a JSON Pointer

    """
    taken = operation_of(operation)
    if not taken.path or taken.path[-1] != "-":
        return taken
    target: Any = data
    for token in taken.path[:-1]:
        index = index_of(token, len(target)) if isinstance(target, list) else None
        if index is not None:
            target = target[index]
        elif isinstance(target, dict) and token in target:
            target = target[token]
        else:
            return taken  # it doesn't fit, and who applies it will say so
    return Operation(taken.op, (*taken.path[:-1], str(len(target)))) if isinstance(target, list) else taken


def _resolved(op: messages.EditName, path: str, shown: dict[str, Any]) -> Keys:
    """The steps of a path, each a key or an index as what is shown has it there."""
    tokens = split(path)
    if not tokens:
        raise ValueError("an edit can't name the whole document; name a place in it")
    keys: list[str | int] = []
    target: Any = shown
    for token in tokens[:-1]:
        keys.append(_key(target, token, path))
        target = _child(target, keys[-1], path)
    last = tokens[-1]
    if op == "insert" and last == "-" and isinstance(target, list):
        last = str(len(target))
    keys.append(_key(target, last, path, room=op == "insert"))
    if isinstance(keys[-1], str) and (op == "insert" or (op == "remove" and last not in target)):
        raise _unfit(path)
    return tuple(keys)


def _key(target: Any, token: str, path: str, *, room: bool = False) -> str | int:
    """The step as what it leads into has it; with `room`, an index may be that of one more item."""
    if isinstance(target, dict):
        return token
    index = index_of(token, len(target) + room) if isinstance(target, list) else None
    if index is None:
        raise _unfit(path)
    return index


def _child(target: Any, key: str | int, path: str) -> Any:
    try:
        return target[key]
    except KeyError:
        raise _unfit(path) from None


def _unfit(path: str) -> SendConflict:
    return SendConflict(f"{messages.shorten(path)!r} is not there, or can't be edited so", kind="conflict")


def _applied(data: dict[str, Any], edit: PendingEdit, ours: Ours) -> dict[str, Any]:
    """The data with one edit on top; the data themselves if it doesn't fit. Only what is ours is changed."""
    target: Any = data
    for key in edit.keys[:-1]:
        if not _fits(target, key):
            return data
        target = target[key]
    last = edit.keys[-1]
    if edit.op == "insert":
        fits = isinstance(target, list) and type(last) is int and last <= len(target)
    elif edit.op == "set" and type(last) is str:
        fits = isinstance(target, dict)
    else:
        fits = _fits(target, last)
    if not fits:
        return data
    target = data = own(data, ours)
    for key in edit.keys[:-1]:
        target[key] = own(target[key], ours)
        target = target[key]
    if edit.op == "insert":
        target.insert(last, edit.value)
    elif edit.op == "set":
        target[last] = edit.value
    else:
        del target[last]
    return data


def _fits(target: Any, key: str | int) -> bool:
    if type(key) is int:
        return isinstance(target, list) and key < len(target)
    return isinstance(target, dict) and key in target
