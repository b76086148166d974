"""What a session sent lately, so that a client that comes back gets exactly what it missed. Pure."""

from __future__ import annotations

from collections import deque
from typing import final

MAX_REVISIONS = 1_000
"""Patches that are kept: minutes of a busy page, and far fewer bytes than the other bound in a calm one."""
MAX_BYTES = 1024 * 1024
"""Bytes of patches that are kept: past this a snapshot is cheaper than catching up."""


@final
class History:
    """A bounded log of patches, each leading from where the one before it led to."""

    __slots__ = ("_bytes", "_log", "_max_bytes", "_max_patches", "begun_at")

    def __init__(self, *, max_patches: int = MAX_REVISIONS, max_bytes: int = MAX_BYTES) -> None:
        self._max_patches = max_patches
        self._max_bytes = max_bytes
        self._log: deque[tuple[int, int, bytes]] = deque()
        self._bytes = 0
        self.begun_at = 0
        """The first revision of this epoch: what is based on an older one was meant for another document."""

    def begin(self, revision: int) -> None:
        """Another epoch begins with this revision, to which no patch leads."""
        self.begun_at = revision
        self._forget()

    def append(self, base: int, revision: int, message: bytes) -> None:
        """Log one patch; the oldest are forgotten as the bounds demand, which may be all of them."""
        log = self._log
        if log and log[-1][1] != base:
            # There was a change that nobody told us of: what is older leads nowhere any more.
            self._forget()
        log.append((base, revision, message))
        self._bytes += len(message)
        while log and (self._bytes > self._max_bytes or len(log) > self._max_patches):
            self._bytes -= len(log.popleft()[2])

    def since(self, revision: int, *, current: int) -> tuple[bytes, ...] | None:
        """The messages that lead from a revision to the current one; None if the log doesn't reach back."""
        if revision == current:
            return ()
        log = self._log
        if not log or log[-1][1] != current:
            return None
        messages = []
        # From the newest on: most of those who come back missed little.
        for base, _, message in reversed(log):
            messages.append(message)
            if base <= revision:
                # In between, when patches were merged, no client can be: it was never told that revision.
                return tuple(reversed(messages)) if base == revision else None
        return None

    def _forget(self) -> None:
        self._log.clear()
        self._bytes = 0

    def __len__(self) -> int:
        """How many patches are kept."""
        return len(self._log)

    def __repr__(self) -> str:
        """For logs: how far back it reaches."""
        span = f"{self._log[0][0]}→{self._log[-1][1]}" if self._log else "empty"
        return f"<History {span}, {self._bytes} bytes>"
