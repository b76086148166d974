"""The roster of an application's producers: those that are not done, including those that have failed for good."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import final

from supervisor.actor.stopping import Children
from supervisor.application.producers import Producer
from supervisor.application.statistics import ProducerStatistics

REMEMBERED = 100
"""Producers that have failed for good and are remembered, so that an app which adds them without end stays small."""
SHOWN = 100
"""Producers that the statistics show one by one."""


@final
class Roster:
    """The producers of one application. Those that are done, or were removed, are forgotten."""

    def __init__(self) -> None:
        self._live: Children[Producer] = Children()
        # The oldest first.
        self._failed: dict[Producer, None] = {}

    @property
    def live(self) -> int:
        """How many are not over."""
        return len(self._live)

    @property
    def failed(self) -> int:
        """How many have failed for good, and were not removed since: at most a hundred."""
        return len(self._failed)

    def __iter__(self) -> Iterator[Producer]:
        """Those that are not over, as a snapshot."""
        return iter(self._live)

    def add(self, producer: Producer) -> None:
        """A new one."""
        self._live.add(producer)

    def over(self, producer: Producer) -> None:
        """It is never called again."""
        self._live.discard(producer)
        if producer.state == "failed":
            self._failed[producer] = None
            if len(self._failed) > REMEMBERED:
                del self._failed[next(iter(self._failed))]

    def remove(self, producer: Producer) -> None:
        """See `ApplicationContext.remove_callback`."""
        if producer in self._failed:
            del self._failed[producer]
        elif producer not in self._live:
            raise ValueError(f"{producer!r} was already removed, has finished, or belongs to another application")
        producer.cancel()

    async def wait_empty(self) -> None:
        """Wait until all are over. Safe to cancel."""
        await self._live.wait_empty()

    def end(self) -> None:
        """Cancel all that are not over."""
        for producer in self:
            producer.cancel()

    def statistics(self) -> tuple[ProducerStatistics, ...]:
        """Of each, those that have failed for good first; of at most a hundred."""
        shown = itertools.islice(itertools.chain(self._failed, self._live), SHOWN)
        return tuple(producer.statistics() for producer in shown)

    def __repr__(self) -> str:
        return f"<Roster live={self.live} failed={self.failed}>"
