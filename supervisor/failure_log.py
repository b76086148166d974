"""What a server without instruments logs: failures and refused connections, by Python's `logging`."""

from __future__ import annotations

import logging
from typing import final

from supervisor.instruments import WAY_OUT_OF_STALLS, Incident, Instruments


@final
class LoggedFailures(Instruments):
    """What a server tells that was given no instruments: nothing that went wrong may pass unseen."""

    def __init__(self) -> None:
        self._log = logging.getLogger("supervisor")

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`."""
        follows = f"; {incident.decision}" if incident.decision else ""
        waiting = f"; waiting: {', '.join(incident.mailbox)}" if incident.mailbox else ""
        story = "".join(f"\n  {line}" for line in incident.story)
        self._log.error(
            "%s (incident %s%s%s)%s", incident.path, incident.id, follows, waiting, story, exc_info=incident.error
        )

    def loop_blocked(
        self, *, application: str, session: str, what: str, where: str, seconds: float, stack: str, over: bool
    ) -> None:
        """See `Instruments.loop_blocked`; the end is told too, since only that has the length."""
        place = f"application {application}, session {session}"
        if over:
            self._log.warning("the loop turns again: %s held it for %.3f s (%s)", what, seconds, place)
        else:
            way_out = "" if application == "-" else f": {WAY_OUT_OF_STALLS}"
            self._log.warning("the loop is blocked: %s, in %s (%s)%s\n%s", what, where, place, way_out, stack.rstrip())

    def application_failed(self, *, application: str, reason: str, incident: str) -> None:
        """See `Instruments.application_failed`."""
        self._log.error("%s", reason)

    def connection_refused(self, *, application: str, reason: str) -> None:
        """See `Instruments.connection_refused`."""
        self._log.warning("connection refused: %s", reason)

    def proxy_not_trusted(self, *, address: str) -> None:
        """See `Instruments.proxy_not_trusted`."""
        self._log.warning("visitors come through %s, a proxy that is not in trusted_proxies", address)
