"""`@pytest.mark.schedules(200)`: a test runs under so many task orders, and what fails is replayed by its seed."""

from __future__ import annotations

import argparse
import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_SEED = "_schedule_seed"
"""The parameter that makes one test of each order. No fixture has this name, and no test needs to ask for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--schedules` and `--schedule-seed`."""
    group = parser.getgroup("supervisor")
    group.addoption(
        "--schedules",
        type=_count,
        metavar="N",
        help="run each test that is marked with schedules under N task orders, whatever its marker says",
    )
    group.addoption(
        "--schedule-seed",
        type=int,
        metavar="SEED",
        help="run each test that is marked with schedules once, under the task order of this seed",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker."""
    config.addinivalue_line(
        "markers", "schedules(number): run an async test under this number of task orders, each decided by its seed"
    )


@pytest.hookimpl(trylast=True)  # the seed stands last in a test's id
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each order, so that each has its own fixtures, its own report, and its place in xdist's plan."""
    marker = metafunc.definition.get_closest_marker("schedules")
    if marker is None:
        return
    name = metafunc.definition.name
    if not inspect.iscoroutinefunction(_innermost(metafunc.function)):
        pytest.fail(
            f"{name} is marked with schedules, but is not an async test: it has no tasks to order", pytrace=False
        )
    match marker.args, marker.kwargs:
        case (int(number),), {} if number >= 1 and not isinstance(number, bool) and not marker.kwargs:
            pass
        case _:
            given = ", ".join([*map(repr, marker.args), *(f"{key}={value!r}" for key, value in marker.kwargs.items())])
            pytest.fail(
                f"{name} is marked with schedules({given}): say how many task orders it is to run under, "
                "as in schedules(200)",
                pytrace=False,
            )
    seed = metafunc.config.getoption("--schedule-seed")
    seeds = range(metafunc.config.getoption("--schedules") or number) if seed is None else [seed]
    metafunc.fixturenames.append(_SEED)
    metafunc.parametrize(_SEED, seeds, ids=[f"seed={seed}" for seed in seeds])


@pytest.hookimpl(wrapper=True, trylast=True)  # inside of pytest-trio's, which makes a plain function of the test
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Set the order around `trio.run()`: of hypothesis's tests, around that of each example."""
    seed = _seed_of(item)
    if seed is None:
        return (yield)
    assert isinstance(item, pytest.Function)
    # Hypothesis seeds trio's chance anew for each example; so what is run in there must be what is wrapped.
    holder, name = (item.obj.hypothesis, "inner_test") if hasattr(item.obj, "hypothesis") else (item, "obj")
    test = getattr(holder, name)
    if not getattr(test, "_trio_test_runner_wrapped", False):  # pytest-trio's sign
        pytest.fail("a test that is marked with schedules must be run by trio: mark it with trio too", pytrace=False)
    setattr(holder, name, _ordered(test, seed))
    try:
        return (yield)
    finally:
        setattr(holder, name, test)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the report how the order is replayed."""
    report = yield
    seed = _seed_of(item)
    if seed is not None and report.when == "call":
        report._schedule_seed = seed  # type: ignore[attr-defined]  # xdist sends it along
        if report.failed:
            report.sections.append(("task order", f"--schedule-seed={seed} replays it"))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end, for each test that failed under some orders, under how many, and how the first is replayed."""
    passed, failed = (_by_test(terminalreporter.getreports(outcome)) for outcome in ("passed", "failed"))
    if failed:
        terminalreporter.section("task orders")
    for test, ids in failed.items():
        total = len(ids) + len(passed.get(test, ()))
        seed = min(ids)
        terminalreporter.line(f"{test} failed under {len(ids)} of {total} task orders; this replays the first:")
        terminalreporter.line(f"    pytest '{ids[seed]}' --schedule-seed={seed}")


def _by_test(reports: list[Any]) -> dict[str, dict[int, str]]:
    """The ids of a test's runs, by their seeds; of a test with parameters, those of each."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for report in reports:
        if (seed := getattr(report, "_schedule_seed", None)) is not None:
            test = report.nodeid.removesuffix(f"seed={seed}]").rstrip("[-")
            found[test if "[" not in test else f"{test}]"][seed] = report.nodeid
    return found


def _seed_of(item: pytest.Item) -> int | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get(_SEED)


def _innermost(test: Any) -> Any:
    return test.hypothesis.inner_test if hasattr(test, "hypothesis") else test


def _ordered(test: Callable[..., Any], seed: int) -> Callable[..., Any]:
    from supervisor.testing.schedules import task_order

    @functools.wraps(test)
    def ordered(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with task_order(seed), _fixtures_in_order():
            return test(*args, **kwargs)

    return ordered


@contextmanager
def _fixtures_in_order() -> Iterator[None]:
    """Start a test's async fixtures in the order of its arguments.

    pytest-trio starts a task for each, and waits for those who use it, in the order of sets, which is that of ids in
    memory: another one in each process. Here both are dicts; else this is its own method.
    """
    from pytest_trio.plugin import TrioFixture

    def register_and_collect_dependencies(self: Any) -> dict[Any, None]:
        found = {self: None}
        for value in self._pytest_kwargs.values():
            if isinstance(value, TrioFixture):
                value.user_done_events = {**dict.fromkeys(value.user_done_events), self._teardown_done: None}
                found |= value.register_and_collect_dependencies()
        return found

    before = TrioFixture.register_and_collect_dependencies
    TrioFixture.register_and_collect_dependencies = register_and_collect_dependencies
    try:
        yield
    finally:
        TrioFixture.register_and_collect_dependencies = before


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 1, not {text!r}")
    return int(text)
