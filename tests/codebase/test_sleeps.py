"""Tests wait for nothing: time is virtual, and order comes from events. What must wait is listed, with its reason.

A test fails here, or by itself, that waits for real time and isn't in `ALLOWED` of tests/sleeps.py. What to do instead:
the fixture `supervise` or `autojump_clock` for time that passes, a `trio.Event` or `wait_all_tasks_blocked()` for what
another task does, and a `threading.Event` for what a thread does. Tests in a browser and under stress are left out.
"""

import ast

import pytest
import trio

from ..sleeps import ALLOWED, TESTS, Noticed, place_of

FILES = [path for path in sorted(TESTS.rglob("*.py")) if place_of(path, "")]


def sleeps_of(file):
    """The functions of a file that name `time.sleep`. Sources in strings are those of other programs."""

    def walk(node, function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep":
            yield place_of(file, function)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function)

    return set(walk(ast.parse(file.read_text()), "<module>"))


def test_nobody_sleeps_without_a_reason():
    slept = {place for file in FILES for place in sleeps_of(file)}
    assert sorted(slept - ALLOWED.keys()) == [], "see the top of this file"


def test_every_reason_is_of_a_function_that_is_there():
    for place, reason in ALLOWED.items():
        file, _, function = place.partition("::")
        names = [node.name for node in ast.walk(ast.parse((TESTS / file).read_text())) if hasattr(node, "name")]
        assert function in names, f"{place} is gone: take it out"
        assert reason


@pytest.fixture
def noticed(monkeypatch):
    monkeypatch.setattr(trio, "sleep", trio.sleep)  # put back at the end
    monkeypatch.setattr(trio, "move_on_after", trio.move_on_after)
    monkeypatch.setitem(ALLOWED, HERE.replace("real", "allowed"), "for this test")
    noticed = Noticed()
    noticed.watch()
    return noticed


HERE = "codebase/test_sleeps.py::real"


async def real():
    await trio.sleep(0.001)


async def allowed():
    await trio.sleep(0.001)


async def moved_on():
    with trio.move_on_after(0.001):
        await trio.sleep_forever()
    with trio.move_on_after(1):
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("func", "found"), [(real, [HERE]), (allowed, []), (moved_on, ["codebase/test_sleeps.py::moved_on"])]
)
def test_what_waits_for_real_time_is_noticed(noticed, func, found):
    trio.run(func)
    assert noticed.take() == found
    assert noticed.take() == []


async def test_virtual_time_is_none(noticed, autojump_clock):
    await real()
    await moved_on()
    assert noticed.take() == []
