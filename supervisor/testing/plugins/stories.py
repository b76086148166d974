"""A failed test's report says what its sessions went through, also where it failed outside of a block of `supervise`.

An exception that leaves such a block has the stories as a note. One that is raised after it, or around it, as where the
block is a fixture's, has none: then they are a section of the report, beside captured output.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from supervisor.testing.stories import StoryBook, current, is_told

_BOOKS = pytest.StashKey[list[StoryBook]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Collect the stories of the blocks that the test opens."""
    books = item.stash[_BOOKS] = []
    token = current.set(books)
    try:
        return (yield)
    finally:
        current.reset(token)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show them, if the test has failed and its exception doesn't."""
    report = yield
    books = item.stash.get(_BOOKS, [])
    if call.when == "call":
        item.stash[_BOOKS] = []
        if report.failed and call.excinfo is not None and not is_told(call.excinfo.value):
            text = "\n".join(filter(None, (book.involved((), call.excinfo.value) for book in books)))
            if text:
                report.sections.append(("stories", text))
    return report
