"""What failed in an app while a test ran."""

from __future__ import annotations

from typing import final

from supervisor.instruments import Incident, Instruments


@final
class Incidents(Instruments):
    """Collects what fails."""

    def __init__(self) -> None:
        self.incidents: list[Incident] = []

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`."""
        self.incidents.append(incident)
