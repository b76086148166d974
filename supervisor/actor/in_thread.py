"""The mark of functions that run in a worker thread, and what is called instead of them. Pure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Protocol, TypeVar

from supervisor.limits import check_whether

F = TypeVar("F", bound=Callable[..., Any])
Run = Callable[[Callable[..., Any], tuple[Any, ...]], Any]
"""Run(func, args): begins to call the function in a thread; what it returns must be awaited."""


class Prepare(Protocol):
    """Says what is called in place of a function that an adder was given: `threaded()`, or a test's own."""

    def __call__(self, func: Callable[..., Any], run: Run | None, *, thread: bool = False) -> Callable[..., Any]:
        """See `threaded()`."""


_MARK = "__supervisor_in_thread__"


def in_thread(func: F) -> F:
    """Mark a plain function that blocks: it runs in a worker thread, and the server goes on meanwhile.

    For functions that the server finds by their names: hooks and `modify_document`. For functions that you hand over,
    say `thread=True`: `@receives(Query, thread=True)`, `doc.add_periodic_callback(func, seconds=5, thread=True)`.

    The session's document is lent to the thread, which holds it as a task would: order and transaction are the same,
    and the session handles nothing else meanwhile. The thread can't make other calls that change something in the
    server; they go through `app_context.call_from_thread(func, *args)`.

    Raises:
        TypeError: the function is `async`, or has a yield in it.
    """
    check_plain(func)
    setattr(func, _MARK, True)
    return func


def is_marked(func: object) -> bool:
    """Whether it is marked with `@in_thread`."""
    return getattr(func, _MARK, False) is True  # some objects answer to every name


def begins_thread(func: F) -> F:
    """Take the mark off what calls a marked function in a thread by itself, and has its attributes; returns it."""
    if is_marked(func):
        setattr(func, _MARK, False)
    return func


def check_plain(func: Callable[..., Any]) -> None:
    """Refuse what a thread can't run.

    Raises:
        TypeError: it is `async`, or has a yield in it.
    """
    called = func if inspect.isroutine(func) else getattr(func, "__call__", func)  # noqa: B004 (for what it is)
    for each in (func, called):
        kind = (
            "async"
            if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
            else "a generator function"
            if inspect.isgeneratorfunction(each)
            else None
        )
        if kind is not None:
            name = getattr(func, "__qualname__", repr(func))
            raise TypeError(
                f"a worker thread calls plain functions, but {name} is {kind}; write `def` without await, or leave "
                "the thread out: an async function that awaits blocks nobody"
            )


def threaded(func: Callable[..., Any], run: Run | None, *, thread: bool = False) -> Callable[..., Any]:
    """What is called in place of `func`: itself, unless it is for a thread, by its mark or by `thread`.

    Without `run` there is no thread for it, whatever its mark.

    Raises:
        TypeError: it is for a thread, and can't be called in one; it is a coroutine, which nothing would await; or
            `thread` is neither True nor False.
    """
    check_whether("thread", thread)
    given: object = func
    if isinstance(given, CoroutineType):
        given.close()
        name = given.__qualname__
        raise TypeError(f"a callback is a function, and its arguments come after it: write {name}, not {name}(…)")
    if run is None or not callable(func) or not (thread or is_marked(func)):
        return func
    check_plain(func)

    @functools.wraps(func)
    def begin(*args: Any) -> Any:
        return run(func, args)

    return begin


def threaded_by_host(func: Callable[..., Any], *, thread: bool = False) -> Callable[..., Any]:
    """The same for what is called with a context or a document first: whose it is, is run in a thread of that."""
    if not (thread or is_marked(func)):
        return func
    check_plain(func)

    @functools.wraps(func)
    def begin(face: Any, *args: Any) -> Any:
        return face._host.run_in_thread(func, (face, *args))

    return begin
