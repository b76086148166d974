"""Strategies for hypothesis: JSON values, documents, patches that fit a document, and the behaviour of clients.

    @given(behaviours(sends={"Watch": {"symbol": st.sampled_from(["ACME", "GLOBEX"])}}))
    async def test_everybody_ends_with_the_servers_document(supervise, behaviour):
        async with supervise("ticker") as app:
            await perform(app, behaviour)

They need hypothesis, which only this module of the kit imports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from supervisor.document import patch, pointer
from supervisor.testing import behaviour as commands
from supervisor.testing.behaviour import Command

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    raise ImportError("supervisor.testing.strategies needs hypothesis: pip install hypothesis") from error

_KEYS = st.sampled_from(["a", "b", "", "0", "1", "-", "~/", "é"])
"""Only a few, so that paths collide; some look like indexes, some must be escaped in paths."""

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)


def json_values(*, keys: SearchStrategy[str] = _KEYS, max_leaves: int = 8) -> SearchStrategy[Any]:
    """All values that a document may hold, as a JSON decoder returns them. Shrinks to None."""
    return st.recursive(
        _SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=max_leaves,
    )


def documents(*, keys: SearchStrategy[str] = _KEYS, max_leaves: int = 8) -> SearchStrategy[dict[str, Any]]:
    """Whole documents: dicts of JSON values. Shrinks to {}."""
    return st.dictionaries(keys, json_values(keys=keys, max_leaves=max_leaves), max_size=4)


@st.composite
def patches(
    draw: st.DrawFn,
    document: Mapping[str, Any],
    *,
    values: SearchStrategy[Any] | None = None,
    keys: SearchStrategy[str] = _KEYS,
    max_size: int = 5,
) -> list[dict[str, Any]]:
    """JSON Patches (RFC 6902) that fit this document, with the operations that transactions make.

    Each operation fits what those before it leave: `add` of a new key or into a list, `replace` and `remove` of an
    existing value, and `replace` of the whole document at the path "". Shrinks to [].

        [{"op": "add", "path": "/a/0", "value": 1}, {"op": "remove", "path": "/b"}]
    """
    values = json_values(keys=keys) if values is None else values
    changed: Any = document
    operations: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, max_size))):
        path, container = draw(st.sampled_from([("", None), *_containers(changed)]))
        operation: dict[str, Any]
        if container is None:
            operation = {"op": "replace", "path": "", "value": draw(documents(keys=keys, max_leaves=4))}
        else:
            step: Any
            if isinstance(container, list):
                op = draw(st.sampled_from(["add", "replace", "remove"] if container else ["add"]))
                step = draw(st.integers(0, len(container) - (op != "add")))
            else:
                step = draw(keys | st.sampled_from(list(container)) if container else keys)
                op = draw(st.sampled_from(["replace", "remove"])) if step in container else "add"
            operation = {"op": op, "path": f"{path}/{pointer.escape(str(step))}"}
            if op != "remove":
                operation["value"] = draw(values)
        changed = patch.apply(changed, [operation])
        operations.append(operation)
    return operations


def _containers(value: Any, path: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict | list):
        found.append((path, value))
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found += _containers(item, f"{path}/{pointer.escape(str(key))}")
    return found


def behaviours(
    *,
    sends: Mapping[str, Mapping[str, SearchStrategy[Any]]] | None = None,
    edits: Mapping[str, SearchStrategy[Any]] | None = None,
    clients: int = 3,
    max_size: int = 20,
) -> SearchStrategy[list[Command]]:
    """What clients of one session do, for `perform()`: lists of commands, each of which makes sense after the others.

    Shrinks to [], and towards few commands by few clients; the result reads like a story:

        [Connect(client=0), Send(client=0, name='Watch', fields={'symbol': 'ACME'}), Drop(client=0)]

    Args:
        sends: messages by name, each with strategies for its fields.
        edits: strategies for values, by the path to write to; a path that ends with "/-" inserts an item.
        clients: the highest number of clients.
        max_size: the highest number of commands.
    """
    client = st.integers(0, clients - 1)
    kinds: list[SearchStrategy[Command]] = [
        st.builds(commands.Connect, client=client),
        st.builds(commands.Pause, seconds=st.sampled_from([0.0, 0.1, 1.0, 10.0, 60.0])),
        st.builds(commands.Drop, client=client, code=st.sampled_from([None, 1001])),
        st.builds(commands.Stall, client=client),
        st.builds(commands.Resume, client=client),
        st.builds(commands.Reconnect, client=client),
        st.builds(commands.Close, client=client),
    ]
    for name, fields in (sends or {}).items():
        kinds.insert(
            1, st.builds(commands.Send, client=client, name=st.just(name), fields=st.fixed_dictionaries(dict(fields)))
        )
    for path, value in (edits or {}).items():
        kinds.insert(1, st.builds(commands.Edit, client=client, path=st.just(path), value=value))
    return st.lists(st.one_of(kinds), max_size=max_size).map(sensible)


def sensible(behaviour: Sequence[Command]) -> list[Command]:
    """The commands that make sense in their place: a client acts once it is connected, and resumes after a stall."""
    states: dict[int, str] = {}
    kept: list[Command] = []
    for command in behaviour:
        if isinstance(command, commands.Pause):
            kept.append(command)
            continue
        state = states.get(command.client, "away")
        following = _FOLLOWING.get((type(command), state))
        if following is not None:
            states[command.client] = following
            kept.append(command)
    return kept


# The state of a client after a command, by the state before it; other combinations make no sense.
_FOLLOWING: dict[tuple[type, str], str] = {
    (commands.Connect, "away"): "live",
    **{(kind, state): state for kind in (commands.Send, commands.Edit) for state in ("live", "stalled", "dropped")},
    (commands.Drop, "live"): "dropped",
    (commands.Drop, "stalled"): "dropped",
    (commands.Stall, "live"): "stalled",
    (commands.Resume, "stalled"): "live",
    **{(commands.Reconnect, state): "live" for state in ("live", "stalled", "dropped")},
    **{(commands.Close, state): "away" for state in ("live", "stalled", "dropped")},
}
