"""The pytest plugin: the fixture `supervise`, which runs on virtual time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
import trio.testing

from supervisor.testing.app import RunningApp
from supervisor.testing.harness import supervise as open_app


@pytest.fixture
def supervise() -> Callable[..., AbstractAsyncContextManager[RunningApp]]:
    """See `supervisor.testing.supervise`. The clock jumps whenever all tasks wait, so no test waits for real time."""
    return open_app


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Give each test that uses `supervise`, be it through other fixtures, a clock that jumps.

    A fixture can't do this by asking for a clock: pytest-trio looks for one among the test's own arguments only. A test
    that has one there keeps it.
    """
    for item in items:
        if "supervise" in getattr(item, "fixturenames", ()) and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=_run))


def _run(
    func: Callable[[], Awaitable[Any]],
    *,
    clock: trio.abc.Clock | None = None,
    instruments: Iterable[trio.abc.Instrument] = (),
) -> Any:
    clock = clock or trio.testing.MockClock(autojump_threshold=0)
    return trio.run(func, clock=clock, instruments=list(instruments))
