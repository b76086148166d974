"""The votes of all visitors."""

from __future__ import annotations

import trio

QUESTION = "How shall we cross the harbour?"


class Votes:
    """Sessions add to it, and one producer tells all others. All of them run in one thread, so it needs no lock."""

    def __init__(self) -> None:
        self.counts = {"A third ferry": 0, "A bridge": 0, "A cable car": 0}
        self._changed = trio.Event()

    def add(self, option: str) -> None:
        self.counts[option] += 1
        self._changed.set()

    async def wait_for_changes(self) -> None:
        """Wait until somebody has voted since this was waited for last."""
        await self._changed.wait()
        self._changed = trio.Event()


votes = Votes()
