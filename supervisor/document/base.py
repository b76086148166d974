"""What every kind of document must do, and the patch that it returns. Pure."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Patch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The difference that one kept transaction made. Whoever passes it on need not understand it.

    A Struct and not an attrs class, because one is made per transaction and a frozen attrs class takes longer.
    """

    base: int
    """The revision it starts from."""

    revision: int
    """The revision it leads to, greater than `base`."""

    encoded: bytes
    """The kind's own encoding; of a JSON document the array of operations: `[{"op":"remove","path":"/a"}]`."""


class StoredDocument(Protocol):
    """A document as its session keeps it: changed by transactions, told to others by patches.

    An implementer guarantees that none of these waits, and that the patches given out, in order, lead from one snapshot
    to each later one.
    """

    @property
    def revision(self) -> int:
        """Of the last committed state; 0 at the start, and higher after each commit that changed something."""

    def commit(self) -> Patch | None:
        """Keep what changed since the last commit or rollback, and give the difference; None if nothing did.

        Raises:
            InvalidValue: The document would be larger than it may be; nothing was kept, and all may be rolled back.
        """

    def check_size(self) -> None:
        """See whether what is uncommitted could be committed.

        Raises:
            InvalidValue: The document would be larger than it may be.
        """

    def roll_back(self) -> None:
        """Go back to the last commit. What changed since was seen by nobody."""

    def snapshot(self) -> bytes:
        """The last committed state in the kind's own encoding, also while uncommitted changes exist."""
