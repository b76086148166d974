"""A failed application: what operators and the clients of its sessions are told."""

from __future__ import annotations

from supervisor.actor.guard import text_of
from supervisor.instruments import Incident
from supervisor.session.connection import Ending


def because_not_loaded(application: str, incident: Incident) -> str:
    """Why it can't be served, in a sentence for operators."""
    return f"application {application!r} can't be served: its {_told(incident)}"


def because_escalated(application: str, incident: Incident) -> str:
    """Why it has ended, in a sentence for operators."""
    return f"application {application!r} has failed, and its sessions end: {_told(incident)}"


def ending_of_failed(incident: Incident) -> Ending:
    """What its clients are told: nothing comes back here by itself, so they stay away."""
    return Ending(kind="destroyed", reason=f"The application has failed (incident {incident.id}).")


def _told(incident: Incident) -> str:
    error = f"{type(incident.error).__name__}: {text_of(incident.error)}"
    return f"{incident.what} raised {error} (incident {incident.id}, the log has the traceback)"
