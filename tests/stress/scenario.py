"""One scenario of the suite: its name, what must hold, and the function that plays it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .stage import Stage

TIMEOUT = 60.0
"""Seconds that a scenario may take in a short run: far more than any needs, so that one that hangs is seen."""


@attrs.frozen
class Scenario:
    name: str
    summary: str
    """What must hold, for `--list`."""
    play: Callable[[Stage], Awaitable[None]]
    quick: bool = False
    """Played against the server with short deadlines of the wire."""
    own_server: bool = False
    """Played against a server of its own, which it may end."""
    long_only: bool = False
    needs: str = ""
    """A name that `supervisor` must have, or `name(keyword)`; else the scenario is skipped."""
    timeout: float = TIMEOUT


def scenario(
    *, quick: bool = False, own_server: bool = False, long_only: bool = False, needs: str = "", timeout: float = TIMEOUT
) -> Callable[[Callable[[Stage], Awaitable[None]]], Scenario]:
    """Make a scenario of a function; its name and the first line of its docstring become the scenario's."""

    def make(play: Callable[[Stage], Awaitable[None]]) -> Scenario:
        summary = (play.__doc__ or "").strip().partition("\n")[0]
        return Scenario(play.__name__, summary, play, quick, own_server, long_only, needs, timeout)

    return make
