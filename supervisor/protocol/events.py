"""What a client's connection tells: what arrived, and what to do after a close. Pure."""

from __future__ import annotations

from enum import Enum, unique
from typing import Any, Literal, final

import attrs

from supervisor.protocol.messages import Add, Remove, Replace

RefusalKind = Literal["rejected", "invalid", "conflict", "failed", "unknown", "unsent"]
"""From the server: `rejected`, `invalid`, `conflict`, `failed`. From the client itself: `unknown` (it was written, and
whether it was done can't be known any more), `unsent` (it was never written), and `conflict` too (an edit that was
never written, and for which there is no place any more)."""


@unique
class Status(Enum):
    """Where a client is in its life."""

    CONNECTING = "connecting"
    """It was never live."""
    LIVE = "live"
    """The mirror follows the document."""
    RESTARTING = "restarting"
    """It is connected as before, but its session has failed, and the mirror stands still until a new document comes."""
    RECONNECTING = "reconnecting"
    """It was live; the mirror stands still."""
    ENDED = "ended"
    """It stays away, or the page is to be loaded anew."""

    @property
    def is_connected(self) -> bool:
        """Whether the server has taken the client in, and the mirror has all that there is."""
        return self in (Status.LIVE, Status.RESTARTING)


@final
@attrs.frozen(kw_only=True)
class Attached:
    """The server took us in; sends are written from now on."""

    resumed: bool
    """True: the patches that were missed follow. False: a snapshot follows."""
    revision: int
    """The document's, which the mirror has once what follows has come."""


@final
@attrs.frozen(kw_only=True)
class Snapshotted:
    """All of the mirror is new."""

    restarted: bool = False
    """The document is another one than before: its session was restarted."""


@final
@attrs.frozen(kw_only=True)
class Patched:
    """The mirror changed."""

    operations: tuple[Add | Remove | Replace, ...]
    """In order; what they carry is the mirror's: read it, don't change it."""

    @property
    def paths(self) -> tuple[str, ...]:
        """JSON Pointers of what was added, removed or replaced, in order."""
        return tuple(operation.path for operation in self.operations)


@final
@attrs.frozen(kw_only=True)
class Redrawn:
    """What is shown changed otherwise than by what arrived: own edits were put in, moved or taken out."""


@final
@attrs.frozen(kw_only=True)
class Editable:
    """What may be edited is another now."""

    patterns: tuple[str, ...]


@final
@attrs.frozen(kw_only=True)
class Answered:
    """A send was done, and the mirror has what its handler changed."""

    ticket: int
    value: Any
    """What its handler returned."""


@final
@attrs.frozen(kw_only=True)
class Edited:
    """An edit was done. It is shown on top of the mirror until that has it; then comes its `Arrived`, without fail."""

    ticket: int


@final
@attrs.frozen(kw_only=True)
class Arrived:
    """An edit that was done is pending no more: the mirror has it, or will never be of a document that does."""

    ticket: int


@final
@attrs.frozen(kw_only=True)
class Refused:
    """A send or an edit was not done, or nobody knows. An edit is shown no more."""

    ticket: int
    kind: RefusalKind
    text: str
    incident: str | None = None
    """What to look for in the server's log."""


@final
@attrs.frozen(kw_only=True)
class PresenceChanged:
    """Somebody came, left, or says something new of itself."""

    scope: Literal["session", "application"]


@final
@attrs.frozen(kw_only=True)
class Restarting:
    """The session has failed, and is to have a new document: `Snapshotted` tells that it has."""

    after: float
    """Seconds until it is built."""


@final
@attrs.frozen(kw_only=True)
class Closing:
    """The server closes the connection next."""

    code: int
    reason: str
    retry_after: float | None


Event = (
    Attached
    | Snapshotted
    | Patched
    | Redrawn
    | Editable
    | Answered
    | Edited
    | Arrived
    | Refused
    | PresenceChanged
    | Restarting
    | Closing
)


@final
@attrs.frozen(kw_only=True)
class Reconnect:
    """Open a new connection after so many seconds, and call `opened`."""

    after: float


@final
@attrs.frozen(kw_only=True)
class Reload:
    """Load the page anew; a client without a page has ended."""

    code: int
    reason: str
    settled: tuple[Arrived | Refused, ...]
    """What becomes of sends that have no answer, and of edits that are shown still."""


@final
@attrs.frozen(kw_only=True)
class Ended:
    """Stay away."""

    code: int
    reason: str
    settled: tuple[Arrived | Refused, ...]
    """What becomes of sends that have no answer, and of edits that are shown still."""


Decision = Reconnect | Reload | Ended
