"""Examples of hypothesis that run a whole app have no deadline, unless their author gave them one.

Hypothesis allows an example 200 ms, and reports a test as flaky whose first run was slower than its second. That counts
real time, of which a test on virtual time says nothing: the first example loads the app, and a busy machine is slow.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

HYPOTHESIS_OWN = timedelta(milliseconds=200)
"""What hypothesis takes if nobody says anything. Another one, in `@settings` or a profile, is the author's."""


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Take the deadline away from tests that have the fixture `supervise`, or are marked with `schedules`."""
    for item in items:
        if "supervise" in getattr(item, "fixturenames", ()) or item.get_closest_marker("schedules") is not None:
            _take_away(getattr(item, "obj", None))


def _take_away(test: Any) -> None:
    test = getattr(test, "__func__", test)  # a method's attributes are set on its function
    # The name is hypothesis' own; its pytest plugin sets a test's settings by it too.
    given = getattr(test, "_hypothesis_internal_use_settings", None)
    if given is None or given.deadline != HYPOTHESIS_OWN:
        return
    from hypothesis import settings

    test._hypothesis_internal_use_settings = settings(given, deadline=None)
