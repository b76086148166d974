"""What a session knows of the connections that watch it: they hear of patches, and of its end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal, Protocol, final

import attrs

from supervisor.document.base import Patch
from supervisor.session.request import Request


@final
@attrs.frozen(kw_only=True)
class Ending:
    """Why a session ends, as its connections are told."""

    kind: Literal["destroyed", "restarting", "replaced"]
    """`restarting`: the server goes down, and a client may come back. `replaced`: new code took the application's
    place, and pages are to be loaded anew."""
    reason: str = ""
    """A text that a visitor may read."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}" if self.reason else self.kind


@final
@attrs.frozen(kw_only=True)
class ConnectionContext:
    """One peer that is attached to a session, as authors see it: a value, as of the moment when it was asked for."""

    id: str
    """Unique; a client that comes back has a new one."""
    request: Request
    """The request that opened this connection, not the one that created the session."""
    peer: str = ""
    """What others call this client. It stays the same when the client comes back, and it is not secret."""
    name: str | None = None
    """What the app calls it, by `name_connection`."""
    metadata: Mapping[str, Any] = MappingProxyType({})
    """What the client tells others about itself, as JSON: untrusted. Read it, don't change it."""


class Connection(Protocol):
    """One peer's link to a session. Its tasks belong to the application's connection nursery."""

    context: ConnectionContext
    """As of now: another value when the client has told something new of itself."""

    def end(self, ending: Ending) -> None:
        """Begin to close: returns at once, may be called again, and never raises."""

    def cancel(self) -> None:
        """Close without further politeness: its tasks end as soon as they can."""


class _Connected(Protocol):
    @property
    def connections(self) -> Collection[Connection]: ...


NAMED = 3
"""Connections that a story names; more are counted."""


def seen_by(session: _Connected) -> str:
    """To whom a patch goes, in words that follow others: "; to 1a2b3c4d, 5e6f7a8b, 9c0d1e2f and 7 more"."""
    connections = session.connections
    names = [connection.context.id[:8] for connection in islice(connections, NAMED)]
    more = len(connections) - len(names)
    return f"; to {', '.join(names)}{f' and {more:,} more' if more else ''}" if names else ""


class Audience(Protocol):
    """Whoever shows one session's document to its connections. Made with the session, synchronous, never raises."""

    def committed(self, patch: Patch) -> None:
        """A transaction was kept. Called once for each, in order, before the answer to what caused it."""

    def editable(self, patterns: tuple[str, ...]) -> None:
        """Clients may edit something else from now on."""

    def restarting(self, pause: float) -> None:
        """The session has failed, and begins to restart, after so many seconds: `renewed` follows, or its end."""

    def renewed(self, patterns: tuple[str, ...]) -> None:
        """The session was restarted: its `stored` document and its `epoch` are others, and clients may edit this."""


class NoAudience:
    """Shows nothing: for sessions that nobody can attach to."""

    def committed(self, patch: Patch) -> None:
        """See `Audience.committed`."""

    def editable(self, patterns: tuple[str, ...]) -> None:
        """See `Audience.editable`."""

    def restarting(self, pause: float) -> None:
        """See `Audience.restarting`."""

    def renewed(self, patterns: tuple[str, ...]) -> None:
        """See `Audience.renewed`."""
