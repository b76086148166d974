"""Tests wait for nothing: time is virtual, and order comes from events. What must wait is listed, with its reason.

A test fails here, or by itself, that waits for real time and isn't in `ALLOWED` of tests/sleeps.py. What to do instead:
the fixture `supervise` or `autojump_clock` for time that passes, a `trio.Event` or `wait_all_tasks_blocked()` for what
another task does, and a `threading.Event` for what a thread does. Tests in a browser and under stress are left out.
"""

import ast
import subprocess

import pytest
import trio
import trio.lowlevel

from ..sleeps import ALLOWED, TESTS, Noticed, place_of

FILES = [path for path in sorted(TESTS.rglob("*.py")) if place_of(path, "")]


SLEEPS = {"time.sleep", "asyncio.sleep"}


def sleeps_of(place, text):
    """The functions in this text that name a sleep. Sources in strings are those of other programs."""

    def walk(node, function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        if isinstance(node, ast.Attribute) and ast.unparse(node) in SLEEPS:
            yield f"{place}{function}"
        # `event.wait(0.2)`: a short time is meant to pass, a long one is a test's deadline.
        given = node.args if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "wait" else ()
        if any(isinstance(each, ast.Constant) and isinstance(each.value, float) and each.value < 1 for each in given):
            yield f"{place}{function}"
        # Such a name would not be seen: neither here, nor by `Noticed`, which replaces attributes of modules.
        imported = node.names if isinstance(node, ast.ImportFrom) and node.module in ("time", "asyncio", "trio") else ()
        if any(alias.name.startswith(("sleep", "move_on", "fail_a")) for alias in imported):
            yield f"{place}{function}"
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function)

    return set(walk(ast.parse(text), "<module>"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import time\ntime.sleep(1)", {"<module>"}),
        ("def f():\n    run(time.sleep, 1)", {"f"}),
        ("async def f():\n    await asyncio.sleep(1)", {"f"}),
        ("def f():\n    event.wait(0.2)", {"f"}),
        ("event.wait(60)\nevent.wait()\nevent.wait(None)\nwait(0.5)", set()),
        ("from time import sleep", {"<module>"}),
        ("from trio import fail_after as soon", {"<module>"}),
        ("from trio import Event\nPROGRAM = 'time.sleep(1)'", set()),
    ],
)
def test_sleeps_are_found_in_sources(text, found):
    assert sleeps_of("", text) == found


def test_nobody_sleeps_without_a_reason():
    slept = {place for file in FILES for place in sleeps_of(place_of(file, ""), file.read_text())}
    assert sorted(slept - ALLOWED.keys()) == [], "see the top of this file"


def test_every_reason_is_of_a_function_that_is_there():
    for place, reason in ALLOWED.items():
        file, _, function = place.partition("::")
        names = [node.name for node in ast.walk(ast.parse((TESTS / file).read_text())) if hasattr(node, "name")]
        assert function in names, f"{place} is gone: take it out"
        assert reason


REPLACED = [
    (trio, ("sleep", "sleep_until", "move_on_after", "move_on_at", "fail_after", "fail_at")),
    (subprocess.Popen, ("wait",)),
]
HERE = "codebase/test_sleeps.py::"
SOON = 0.001


@pytest.fixture
def noticed(monkeypatch):
    for owner, names in REPLACED:
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))  # put back at the end
    noticed = Noticed()
    noticed.watch()
    return noticed


async def slept():
    await trio.sleep(SOON)


async def slept_until():
    await trio.sleep_until(trio.current_time() + SOON)


async def moved_on():
    with trio.move_on_after(SOON):
        await trio.sleep_forever()
    with trio.move_on_at(trio.current_time() + SOON):
        await trio.sleep_forever()


async def failed_after():
    with pytest.raises(trio.TooSlowError), trio.fail_after(SOON):
        await trio.sleep_forever()


async def failed_at():
    with pytest.raises(trio.TooSlowError), trio.fail_at(trio.current_time() + SOON):
        await trio.sleep_forever()


async def process_that_goes_on():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:  # noqa: ASYNC220 (it returns at once)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(SOON)


async def what_came_in_time():
    with trio.move_on_after(1), trio.fail_after(1):
        await trio.lowlevel.checkpoint()
        await trio.sleep_until(trio.current_time() - 1)
    with trio.move_on_after(0), trio.move_on_at(trio.current_time()):
        await trio.sleep_forever()
    with pytest.raises(trio.TooSlowError), trio.fail_after(0):
        await trio.sleep_forever()


WAITS = [slept, slept_until, moved_on, failed_after, failed_at, process_that_goes_on]


@pytest.mark.parametrize("func", WAITS)
def test_what_waits_for_real_time_is_noticed(noticed, func):
    trio.run(func)
    assert noticed.take() == [HERE + func.__name__]
    assert noticed.take() == []


def test_what_need_not_wait_or_may_is_not(noticed, monkeypatch):
    trio.run(what_came_in_time)
    monkeypatch.setitem(ALLOWED, f"{HERE}slept", "for this test")
    trio.run(slept)
    assert noticed.take() == []


async def test_virtual_time_is_none(noticed, autojump_clock):
    for func in WAITS[:5]:
        await func()
    assert noticed.take() == []
