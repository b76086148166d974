"""What the server does, as structured lines on stderr: one instrument."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, final

import structlog

from supervisor.instruments import Incident, Instruments


def make_logger(level: str, *, stream: TextIO | None = None) -> Any:
    """A structlog logger that writes lines of this level and above: time, level, event, and key=value pairs.

    Every line has an application and a session, "-" where it concerns none.
    """
    stream = stream or sys.stderr
    return structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _complete,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,
                sort_keys=False,
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )


def _complete(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put application and session first, and into every line."""
    first = {key: event.pop(key, "-") for key in ("application", "session")}
    rest = dict(event)
    event.clear()
    event.update({**first, **rest})
    return event


@final
class LogInstruments(Instruments):
    """Writes a line for each thing that an operator wants to know."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`: the only lines with a traceback."""
        self._log.error(
            f"{incident.what} failed",
            application=incident.application,
            session=incident.session,
            incident=incident.id,
            error=f"{type(incident.error).__name__}: {incident.error}",
            exc_info=incident.error,
        )

    def dead_letter(self, *, application: str, session: str, message: object) -> None:
        """See `Instruments.dead_letter`."""
        kind = getattr(message, "__qualname__", type(message).__qualname__)
        self._log.debug("dead letter", application=application, session=session, message=kind)

    def application_loaded(self, *, application: str) -> None:
        """See `Instruments.application_loaded`."""
        self._log.info("application loaded", application=application)

    def application_unloaded(self, *, application: str) -> None:
        """See `Instruments.application_unloaded`."""
        self._log.info("application unloaded", application=application)

    def session_created(self, *, application: str, session: str) -> None:
        """See `Instruments.session_created`."""
        self._log.info("session created", application=application, session=session)

    def session_refused(self, *, application: str, session: str, reason: str) -> None:
        """See `Instruments.session_refused`."""
        self._log.info("session refused", application=application, session=session, reason=reason)

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
            "connection detached", application=application, session=session, connection=connection[:8], code=code
        )

    def connection_refused(self, *, application: str, reason: str) -> None:
        """See `Instruments.connection_refused`."""
        self._log.warning("connection refused", application=application, reason=reason)
