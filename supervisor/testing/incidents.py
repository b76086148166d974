"""What failed in an app while a test ran."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from supervisor.instruments import Incident, Instruments


@final
class Incidents(Instruments):
    """Collects what fails.

    Args:
        expects: whether the test wanted a failure.
    """

    def __init__(self, *, expects: Callable[[Incident], bool] = lambda incident: False) -> None:
        self._expects = expects
        self.incidents: list[Incident] = []
        # What failure hooks of the app were told of.
        self._told: list[BaseException] = []

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`."""
        self.incidents.append(incident)

    def failure_told(self, *, application: str, session: str, error: BaseException) -> None:
        """See `Instruments.failure_told`."""
        self._told.append(error)

    def unheard(self) -> list[Incident]:
        """Those that no failure hook of the app was told of, that the test didn't want, and left in `incidents`."""
        return [
            each
            for each in self.incidents
            if not (self._expects(each) or any(each.error is error for error in self._told))
        ]
