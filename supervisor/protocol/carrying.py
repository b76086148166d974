"""Carrying: how an edit changes when an operation comes before it, and how the operation changes behind it. Pure.

Two sides change one document at the same time. Each edit was made on a state that lacks the operation; carried over the
operation, it means on the new state what it meant on the old one. The operation, carried over the edit, does the same
for what was made on top of the edit. Both are the tables of `docs/reference/wire.md`, row by row.

The rule: `carry(edit, operation)` after the operation, and `carry_operation(operation, edit)` after the edit, lead from
a document that both fit to the same document. There is one deliberate exception: the operation replaces something on an
edit's path, which goes on from there by keys. Then the edit applies inside the new value, if it names something there.

An app may do something else than an edit says. What its author did meanwhile on top of the edit was made on a document
that never existed; `difference` leads from that one to the real one. In general that is the edit's inverse and then the
patch: what was done inside an inserted item disappears with it. But if the patch is one operation that puts another
value at the same place, as when the app gives a new item its id, it is a `replace` of that value, and edits inside go
on by their keys. Among several operations, nobody can say which one stands for the edit.

An operation's path doesn't say whether "3" is a key or an index; the edit's own step at that depth does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, final

import attrs

from supervisor.errors import ProtocolError
from supervisor.protocol import messages
from supervisor.protocol.pointer import split

Keys: TypeAlias = tuple[str | int, ...]
"""The way from the root to a place: keys of objects are str, indexes of arrays are int."""


class Edit(Protocol):
    """What an edit does, and where; the value doesn't matter here."""

    @property
    def op(self) -> messages.EditName:
        """What it does."""

    @property
    def keys(self) -> Keys:
        """Where."""


@final
@attrs.frozen
class Change:
    """An edit at the place where it is now."""

    op: messages.EditName
    keys: Keys


@final
@attrs.frozen
class Operation:
    """An operation of a patch, its path taken apart."""

    op: messages.OperationName
    path: tuple[str, ...]


def operation_of(operation: messages.Add | messages.Remove | messages.Replace) -> Operation:
    """An operation of the wire, without its value.

    Raises:
        ProtocolError: its path is not a JSON Pointer

    """
    name: messages.OperationName
    if isinstance(operation, messages.Add):
        name = "add"
    elif isinstance(operation, messages.Remove):
        name = "remove"
    else:
        name = "replace"
    return operation_at(name, operation.path)


def operation_at(op: messages.OperationName, path: str) -> Operation:
    """An operation whose path is a JSON Pointer.

    Raises:
        ProtocolError: it is none

    """
    try:
        return Operation(op, split(path))
    except ValueError:
        raise ProtocolError(f"not a JSON Pointer: {path[:100]!r}") from None


def carry(edit: Edit, operation: Operation) -> Keys | None:
    """The keys of the edit once the operation was done; None: it is lost."""
    keys, path = edit.keys, operation.path
    if not path:  # the root is another one
        return None if any(type(key) is int for key in keys) else keys
    depth = len(path) - 1
    if depth >= len(keys) or not _equal(keys, path, depth):
        return keys
    step, is_last = keys[depth], depth == len(keys) - 1
    if type(step) is int:
        at = _index(path[depth])
        if at is None:
            return keys
        if operation.op == "add":
            return _with(keys, depth, step + 1) if at <= step else keys
        if operation.op == "remove" and at < step:
            return _with(keys, depth, step - 1)
    if str(step) != path[depth]:
        return keys
    if is_last:
        # To remove what is gone, or to set an index of which nobody knows any more what it named.
        is_lost = operation.op == "remove" and (edit.op == "remove" if type(step) is str else edit.op != "insert")
    else:
        is_lost = operation.op == "remove" or any(type(key) is int for key in keys[depth + 1 :])
    return None if is_lost else keys


def carry_operation(operation: Operation, edit: Edit) -> Operation | None:
    """The operation once the edit was done; None: there is nothing left for it to do."""
    keys, path = edit.keys, operation.path
    depth = len(keys) - 1
    if depth >= len(path) or not _equal(keys, path, depth):
        return operation
    step, is_last = keys[depth], depth == len(path) - 1
    if type(step) is int:
        at = _index(path[depth])
        if at is None:
            return operation
        is_plain_add = operation.op == "add" and is_last
        if edit.op == "insert":
            return _moved(operation, depth, at + 1) if at > step or (at == step and not is_plain_add) else operation
        if edit.op == "remove":
            if at > step:
                return _moved(operation, depth, at - 1)
            return operation if at < step or is_plain_add else None
        stays = at != step or (is_last and operation.op != "replace")
        return operation if stays else None
    return operation if step != path[depth] else None


def inverse(edit: Edit) -> Operation:
    """The operation that takes an edit back, as far as places go."""
    name: messages.OperationName = "replace"
    if edit.op == "insert":
        name = "remove"
    elif edit.op == "remove":
        name = "add"
    return Operation(name, tuple(str(key) for key in edit.keys))


def difference(
    edit: Edit,
    value: object,
    patch: Sequence[messages.Add | messages.Remove | messages.Replace],
    operations: Sequence[Operation],
) -> list[Operation]:
    """What leads from the document with an edit on top, as it was made, to the one with the patch that brought it.

    Args:
        edit: where it was just before the patch
        value: that it was made with
        patch: what was done
        operations: the same, each taken apart

    """
    if len(patch) == 1 and _puts_the_same(edit, operations[0]):
        (done,) = patch
        if isinstance(done, messages.Remove) or same(done.value, value):
            return []
        return [Operation("replace", operations[0].path)]
    return [inverse(edit), *operations]


def _puts_the_same(edit: Edit, operation: Operation) -> bool:
    """Whether the operation does what the edit does, at its place; the value may be another one."""
    if operation.path != inverse(edit).path:
        return False
    if edit.op == "set":  # an `add` to an array puts an item between others
        return operation.op == "replace" or (operation.op == "add" and type(edit.keys[-1]) is str)
    return operation.op == ("add" if edit.op == "insert" else "remove")


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: numbers by value, but true is no 1."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _equal(keys: Keys, path: tuple[str, ...], depth: int) -> bool:
    return all(str(keys[at]) == path[at] for at in range(depth))


def _index(token: str) -> int | None:
    # What is no index can't be in an array; "-" is told as the index that it stands for, by who has the array.
    return int(token) if token.isascii() and token.isdecimal() else None


def _with(keys: Keys, depth: int, index: int) -> Keys:
    return (*keys[:depth], index, *keys[depth + 1 :])


def _moved(operation: Operation, depth: int, index: int) -> Operation:
    path = operation.path
    return Operation(operation.op, (*path[:depth], str(index), *path[depth + 1 :]))
