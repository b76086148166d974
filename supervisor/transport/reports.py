"""What a server reports to its instruments that concerns no application."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from supervisor.actor.guard import unwrap
from supervisor.errors import Unawaited
from supervisor.instruments import Incident, Instruments

OUTSIDE = "code outside of handlers and hooks"
"""Who dropped a coroutine, as far as that is known."""


@final
class Reports:
    """One server's. All are plain calls in its thread, and raise nothing."""

    def __init__(self, instruments: Instruments, *, new_incident_id: Callable[[], str]) -> None:
        self._instruments = instruments
        self._new_incident_id = new_incident_id

    def failed(self, what: str, error: BaseException) -> str:
        """Something raised that should not have; returns the incident's id."""
        incident = Incident(id=self._new_incident_id(), application="-", session="-", what=what, error=error)
        self._instruments.failed(incident)
        return incident.id

    def connection_failed(self, error: BaseException) -> None:
        """A connection ended by what no client can be blamed for."""
        self.failed("connection", unwrap(error))

    def coroutine_dropped(self, error: Unawaited) -> None:
        """Code that belongs to no handler and no hook made a coroutine and never awaited it."""
        self.failed(OUTSIDE, error)

    def refused(self, reason: str) -> None:
        """A connection was turned away; the reason names what would let it in."""
        self._instruments.connection_refused(application="-", reason=reason)

    def places_taken(self, places: int, *, wanted: int) -> None:
        """There are as many connections as there may be: `wanted` by the options, or fewer by the machine."""
        advice = "--max-connections" if places == wanted else "a higher `ulimit -n`"
        self.refused(f"{places:,} connections are there already; {advice} allows more")

    def proxy_met(self, address: str) -> None:
        """Somebody passes on what others ask, and nobody has named that proxy."""
        self._instruments.proxy_not_trusted(address=address)
