"""What a session knows of the connections that watch it: they hear of patches, and of its end."""

from __future__ import annotations

from typing import Literal, Protocol, final

import attrs

from supervisor.document.base import Patch
from supervisor.session.request import Request


@final
@attrs.frozen(kw_only=True)
class Ending:
    """Why a session ends, as its connections are told."""

    kind: Literal["destroyed", "restarting"]
    """`restarting`: the server goes down, and a client may come back."""
    reason: str = ""
    """A text that a visitor may read."""


@final
@attrs.frozen(kw_only=True)
class ConnectionContext:
    """One peer that is attached to a session, as authors see it."""

    id: str
    """Unique within the session; another one after a reconnect."""
    request: Request
    """The request that opened this connection: not the one that created the session."""


class Connection(Protocol):
    """One peer's link to a session. Its tasks belong to the application's connection nursery."""

    context: ConnectionContext

    def end(self, ending: Ending) -> None:
        """Begin to close: returns at once, may be called again, and never raises."""

    def cancel(self) -> None:
        """Close without further politeness: its tasks end as soon as they can."""


class Audience(Protocol):
    """Whoever shows one session's document to its connections. Made with the session, synchronous, never raises."""

    def committed(self, patch: Patch) -> None:
        """A transaction was kept. Called once for each, in order, before the answer to what caused it."""


class NoAudience:
    """Shows nothing: for sessions that nobody can attach to."""

    def committed(self, patch: Patch) -> None:
        """See `Audience.committed`."""
