"""The mark `unchecked`: one test's reasons for what its apps leave behind."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

_EXAMPLE = '@pytest.mark.unchecked("sockets", reason="why")'


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", 'unchecked(*checks, reason): in this test these checks of supervise are switched off: "sockets", …'
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Switch the checks off while the test runs."""
    unchecked: dict[str, str] = {}
    for mark in item.iter_markers("unchecked"):
        if not mark.args or set(mark.kwargs) - {"reason"}:
            pytest.fail(f"a mark names checks and a reason: {_EXAMPLE}", pytrace=False)
        unchecked |= dict.fromkeys(mark.args, mark.kwargs.get("reason", ""))
    if not unchecked:
        return (yield)
    from supervisor.testing.checks import check_unchecked, unchecked_in_test

    try:
        check_unchecked(unchecked)
    except ValueError as error:
        pytest.fail(f"{error}: {_EXAMPLE}", pytrace=False)
    with unchecked_in_test(unchecked):
        return (yield)
