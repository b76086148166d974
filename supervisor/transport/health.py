"""The state of a server in one word, for load balancers. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol, final

import attrs

HealthWord = Literal["ok", "degraded", "loading", "draining", "failed"]
"""Degraded: an application has failed, or one of its producers has for good; the rest is served. Failed: all have."""


@final
@attrs.frozen
class Health:
    """The state of a server."""

    word: HealthWord

    @property
    def is_ready(self) -> bool:
        """Whether visitors may be sent here."""
        return self.word in ("ok", "degraded")


class Observed(Protocol):
    """What of an application counts here."""

    @property
    def status(self) -> str:
        """See `ApplicationStatus`."""

    @property
    def is_degraded(self) -> bool:
        """Whether it, or something in it, has failed for good."""


def health_of(applications: Collection[Observed], *, draining: bool) -> Health:
    """The health of a server of these applications.

    One that has none to serve, and one that just gives its place to another, is loading.
    """
    statuses = {application.status for application in applications}
    if draining:
        return Health("draining")
    if "serving" in statuses:
        return Health("degraded" if any(application.is_degraded for application in applications) else "ok")
    return Health("failed" if statuses == {"failed"} else "loading")
