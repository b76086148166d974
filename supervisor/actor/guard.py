"""Guards: which part of an exception is a failure of somebody's code, and which part must pass.

Essay: the two guards. App code runs inside cancel scopes that we cancel, and its cleanup code can raise while it is
being cancelled. Then trio raises a group with both `Cancelled` and the app's exception. An `except Exception` around
the message doesn't catch that group, since `Cancelled` makes it a `BaseExceptionGroup`. The cancel scope removes its
own `Cancelled` and lets the rest through, which would reach the application's nursery and end every neighbour. So there
are two guards. The inner one is around each message: it reports the failure and passes on only what must pass. The
outer one is *outside* the actor's (producer's, hook's) cancel scope and handles what the scope lets through. Both call
`split_failure`.

`SystemExit` is a failure like any other: code of one session doesn't decide about the server's life. Nor does a
`GeneratorExit` that it raises or lets out: Python throws one into a coroutine that is closed, but nobody closes a
task's coroutine while trio runs. `Cancelled` (of an outer scope) and `KeyboardInterrupt` (from Ctrl-C, where no signal
receiver takes it) belong to whoever sent them, so they always pass.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NoReturn

import trio

_PASSING = (trio.Cancelled, KeyboardInterrupt)


def split_failure(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Split what was raised into (failure, rest): the rest must be raised again, the failure must be reported.

    A group of one exception is unwrapped, so that people read the exception and not its wrapping.
    """
    if isinstance(error, BaseExceptionGroup):
        rest, failure = error.split(_PASSING)
        if rest is None:  # the whole itself, not its copy, which may be of another class
            return unwrap(error), None
        return (None, error) if failure is None else (unwrap(failure), rest)
    if isinstance(error, _PASSING):
        return None, error
    return error, None


def unwrap(error: BaseException) -> BaseException:
    """The one exception inside groups of one, or the group itself if it holds several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def text_of(error: BaseException) -> str:
    """An exception's text, where an app's own `__str__` may raise."""
    try:
        return str(error)
    except Exception:
        return "(its str() raised)"


def pass_on(error: BaseException, rest: BaseException) -> NoReturn:
    """Raise the rest of `error`, with its own traceback if it is the whole."""
    if rest is error:
        raise error
    raise rest from None


def new_incident_id() -> str:
    """Eight hexadecimal digits: enough to find one line in a log."""
    return secrets.token_hex(4)


def check_thread() -> None:
    """Refuse other threads, which would break what a plain call changes.

    Raises:
        RuntimeError: this is not trio's thread; nothing was done.
    """
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "this is not the server's thread; from another one use app_context.call_from_thread(func, *args)"
        )


Report = Callable[[str, BaseException], str]
"""Report(what, error): hands a failure to the instruments and returns the incident's id."""
