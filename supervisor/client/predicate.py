"""Predicates: plain functions of the caller's that are called again and again until they return true. Pure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def plain_predicate(predicate: Callable[[Any], object], example: str) -> Callable[[Any], object]:
    """The same predicate, except that it rejects an awaitable as a result, since that counts as true.

    `example` shows the right use: 'until(lambda data: data["n"] == 1)'. The returned function raises `TypeError` for an
    awaitable, as from a lambda that calls an `async` function, and whatever the predicate raises.

    Raises:
        TypeError: it is not a function of one argument; or it is `async`, or contains a yield.
    """
    given: object = predicate
    if not callable(given):
        if inspect.iscoroutine(given):
            given.close()
        hint = "; it is asked again whenever there is news" if isinstance(given, bool) else ""
        raise TypeError(f"a predicate must be a function, as in {example}, not {given!r}{hint}")
    called = predicate if inspect.isroutine(predicate) else getattr(predicate, "__call__", predicate)  # noqa: B004 (for what it is)
    for each in (predicate, called):
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            raise _error(predicate, "is async, and nothing awaits its result", example)
        if inspect.isgeneratorfunction(each):
            raise _error(predicate, "contains a yield, so calling it runs none of its code", example)
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
            raise _error(predicate, "returned an awaitable, and nothing awaits it", example)
        return answer

    return ask


def _error(predicate: object, what: str, example: str) -> TypeError:
    name = getattr(predicate, "__qualname__", repr(predicate))
    return TypeError(f"a predicate must be a plain function, as in {example}; {name} {what}")
