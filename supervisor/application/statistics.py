"""The state of an application, as frozen numbers."""

from __future__ import annotations

from typing import Literal, final

import attrs

from supervisor.actor.ref import ActorStatistics
from supervisor.actor.restart import RestartKind
from supervisor.application.producer_life import ProducerState

ApplicationStatus = Literal["loading", "serving", "stopping", "failed", "unloaded"]
"""Loading: until its load hooks are done. Serving. Stopping: its sessions end. Failed: it could not be loaded, or
something escalated; also while its sessions still end. Unloaded: all of it is over."""


@final
@attrs.frozen(kw_only=True)
class RegistryStatistics:
    """The state of an application's sessions at one moment."""

    sessions: int
    """Live sessions, those being created included."""
    unattached: int
    """Those of them that nobody ever attached to."""
    draining: int
    """Sessions whose end has begun and is not over."""
    dead_letters: int
    """Messages that came for sessions that had ended."""


@final
@attrs.frozen(kw_only=True)
class ProducerStatistics:
    """The state of a producer at one moment."""

    name: str
    restart: RestartKind
    state: ProducerState
    failures: int
    """How often it has raised."""
    restarts: int
    """How often it was, or is to be, called again."""
    last_incident: str | None
    """The id of its last failure."""
    next_call_after: float | None
    """Seconds until it is called again; None unless it backs off."""


@final
@attrs.frozen(kw_only=True)
class ApplicationStatistics:
    """The state of an application at one moment."""

    status: ApplicationStatus
    sessions: RegistryStatistics
    producers: int
    """Those that are not over."""
    failed_producers: int
    """Those that have failed for good, and were not removed since."""
    producer_states: tuple[ProducerStatistics, ...]
    """Of each of them, those that have failed for good first; of at most 100."""
    callbacks: ActorStatistics
    """Of the actor that runs callbacks."""
    threads: int
    """Worker threads at work, those included that were abandoned and have not come back."""
