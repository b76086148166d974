"""The state of an application, as frozen numbers."""

from __future__ import annotations

from typing import final

import attrs

from supervisor.actor.ref import ActorStatistics


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
class ApplicationStatistics:
    """The state of an application at one moment."""

    sessions: RegistryStatistics
    producers: int
    """Those that are not over."""
    callbacks: ActorStatistics
    """Of the actor that runs callbacks."""
    threads: int
    """Worker threads at work, those included that were abandoned and have not come back."""
