"""Predicates: plain functions of the caller's that are asked again and again, until what they return is true. Pure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def plain_predicate(predicate: Callable[[Any], object], example: str) -> Callable[[Any], object]:
    """The predicate, but that an answer which would have to be awaited is refused, since it counts as true.

    `example` shows what can be asked: 'until(lambda data: data["n"] == 1)'. The one that is returned raises `TypeError`
    for such an answer, as of a lambda that calls an `async` function, and whatever the predicate raises.

    Raises:
        TypeError: it is no function of one argument; or it is `async`, or has a yield in it.
    """
    given: object = predicate
    if not callable(given):
        if inspect.iscoroutine(given):
            given.close()
        hint = "; it is asked again whenever there is news" if isinstance(given, bool) else ""
        raise TypeError(f"a predicate is a function, as in {example}, not {given!r}{hint}")
    called = predicate if inspect.isroutine(predicate) else getattr(predicate, "__call__", predicate)  # noqa: B004 (for what it is)
    for each in (predicate, called):
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            raise _error(predicate, "is async, and nobody awaits its answer", example)
        if inspect.isgeneratorfunction(each):
            raise _error(predicate, "has a yield in it, so that a call runs nothing of it", example)
    try:
        inspect.signature(predicate).bind(None)
    except ValueError:  # some callables of C can't be inspected; calling them will tell
        pass
    except TypeError:
        raise _error(predicate, "can't be called with one argument", example) from None

    @functools.wraps(predicate)
    def ask(subject: Any) -> object:
        answer = predicate(subject)
        if hasattr(answer, "__await__"):
            close = getattr(answer, "close", None)
            if close is not None:
                close()
            raise _error(predicate, "returned something to await, and nobody awaits its answer", example)
        return answer

    return ask


def _error(predicate: object, what: str, example: str) -> TypeError:
    name = getattr(predicate, "__qualname__", repr(predicate))
    return TypeError(f"a predicate is a plain function, as in {example}; {name} {what}")
