"""What clients may edit, as the server's patterns say it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from supervisor.protocol.pointer import split

EditAction = Literal["edit", "insert", "remove"]
"""The methods of `ClientSession` by which a client edits."""


def allows(patterns: Iterable[str], path: str, action: EditAction) -> bool:
    """Whether one of the patterns, JSON Pointers in which `*` stands for any one step, lets clients do this at a place.

    Raises:
        ValueError: the path is not a JSON Pointer, or there is no such action

    """
    if action not in get_args(EditAction):
        raise ValueError(f"an action must be 'edit', 'insert' or 'remove', not {action!r}")
    place = split(path)
    return any(_allows(split(pattern), place, action) for pattern in patterns)


def _allows(steps: tuple[str, ...], place: tuple[str, ...], action: EditAction) -> bool:
    if len(steps) > len(place) or any(step not in ("*", key) for step, key in zip(steps, place, strict=False)):
        return False
    # What stands at a place that is named alone is not to be taken away: an app relies on it.
    return action == "edit" or len(steps) < len(place) or steps[-1:] == ("*",)
