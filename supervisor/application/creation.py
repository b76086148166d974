"""The creation of a session: one result for all who wait for the same id."""

from __future__ import annotations

from typing import final

import attrs
import trio

from supervisor.session.actor import SessionActor


@final
@attrs.frozen
class Created:
    """The session is built. It may have ended again by the time that the visitor's task runs."""

    session: SessionActor


@final
@attrs.frozen
class Refused:
    """A hook said no, or somebody of the app destroyed the session while it was being created."""

    reason: str
    """What the visitor may read; often empty."""
    incident: str = attrs.field(default="", eq=False)
    """What the visitor is told, and the log has too; empty if nothing was logged."""


@final
@attrs.frozen
class Failed:
    """Something raised, or took too long."""

    incident: str
    """What the visitor is told, and the log has too."""


@final
@attrs.frozen
class Busy:
    """There is no room now, or the application ends."""

    retry_after: float
    """Seconds after which it is worth another try."""


@final
@attrs.frozen
class TooMany:
    """The visitor's address has as many sessions as one may have."""

    counted_as: str
    """The address, or its network."""
    sessions: int
    """How many it has."""
    retry_after: float
    """Seconds after which it is worth another try."""


Outcome = Created | Refused | Failed | Busy | TooMany


@final
class Creation:
    """One session that is being created, for all who wait for it."""

    def __init__(self, counted_as: str | None = None) -> None:
        self.counted_as = counted_as
        """The address whose session it counts as; None for nobody's."""
        self._settled = trio.Event()
        self.outcome: Outcome | None = None
        """The result; None while there is none."""

    def settle(self, outcome: Outcome) -> None:
        """Give the result; the first one counts."""
        if self.outcome is None:
            self.outcome = outcome
            self._settled.set()

    async def wait(self) -> Outcome:
        """Wait for the result. Safe to cancel: the creation goes on. Its own deadlines bound it."""
        await self._settled.wait()
        assert self.outcome is not None
        return self.outcome
