"""What the server does, as structured lines on stderr: one instrument.

Every line says which application and session it is about, those of a traceback too: so `grep session=…` finds the whole
story, and text that a visitor chose can't pass for a line of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from functools import partial
from typing import Any, TextIO, final

import structlog

from supervisor.actor.guard import text_of
from supervisor.instruments import WAY_OUT_OF_STALLS, Incident, Instruments


def make_logger(level: str, *, stream: TextIO | None = None, as_json: bool = False) -> Any:
    """A structlog logger that writes lines of this level and above: time, level, event, and key=value pairs.

    Application and session are "-" where an event concerns none. As JSON, each line is one object, with the traceback
    in its `exception`:

        {"timestamp": "2026-01-31T12:00:00.000000Z", "level": "info", "event": "session created",
         "application": "chat", "session": "AAECAwQF"}
    """
    stream = stream or sys.stderr
    render: Any = _EveryLine(
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
            sort_keys=False,
        )
    )
    if as_json:
        render = _as_json
    return structlog.wrap_logger(
        _Lines(stream),
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _complete,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )


@final
class _Lines:
    """Writes each line whole. Who holds the lock can take it again: Python may collect garbage in the midst of it, and
    what is raised there is logged too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()

    def msg(self, line: str) -> None:
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _complete(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put application and session first, and into every line."""
    first = {key: event.pop(key, "-") for key in ("application", "session")}
    rest = dict(event)
    event.clear()
    event.update({**first, **rest})
    return event


def _as_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """Render an event as one line; what JSON has no form for is shown as Python does."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["exception"] = "".join(traceback.format_exception(error))
    return json.dumps({**first, **event}, default=_shown)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__qualname__}>"


# What a terminal or a log reader would obey, a tab excepted.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@final
class _EveryLine:
    """Renders an event, and begins each line of story and traceback with application, session and incident."""

    def __init__(self, render: structlog.dev.ConsoleRenderer) -> None:
        self._render = render

    def __call__(self, log: Any, method: str, event: MutableMapping[str, Any]) -> str:
        about = " ".join(f"{key}={event[key]}" for key in ("application", "session", "incident") if key in event)
        for key, value in event.items():
            if isinstance(value, str) and key != "stack" and _CONTROL.search(value):  # that one is lines
                event[key] = _Shown(value)
        if event.get("story"):
            event["stack"] = "\n".join(["what happened before:", *event.pop("story")])
        first, *rest = self._render(log, method, event).splitlines()
        return "\n".join([first, *(f"{about} | {_CONTROL.sub(_escape, line)}" for line in rest)])


@final
class _Shown:
    """A text that is always shown in quotes; the renderer does so only with those that have spaces in them."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


@final
class _Bridge(logging.Handler):
    """Hands what apps and libraries log by Python's `logging` to our logger."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        try:
            error = record.exc_info[1] if record.exc_info else None
            level = max((each for each in _LEVELS if each <= record.levelno), default=logging.DEBUG)
            try:
                text = record.getMessage()
            except Exception as wrong:  # arguments that the text has no place for
                text, error = str(record.msg), wrong
            self._log.log(level, text, logger=record.name, **({"exc_info": error} if error else {}))
        except Exception:  # as every handler of `logging`: who logs doesn't fail because of it
            self.handleError(record)


