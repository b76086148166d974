"""The plugin's part for whole apps: the fixture `supervise`, on virtual time, or over real sockets by an option."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import trio

    from supervisor.testing.app import RunningApp

_OPTION = "--supervisor-transport"
_CLOCKS = {"autojump_clock", "mock_clock"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("supervisor").addoption(
        _OPTION,
        choices=("memory", "tcp"),
        default="memory",
        help="what the fixture supervise connects clients by: streams in memory and virtual time (the default), or "
        "sockets on loopback and real time",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line(
        "markers", f"virtual_time(reason): the test needs virtual time, and is skipped under {_OPTION}=tcp"
    )


@pytest.fixture(scope="session")
def supervise(request: pytest.FixtureRequest) -> Callable[..., AbstractAsyncContextManager[RunningApp]]:
    """See `supervisor.testing.supervise`. The clock jumps whenever all tasks wait, so no test waits for real time."""
    from supervisor.testing.harness import supervise as open_app

    if _is_virtual(request.config):
        return open_app
    return functools.partial(open_app, transport="tcp")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Give each test that uses `supervise`, be it through other fixtures, the clock that it is meant to have.

    A fixture can't do this by asking for a clock: pytest-trio looks for one among the test's own arguments only. A test
    that has one there keeps it.
    """
    for item in items:
        if "supervise" not in getattr(item, "fixturenames", ()):
            continue
        if _is_virtual(config):
            _give_virtual_time(item)
        else:
            _give_real_time(item)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse an async test that pytest-trio doesn't run."""
    if "supervise" not in getattr(item, "fixturenames", ()) or not _is_async(item):
        return
    if item.get_closest_marker("asyncio") is not None:
        pytest.fail(
            "this test uses supervise, which needs trio, but has the mark asyncio: take it away, or set "
            "asyncio_mode = strict if that gave it to all async tests",
            pytrace=False,
        )
    if not item.config.pluginmanager.hasplugin("trio"):
        pytest.fail("supervise needs pytest-trio: pip install 'session-supervisor[testing]'", pytrace=False)


def _is_async(item: Any) -> bool:
    return inspect.iscoroutinefunction(getattr(item, "obj", None))


def _is_virtual(config: pytest.Config) -> bool:
    return bool(config.getoption(_OPTION) == "memory")


def _give_virtual_time(item: Any) -> None:
    function: Any = getattr(item, "obj", None)
    if inspect.iscoroutinefunction(function):
        item.add_marker(pytest.mark.trio(run=_run))
    elif _has_async_examples(function):
        item.add_marker(pytest.mark.trio)
        # pytest-trio would run each example with trio.run, whatever the marker says; what has this attribute it
        # takes for wrapped.
        function.hypothesis.inner_test = _one_example(function.hypothesis.inner_test)


def _has_async_examples(function: Any) -> bool:
    examples = getattr(function, "hypothesis", None)
    return examples is not None and inspect.iscoroutinefunction(examples.inner_test)


def _one_example(test: Callable[..., Awaitable[Any]]) -> Callable[..., None]:
    import trio

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        clock = next((each for each in kwargs.values() if isinstance(each, trio.abc.Clock)), None)
        _run(functools.partial(test, *args, **kwargs), clock=clock)

    run._trio_test_runner_wrapped = True  # type: ignore[attr-defined]
    del run.__wrapped__  # inspect would find a coroutine function through it
    return run


def _give_real_time(item: Any) -> None:
    """And skip it, if it needs the other."""
    function: Any = getattr(item, "obj", None)
    if inspect.iscoroutinefunction(function) or _has_async_examples(function):
        item.add_marker(pytest.mark.trio)
    marker = item.get_closest_marker("virtual_time")
    clocks = _CLOCKS.intersection(getattr(item, "fixturenames", ()))
    if marker is not None:
        item.add_marker(pytest.mark.skip(reason=f"needs virtual time: {_reason(marker)}"))
    elif clocks:
        item.add_marker(pytest.mark.skip(reason=f"needs virtual time: it has the fixture {min(clocks)}"))


def _reason(marker: pytest.Mark) -> str:
    reasons = [*marker.args, *marker.kwargs.values()]
    return str(reasons[0]) if reasons else "its marker doesn't say why"


def _run(
    func: Callable[[], Awaitable[Any]],
    *,
    clock: trio.abc.Clock | None = None,
    instruments: Iterable[trio.abc.Instrument] = (),
) -> Any:
    import trio.testing

    clock = clock or trio.testing.MockClock(autojump_threshold=0)
    return trio.run(func, clock=clock, instruments=list(instruments))
