"""What a failed test never awaited is reported with its failure, and released there.

Essay: who is blamed. A failure's traceback keeps the test's frames, and all that they hold, until pytest forgets it in
the middle of some later test. Hypothesis keeps those of all examples that have failed. A coroutine among them would be
dropped then, and a block of `supervise` that is open there finds it, and accuses the wrong test. So the frames are
looked through at once; what has not begun is closed, which ends it without a word, and its name becomes a note of the
failure, whose cause it often is.

Only tests that trio runs are looked at: elsewhere, as in asyncio, a coroutine that has not begun may be somebody's
still.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from types import CoroutineType
from typing import Any

import pytest

from supervisor.application.source import is_own
from supervisor.testing.plugins.failures import all_of


@pytest.hookimpl(wrapper=True, trylast=True)  # inside of pytest-trio's, which makes a plain function of the test
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Look through a failure's frames; of hypothesis's tests, through those of each example that fails."""
    if item.get_closest_marker("trio") is None:
        return (yield)
    examples = getattr(getattr(item, "obj", None), "hypothesis", None)
    if examples is None:
        with _looking():
            return (yield)
    test = examples.inner_test
    examples.inner_test = _looking()(test)
    try:
        return (yield)
    finally:
        examples.inner_test = test


@contextmanager
def _looking() -> Iterator[None]:
    """Around what may fail."""
    try:
        yield
    except BaseException as error:
        names = list(dict.fromkeys(_let_go(error)))
        if names:
            from supervisor.actor.unawaited import unawaited

            error.add_note(str(unawaited(names)))
        raise


def _let_go(error: BaseException) -> Iterator[str]:
    """Close what was never awaited in its frames, and in those of all that it comes from; their names."""
    for each in all_of(error):
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if is_own(frame.f_code.co_filename):
                for coroutine in _coroutines_in(frame.f_locals.values()):
                    coroutine.close()
                    yield coroutine.__qualname__


def _coroutines_in(values: Iterable[object]) -> Iterator[CoroutineType[Any, Any, Any]]:
    """Those that have not begun: among the values, in lists, tuples and sets, and among arguments of the others."""
    for value in values:
        # A list of its own, as a thread may still change a set.
        for each in list(value) if type(value) in (list, tuple, set) else (value,):  # type: ignore[call-overload]
            # By the type alone: `isinstance` asks an object for its class, and one of the test's may raise then.
            if type(each) is CoroutineType and inspect.getcoroutinestate(each) == inspect.CORO_CREATED:
                yield from _coroutines_in(inspect.getcoroutinelocals(each).values())
                yield each
