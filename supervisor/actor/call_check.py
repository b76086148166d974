"""Whether a function that an adder was given can be called, and does something then. Pure.

A mistake here would show later, where the function is called, and again each time: so it is refused at the door.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_callback(func: Callable[..., Any]) -> None:
    """Refuse what can't be called, or would do nothing.

    Raises:
        TypeError: it is not callable, or has a yield in it.
    """
    if not callable(func):
        raise TypeError(f"a callback must be callable, not {func!r}")
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            f"a callback that contains a yield would do nothing when called: {func!r}; "
            "remove the yield, or write `async def` and `await`"
        )


def check_arguments(func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Refuse arguments that the function doesn't take. It takes some 20 µs: not for what is added at a high rate.

    Raises:
        TypeError: it can't be called with them.
    """
    problem = call_problem(func, args)
    if problem is not None:
        signature, error = problem
        name = _name(func)
        needed = [
            each.name
            for each in signature.parameters.values()
            if each.kind in _POSITIONAL and each.default is each.empty
        ]
        raise TypeError(
            f"{name}{signature} can't be called with the arguments that it was added with: {error}; "
            f"write them after the function, as in add_callback({', '.join([name, *needed])})"
        )


def check_takes(func: Callable[..., Any], names: Sequence[str]) -> None:
    """Refuse a function that doesn't take as many arguments as the server calls it with.

    Raises:
        TypeError: it doesn't; the names are for who reads that.
    """
    problem = call_problem(func, tuple(names))
    if problem is not None:
        signature, error = problem
        raise TypeError(f"{_name(func)}{signature} is called with ({', '.join(names)}), which it can't be: {error}")


def call_problem(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[inspect.Signature, TypeError] | None:
    """The function's signature, and why it can't be called so; None if it can be, or if only a call will tell."""
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # some callables of C can't be inspected
        return None
    try:
        signature.bind(*args)
    except TypeError as error:
        return signature, error
    return None


def _name(func: Callable[..., Any]) -> str:
    return str(getattr(func, "__qualname__", repr(func)))
