"""JSON Patch (RFC 6902): apply a patch to a plain document, and invert one. Pure.

Both are safe for untrusted operations from a JSON decoder: an operation that doesn't fit raises `PatchError`. Neither
mutates its arguments; results share what they can with the document and with the operations. A caller that takes
operations from others must bound their number, since each `copy` can double the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from supervisor.document import pointer
from supervisor.errors import PatchError

Operation = Mapping[str, Any]

# No sign, no leading zero, and only the ASCII digits (RFC 6901, section 4). More than 15 digits index no
# list.
_INDEX = re.compile("0|[1-9][0-9]{0,14}")


def apply(document: Any, operations: Iterable[Operation]) -> Any:
    """The document that `operations` make of `document`, applied in order; all of them or none.

    Raises:
        PatchError: An operation is malformed, its target isn't there, or a test failed.
    """
    # Containers that this call made, by id: only these are mutated in place. Kept alive here, so that no
    # other container can get the id of one.
    own: dict[int, Any] = {}
    for operation in operations:
        for step in _steps(document, operation):
            document = _apply(document, step, own)
    return document


def invert(document: Any, operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """The operations (add, remove and replace) that lead back from `apply(document, operations)` to `document`.

    A key that was removed comes back as the last one of its object; JSON gives no meaning to their order.

    Raises:
        PatchError: The operations don't fit the document.
    """
    inverse = []
    for operation in operations:
        for step in _steps(document, operation):
            inverse.append(_inverted(document, step))
            # No container is its own to mutate: the inverse holds parts of each state in between.
            document = _apply(document, step, {})
    return inverse[::-1]


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal as `test` has it: numbers by value, but true is not 1 (section 4.6)."""
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(equal(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _steps(document: Any, operation: Operation) -> list[dict[str, Any]]:
    """The operation in terms of add, remove and replace; none for a test that holds."""
    name = _member(operation, "op")
    path = _member(operation, "path")
    tokens = pointer.split(path)
    if name == "add" or name == "replace":
        return [{"op": name, "path": path, "value": _member(operation, "value")}]
    if name == "remove":
        return [{"op": name, "path": path}]
    if name == "test":
        if not equal(_get(document, path), _member(operation, "value")):
            raise PatchError(f'test of "{path}": it has another value')
        return []
    if name == "copy":
        # Not shared: a container may be one that this call mutates in place.
        return [{"op": "add", "path": path, "value": _copied(_get(document, _member(operation, "from")))}]
    if name == "move":
        origin = _member(operation, "from")
        value = _get(document, origin)
        if origin == path:
            return []
        source = pointer.split(origin)
        if tokens[: len(source)] == source:
            raise PatchError(f'move of "{origin}" to "{path}": it cannot go into itself')
        return [{"op": "remove", "path": origin}, {"op": "add", "path": path, "value": value}]
    raise PatchError(f"no operation is called {name!r}")


def _member(operation: Operation, name: str) -> Any:
    if not isinstance(operation, Mapping):
        raise PatchError(f"an operation is an object, got {type(operation).__name__}")
    if name not in operation:
        raise PatchError(f'an operation lacks "{name}"')
    return operation[name]


def _get(document: Any, path: str) -> Any:
    for token in pointer.split(path):
        document = _child(document, token, path)
    return document


def _child(container: Any, token: str, path: str) -> Any:
    if isinstance(container, dict):
        if token in container:
            return container[token]
    elif isinstance(container, list):
        return container[_index(token, len(container), path)]
    raise _missing(path)


def _index(token: str, length: int, path: str) -> int:
    if not _INDEX.fullmatch(token):
        raise PatchError(f'"{path}": {token!r} is not an index of a list')
    if int(token) >= length:
        raise _missing(path)
    return int(token)


def _missing(path: str) -> PatchError:
    return PatchError(f'"{path}" is not there')


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _apply(document: Any, step: dict[str, Any], own: dict[int, Any]) -> Any:
    name, path = step["op"], step["path"]
    tokens = pointer.split(path)
    if not tokens:
        if name == "remove":
            raise PatchError("the root cannot be removed, only replaced")
        return step["value"]
    document = holder = _owned(document, own)
    for token in tokens[:-1]:
        child = _child(holder, token, path)
        key = int(token) if isinstance(holder, list) else token
        holder[key] = child = _owned(child, own)
        holder = child
    last = tokens[-1]
    if isinstance(holder, list):
        if name == "add":
            at = len(holder) if last == "-" else _index(last, len(holder) + 1, path)
            holder.insert(at, step["value"])
            return document
        at = _index(last, len(holder), path)
        if name == "remove":
            del holder[at]
        else:
            holder[at] = step["value"]
    elif isinstance(holder, dict):
        if name != "add" and last not in holder:
            raise _missing(path)
        if name == "remove":
            del holder[last]
        else:
            holder[last] = step["value"]
    else:
        raise _missing(path)
    return document


def _owned(value: Any, own: dict[int, Any]) -> Any:
    """The container itself if it is one of ours, else a copy that is. Scalars have nothing to own."""
    if id(value) in own or not isinstance(value, (dict, list)):
        return value
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    own[id(copied)] = copied
    return copied


def _inverted(document: Any, step: dict[str, Any]) -> dict[str, Any]:
    """The one operation that takes `step` back."""
    name, path = step["op"], step["path"]
    tokens = pointer.split(path)
    if not tokens:
        return {"op": "replace", "path": "", "value": document}
    holder = _get(document, pointer.join(tokens[:-1]))
    last = tokens[-1]
    if name == "add":
        if isinstance(holder, dict) and last in holder:
            return {"op": "replace", "path": path, "value": holder[last]}
        if isinstance(holder, list) and last == "-":
            return {"op": "remove", "path": pointer.join([*tokens[:-1], len(holder)])}
        return {"op": "remove", "path": path}
    value = _child(holder, last, path)
    return {"op": "add" if name == "remove" else "replace", "path": path, "value": value}
