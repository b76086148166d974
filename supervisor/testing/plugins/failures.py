"""A failed test of trio shows what it raised, with its lines, and not the group that pytest-trio's nursery made of it.

pytest shows a group as plain text: without the values that an `assert` compared, and with every frame that is meant to
be hidden; `--pdb` would stop in trio.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Raise the one exception in the group; a group that the test itself raised stays what it is."""
    if item.get_closest_marker("trio") is None:
        return (yield)
    try:
        return (yield)
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        (failure,) = group.exceptions
        for note in getattr(group, "__notes__", ()):  # as hypothesis adds them
            failure.add_note(note)
    raise failure  # out here, where its context stays its own
