"""A client's mirror of a document: plain data; each revision is a value of its own and shares what didn't change. Pure.

Rule: data that was handed out never changes. A patch makes new containers along its paths and keeps every other one, so
whoever holds the `data` of a revision can keep reading it, and `before["prices"] is after["prices"]` means that nothing
in there has changed. The browser's `tree.js` keeps the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from supervisor.errors import ProtocolError
from supervisor.protocol.messages import Add, Remove, Replace
from supervisor.protocol.pointer import index_of, split

Ours: TypeAlias = dict[int, Any]
"""Containers that are new and that nobody else has seen, so who made them changes them in place: without it a patch of
n operations on a list of m items would copy n·m of them. By id, with the container itself, since the id of one that is
gone may become another's."""


def apply(data: dict[str, Any], operations: Iterable[Add | Remove | Replace]) -> dict[str, Any]:
    """The data with the operations of a patch applied; `data` stays as it is, and the two share what is equal.

    Raises:
        ProtocolError: an operation doesn't fit

    """
    ours: Ours = {}
    for operation in operations:
        data = _apply_one(data, operation, ours)
    return data


def _apply_one(data: dict[str, Any], operation: Add | Remove | Replace, ours: Ours) -> dict[str, Any]:
    try:
        keys = split(operation.path)
    except ValueError:
        raise ProtocolError(f"not a JSON Pointer: {operation.path[:100]!r}") from None
    if not keys:
        if isinstance(operation, Remove) or not isinstance(operation.value, dict):
            raise ProtocolError("a patch that leaves no object at the document's root")
        # To add where something is, is to replace it (RFC 6902, 4.1).
        return operation.value
    root: dict[str, Any] = own(data, ours)
    target: Any = root
    for key in keys[:-1]:
        target = _own_child(target, key, operation.path, ours)
    last = keys[-1]
    if isinstance(target, dict):
        if not isinstance(operation, Add) and last not in target:
            raise _unfit(operation.path)
        if isinstance(operation, Remove):
            del target[last]
        else:
            target[last] = operation.value
    elif not isinstance(target, list):
        raise _unfit(operation.path)
    elif isinstance(operation, Add):
        end = len(target)
        target.insert(end if last == "-" else _index(last, end + 1, operation.path), operation.value)
    elif isinstance(operation, Replace):
        target[_index(last, len(target), operation.path)] = operation.value
    else:
        del target[_index(last, len(target), operation.path)]
    return root


def own(value: Any, ours: Ours) -> Any:
    """The value itself if it is ours, or no container; else a copy that is ours, and may be changed."""
    if id(value) in ours or not isinstance(value, dict | list):
        return value
    copy = value.copy()
    ours[id(copy)] = copy
    return copy


def _own_child(target: Any, key: str, path: str, ours: Ours) -> Any:
    place: str | int
    if isinstance(target, dict) and key in target:
        place = key
    elif isinstance(target, list):
        place = _index(key, len(target), path)
    else:
        raise _unfit(path)
    child = target[place] = own(target[place], ours)
    return child


def _index(key: str, end: int, path: str) -> int:
    index = index_of(key, end)
    if index is None:
        raise _unfit(path)
    return index


def _unfit(path: str) -> ProtocolError:
    return ProtocolError(f"a patch that doesn't fit at {path[:100]!r}")