@contextlib.contextmanager
def adopt_logging(log: Any, level: str) -> Iterator[None]:
    """In this block, what Python, apps and libraries have to tell becomes lines of `log` too.

    That is records of Python's `logging`, of this level and above; warnings; and what is raised where nobody can catch
    it, by a thread or a `__del__`. For a process that only serves: the root logger is ours meanwhile. Libraries under
    us that tell of their insides are heard from warnings on.
    """
    root, hooks = logging.getLogger(), (threading.excepthook, sys.unraisablehook)
    before = root.handlers[:], root.level
    root.handlers[:] = [_Bridge(log)]
    root.setLevel(logging.getLevelNamesMapping()[level.upper()])
    for library in ("trio-websocket", "trio_websocket", "asyncio", "watchfiles"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    threading.excepthook, sys.unraisablehook = partial(_thread_failed, log), partial(_ignored, log)
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks
        logging.captureWarnings(False)
        root.handlers[:], root.level = before


def _thread_failed(log: Any, failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is not SystemExit:  # which ends a thread well
        log.error("a thread failed", thread=failed.thread and failed.thread.name, exc_info=failed.exc_value)


def _ignored(log: Any, ignored: sys.UnraisableHookArgs) -> None:
    where = getattr(ignored.object, "__qualname__", type(ignored.object).__qualname__)
    log.error("an exception that nobody could catch", raised_in=where, exc_info=ignored.exc_value)


@final
class LogInstruments(Instruments):
    """Writes a line for each thing that an operator wants to know."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`: the only lines with a traceback. What a message says may be private: not here."""
        self._log.error(
            f"{incident.what} failed",
            application=incident.application,
            session=incident.session,
            incident=incident.id,
            error=f"{type(incident.error).__name__}: {text_of(incident.error)}",
            path=incident.path,
            **{name: value for name in ("mailbox", "story", "decision") if (value := getattr(incident, name))},
            exc_info=incident.error,
        )

    def failure_told(self, *, application: str, session: str, error: BaseException) -> None:
        """See `Instruments.failure_told`."""
        self._log.debug("a hook was told", application=application, session=session, error=type(error).__qualname__)

    def dead_letter(self, *, application: str, session: str, message: object) -> None:
        """See `Instruments.dead_letter`."""
        kind = getattr(message, "__qualname__", type(message).__qualname__)
        self._log.debug("dead letter", application=application, session=session, message=kind)

    def message_dropped(self, *, application: str, session: str, message: object) -> None:
        """See `Instruments.message_dropped`."""
        kind = type(message).__qualname__
        self._log.debug("message dropped", application=application, session=session, message=kind)

    def application_loaded(self, *, application: str) -> None:
        """See `Instruments.application_loaded`."""
        self._log.info("application loaded", application=application)

    def application_failed(self, *, application: str, reason: str, incident: str) -> None:
        """See `Instruments.application_failed`."""
        self._log.error("application failed", application=application, incident=incident, reason=reason)

    def application_unloaded(self, *, application: str) -> None:
        """See `Instruments.application_unloaded`."""
        self._log.info("application unloaded", application=application)

    def application_changed(self, *, application: str, files: str) -> None:
        """See `Instruments.application_changed`."""
        self._log.info("files changed", application=application, files=files)

    def application_warned(self, *, application: str, warning: str) -> None:
        """See `Instruments.application_warned`."""
        self._log.warning(warning, application=application)

    def session_created(self, *, application: str, session: str) -> None:
        """See `Instruments.session_created`."""
        self._log.info("session created", application=application, session=session)

    def session_refused(self, *, application: str, session: str, reason: str, incident: str) -> None:
        """See `Instruments.session_refused`."""
        self._log.info("session refused", application=application, session=session, incident=incident, reason=reason)

    def session_had_no_room(self, *, application: str, reason: str, incident: str) -> None:
        """See `Instruments.session_had_no_room`."""
        self._log.warning("no room for a session", application=application, incident=incident, reason=reason)

    def page_refused(self, *, application: str, reason: str, incident: str) -> None:
        """See `Instruments.page_refused`."""
        self._log.info("no page", application=application, incident=incident, reason=reason)

    def session_restarted(self, *, application: str, session: str, incident: str) -> None:
        """See `Instruments.session_restarted`."""
        self._log.warning("session restarted", application=application, session=session, incident=incident)

    def session_destroyed(self, *, application: str, session: str, reason: str) -> None:
        """See `Instruments.session_destroyed`."""
        self._log.info("session destroyed", application=application, session=session, reason=reason)

    def connection_attached(self, *, application: str, session: str, connection: str, resumed: bool) -> None:
        """See `Instruments.connection_attached`."""
        self._log.debug(
            "connection attached", application=application, session=session, connection=connection[:8], resumed=resumed
        )

    def connection_detached(self, *, application: str, session: str, connection: str, code: int) -> None:
        """See `Instruments.connection_detached`."""
        self._log.debug(
            "connection detached", application=application, session=session, connection=connection[:8], code=int(code)
        )

    def connection_refused(self, *, application: str, reason: str) -> None:
        """See `Instruments.connection_refused`."""
        self._log.warning("connection refused", application=application, reason=reason)

    def loop_blocked(
        self, *, application: str, session: str, what: str, where: str, seconds: float, stack: str, over: bool
    ) -> None:
        """See `Instruments.loop_blocked`: called in two threads."""
        told = {"application": application, "session": session, "seconds": round(seconds, 3), "what": what}
        if over:
            self._log.warning("the loop turns again", **told)
        else:
            if application != "-":  # else it isn't the app's, which could let it run elsewhere
                told["reason"] = WAY_OUT_OF_STALLS
            self._log.warning("the loop is blocked", **told, where=where, stack=stack.rstrip())

    def proxy_not_trusted(self, *, address: str) -> None:
        """See `Instruments.proxy_not_trusted`."""
        self._log.warning("a proxy is not trusted", address=address, reason=f"--trusted-proxy {address} would trust it")

    def broadcast_lagged(self, *, application: str, session: str) -> None:
        """See `Instruments.broadcast_lagged`; at the lowest level, since it may be many a second."""
        self._log.debug("broadcast lagged", application=application, session=session)
