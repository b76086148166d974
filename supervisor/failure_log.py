"""What a server tells that was given no instruments: failures and refused connections, by Python's `logging`."""

from __future__ import annotations

import logging
from typing import final

from supervisor.instruments import Incident, Instruments


@final
class LoggedFailures(Instruments):
    """What a server tells that was given no instruments: nothing that went wrong may pass unseen."""

    def __init__(self) -> None:
        self._log = logging.getLogger("supervisor")

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`."""
        place = f"application {incident.application}, session {incident.session}, incident {incident.id}"
        self._log.error("%s failed (%s)", incident.what, place, exc_info=incident.error)

    def connection_refused(self, *, application: str, reason: str) -> None:
        """See `Instruments.connection_refused`."""
        self._log.warning("connection refused: %s", reason)
