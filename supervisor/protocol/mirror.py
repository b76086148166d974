"""A client's mirror of a document: plain Python data to which patches are applied in place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from supervisor.errors import ProtocolError
from supervisor.protocol.messages import Add, Remove, Replace

# RFC 6901, 4: no leading zeros, no sign, and ASCII digits only, where `int()` takes more.
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
# RFC 6901, 3: `~` stands only before 0 and 1.
_BAD_ESCAPE = re.compile(r"~(?![01])")


def apply(data: dict[str, Any], operations: Iterable[Add | Remove | Replace]) -> dict[str, Any]:
    """Apply the operations of a patch in place, and return the root, which is another one if it was replaced.

    Raises:
        ProtocolError: an operation doesn't fit; those before it are applied, so the data are good for nothing
            any more

    """
    for operation in operations:
        data = _apply_one(data, operation)
    return data


def _apply_one(data: dict[str, Any], operation: Add | Remove | Replace) -> dict[str, Any]:
    keys = _split(operation.path)
    if not keys:
        if isinstance(operation, Remove) or not isinstance(operation.value, dict):
            raise ProtocolError("a patch that leaves no object at the document's root")
        # To add where something is, is to replace it (RFC 6902, 4.1).
        return operation.value
    target: Any = data
    for key in keys[:-1]:
        target = _child(target, key, operation.path)
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
    return data


def _split(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/") or _BAD_ESCAPE.search(path):
        raise ProtocolError(f"not a JSON Pointer: {path[:100]!r}")
    # `~1` first: `~01` is the key "~1" (RFC 6901, 4).
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


def _child(target: Any, key: str, path: str) -> Any:
    if isinstance(target, dict) and key in target:
        return target[key]
    if isinstance(target, list):
        return target[_index(key, len(target), path)]
    raise _unfit(path)


def _index(key: str, end: int, path: str) -> int:
    if not _INDEX.fullmatch(key) or int(key) >= end:
        raise _unfit(path)
    return int(key)


def _unfit(path: str) -> ProtocolError:
    return ProtocolError(f"a patch that doesn't fit at {path[:100]!r}")
