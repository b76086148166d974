"""A failed test shows its own lines and its app's: no group that pytest-trio made, and nothing of how the kit works.

pytest shows a group as plain text, without the values that an `assert` compared; and of what the kit raises it would
show the kit's source. `--full-trace` shows all frames.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from supervisor.application.source import is_own

_OURS = str(Path(__file__).parents[2]) + os.sep


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Raise the one exception in pytest-trio's group; a group that the test itself raised stays what it is."""
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Leave out frames of ours, but for those who work on this package."""
    config = item.config
    if call.excinfo is not None and not config.option.fulltrace and not _is_checkout(config.rootpath):
        for each in all_of(call.excinfo.value):
            each.__traceback__ = _without_ours(each.__traceback__)
    return (yield)


def all_of(error: BaseException) -> list[BaseException]:
    """The error, and all that it comes from or holds: causes, what was being handled, parts of groups; each once."""
    found = {id(error): error}
    following = [error]
    while following:
        each = following.pop()
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        for other in (each.__cause__, each.__context__, *inner):
            if other is not None and id(other) not in found:
                found[id(other)] = other
                following.append(other)
    return list(found.values())


def _is_checkout(root: Path) -> bool:
    return root == Path(_OURS).parent


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """The same one without frames of ours, and of libraries that these called."""
    kept: list[TracebackType] = []
    is_ours = False
    part = traceback
    while part is not None:
        file, following = part.tb_frame.f_code.co_filename, part.tb_next
        is_ours = _is_ours(part) or (is_ours and not is_own(file))
        leads_to_ours = file == contextlib.__file__ and _is_ours(following)
        if not (is_ours or leads_to_ours):
            kept.append(part)
        part = following
    for part, following in itertools.zip_longest(kept, kept[1:]):
        part.tb_next = following
    return kept[0] if kept else None


def _is_ours(part: TracebackType | None) -> bool:
    return part is not None and part.tb_frame.f_code.co_filename.startswith(_OURS)
