"""The scenarios, by theme; a file's scenarios are the module's names that hold a `Scenario`."""

from __future__ import annotations

from types import ModuleType

from ..scenario import Scenario
from . import (
    connections,
    edits,
    ends,
    handlers,
    hooks,
    hostile,
    later,
    mailboxes,
    mixed,
    processes,
    slow,
    tokens,
    tools,
)

_MODULES: tuple[ModuleType, ...] = (
    connections,
    slow,
    hostile,
    tokens,
    handlers,
    hooks,
    ends,
    mailboxes,
    edits,
    mixed,
    processes,
    later,
    tools,
)


def all_scenarios() -> dict[str, Scenario]:
    """Every scenario by its name, in the order in which they are played."""
    found = [each for module in _MODULES for each in vars(module).values() if isinstance(each, Scenario)]
    return {each.name: each for each in found}
