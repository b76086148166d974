"""What a failed test never awaited is reported with its failure, and released there.

Essay: who is blamed. A failure's traceback keeps the test's frames, and all that they hold, until pytest forgets it in
the middle of some later test. A coroutine among them would be dropped then, and a block of `supervise` that is open
there finds it, and accuses the wrong test. So the frames are looked through at once; what has not begun is closed,
which ends it without a word, and its name becomes a note of the failure, whose cause it often is.

Only tests that trio runs are looked at: elsewhere, as in asyncio, a coroutine that has not begun may be somebody's
still.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Generator, Iterator
from types import CoroutineType
from typing import Any

import pytest

from supervisor.application.source import is_own


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Look through a failure's frames."""
    try:
        return (yield)
    except BaseException as error:
        if item.get_closest_marker("trio") is not None:
            names = list(dict.fromkeys(_let_go(error, set())))
            if names:
                from supervisor.actor.unawaited import unawaited

                error.add_note(str(unawaited(names)))
        raise


def _let_go(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    """Close what was never awaited in its frames, and in those of all that it comes from; their names."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if is_own(frame.f_code.co_filename):
            for value in frame.f_locals.values():
                for coroutine in _coroutines_in(value):
                    coroutine.close()
                    yield coroutine.__qualname__
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for each in (error.__cause__, error.__context__, *inner):
        yield from _let_go(each, seen)


def _coroutines_in(value: object) -> Iterator[CoroutineType[Any, Any, Any]]:
    for each in value if type(value) in (list, tuple, set) else (value,):  # type: ignore[attr-defined]  # they iterate
        if isinstance(each, CoroutineType) and inspect.getcoroutinestate(each) == inspect.CORO_CREATED:
            yield each
