"""What an app says about a visitor from the request alone: the name of a connection, and the session of a page."""

from __future__ import annotations

from collections.abc import Iterable
from types import CoroutineType

from supervisor.actor.guard import Report, pass_on, split_failure
from supervisor.application.creation import Failed, Refused
from supervisor.application.handlers import Handler
from supervisor.application.hooks import call_author, refusal_in
from supervisor.session.request import Request

MAX_NAME = 256
"""Characters of a connection's name: each is told to everybody who watches, and it may be all that a header holds."""


def name_connection(handlers: Iterable[Handler], request: Request, *, report: Report) -> str | None:
    """The first name that a handler gives, cut to `MAX_NAME`. A failure is reported: such a connection has no name."""
    try:
        for handler in handlers:
            name = handler.name_connection(request)
            if isinstance(name, CoroutineType):
                name.close()
                raise TypeError("name_connection must be a plain function, not a coroutine function")
            if name is not None:
                name = _text(name, "name_connection")
                return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
    except BaseException as error:
        failure, rest = split_failure(error)
        if failure is not None:
            report("name_connection", failure)
        if rest is not None:
            pass_on(error, rest)
    return None


async def choose_session_id(
    handlers: Iterable[Handler], request: Request, *, timeout: float, report: Report
) -> str | Refused | Failed | None:
    """The first id that a handler gives; whether it may be one is for the caller to see. Safe to cancel."""
    try:
        for handler in handlers:
            if handler.has_hook("choose_session_id"):
                id = await call_author(handler.choose_session_id, request, timeout=timeout)
                if id is not None:
                    return _text(id, "choose_session_id")
    except BaseException as error:
        failure, rest = split_failure(error)
        refusal = refusal_in(failure)
        if rest is not None:
            if failure is not None:
                report("choose_session_id", failure)
            pass_on(error, rest)
        assert failure is not None
        return Failed(report("choose_session_id", failure)) if refusal is None else Refused(refusal)
    return None


def _text(value: object, hook: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{hook} must return a str or None, not {value!r}")
    return value
