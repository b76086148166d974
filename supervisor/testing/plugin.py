"""The pytest plugin: the fixture `supervise`, which runs on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio.testing

from supervisor.testing.harness import RunningApp
from supervisor.testing.harness import supervise as open_app


@pytest.fixture
def supervise(autojump_clock: trio.testing.MockClock) -> Callable[..., AbstractAsyncContextManager[RunningApp]]:
    """See `supervisor.testing.supervise`. The clock jumps whenever all tasks wait, so no test waits for real time."""
    return open_app
