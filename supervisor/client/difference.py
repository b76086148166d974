"""What differs between two revisions of a mirror, as a JSON Patch. Pure.

Two revisions share what is equal (see `protocol.mirror`), so what was not touched is passed over at once, however large
it is. JSON's `1`, `1.0` and `true` are three values, though Python calls them equal.
"""

from __future__ import annotations

from typing import Any

from supervisor.protocol.pointer import index_of, join

Operation = dict[str, Any]
"""`{"op":"add"|"replace","path":"/a/0","value":…}` or `{"op":"remove","path":"/a/0"}`."""

NOTHING = object()
"""What `resolve` gives where nothing is."""


def difference(before: Any, after: Any, path: str = "") -> list[Operation]:
    """The operations of a JSON Patch (RFC 6902) that makes `after` of `before`, in the order of application.

    In a list, what is equal at its beginning and its end is kept, so one inserted or removed item is one operation.
    """
    if same(before, after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return _of_objects(before, after, path)
    if isinstance(before, list) and isinstance(after, list):
        return _of_arrays(before, after, path)
    return [{"op": "replace", "path": path, "value": after}]


def _of_objects(before: dict[str, Any], after: dict[str, Any], path: str) -> list[Operation]:
    operations: list[Operation] = [{"op": "remove", "path": join(path, key)} for key in before if key not in after]
    for key, value in after.items():
        if key not in before:
            operations.append({"op": "add", "path": join(path, key), "value": value})
        elif before[key] is not value:
            operations += difference(before[key], value, join(path, key))
    return operations


def _of_arrays(before: list[Any], after: list[Any], path: str) -> list[Operation]:
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and same(before[start], after[start]):
        start += 1
    end = 0
    while end < shorter - start and same(before[-1 - end], after[-1 - end]):
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    kept = min(len(old), len(new))
    operations: list[Operation] = []
    for index in range(kept):
        operations += difference(old[index], new[index], join(path, start + index))
    # From behind, so that no index moves before its turn.
    operations += [{"op": "remove", "path": join(path, start + index)} for index in reversed(range(kept, len(old)))]
    operations += [
        {"op": "add", "path": join(path, start + index), "value": new[index]} for index in range(kept, len(new))
    ]
    return operations


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same one."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def resolve(value: Any, steps: tuple[str, ...]) -> Any:
    """The value at the steps, or `NOTHING`."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step, NOTHING)
        elif isinstance(value, list):
            index = index_of(step, len(value))
            value = NOTHING if index is None else value[index]
        else:
            return NOTHING
    return value
