"""One session of an application, made as a server makes it, for its initial document."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import final

import attrs
import trio

from supervisor.actor.base import Runtime
from supervisor.actor.guard import text_of, unwrap
from supervisor.application.actor import ApplicationActor
from supervisor.application.creation import Created, Outcome, Refused
from supervisor.application.handlers import Application
from supervisor.application.source import is_foreign
from supervisor.errors import ApplicationError
from supervisor.instruments import Incident, Instruments
from supervisor.session.request import Request


@final
@attrs.frozen(kw_only=True)
class ExportedDocument:
    """What a session began with."""

    application: str
    """The application's name."""
    data: bytes
    """The document, as JSON in UTF-8."""


async def export_document(application: Application, *, session_id: str, request: Request) -> ExportedDocument:
    """Load an application, create one session, end both, and return the document as `modify_document` left it.

    All hooks run, each under its deadline, in the order in which a server calls them; those of connections don't, since
    there is none. Producers, callbacks and background tasks that they add never run, and no message is handled.

    Raises:
        ApplicationError: a hook refused the session, failed or was late; one sentence says which, and where.
    """
    failed = _Failed()
    actor = ApplicationActor(
        application,
        runtime=Runtime(instruments=failed),
        make_epoch=lambda: "export",
        show_id=lambda id: id,
        hooks_only=True,
    )
    outcome: Outcome | None = None
    data = b""
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(actor.run)
            outcome = await actor.open_session(session_id, request)
            if isinstance(outcome, Created):
                data = outcome.session.stored.snapshot()  # what was kept: not what destroyed hooks may do to it
                await outcome.session.wait_ended()
            actor.stop()
    except BaseExceptionGroup as group:
        error = unwrap(group)
        if not isinstance(error, ApplicationError) or not failed.incidents:  # else: the load hook's incident tells more
            raise error from None
    if failed.incidents:
        raise ApplicationError(_tell(application.name, failed.incidents[0])) from failed.incidents[0].error
    if isinstance(outcome, Refused):
        reason = f": {outcome.reason}" if outcome.reason else ", without a reason"
        raise ApplicationError(f"application {application.name!r} refused the session{reason}")
    assert isinstance(outcome, Created), outcome
    return ExportedDocument(application=application.name, data=data)


@final
class _Failed(Instruments):
    """Keeps what failed."""

    def __init__(self) -> None:
        self.incidents: list[Incident] = []

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`."""
        self.incidents.append(incident)


def _tell(application: str, incident: Incident) -> str:
    error = incident.error
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not is_foreign(Path(frame.filename).resolve())]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    raised = f"{type(error).__name__}: {text_of(error)}{place}"
    return f"application {application!r} can't be exported: its {incident.what} raised {raised}"
