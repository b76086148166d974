"""A JSON document: plain data to its author, observed and changed by transactions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from math import inf
from typing import Any, final

import msgspec

from supervisor.document.base import Patch
from supervisor.document.committed import Committed
from supervisor.document.journal import Guard, Journal, Node, swap_root
from supervisor.document.observed_dict import ObservedDict
from supervisor.document.observed_list import ObservedList
from supervisor.document.values import Unfit, check_and_copy
from supervisor.errors import InvalidValue

_encode = msgspec.json.Encoder().encode
MAX_OUTLINED = 64 * 1024
"""Bytes that a patch may have to be decoded for its outline: more takes longer than a tenth of a millisecond."""
OUTLINED = 3
"""Operations that an outline names."""


class _Outline(msgspec.Struct, gc=False):
    """What an outline tells of an operation; its value isn't decoded at all."""

    op: str
    path: str


_decode_outlines = msgspec.json.Decoder(list[_Outline]).decode
_decode_operations = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_root = msgspec.json.Decoder(dict[str, Any]).decode


def decode_patch(patch: Patch) -> list[dict[str, Any]]:
    """The operations of a JSON document's patch as plain data."""
    return _decode_operations(patch.encoded)


def outline(patch: Patch) -> str:
    """What a JSON document's patch changes, in short: "replace /prices/ACME, add /rows/-, … 40 more"."""
    if len(patch.encoded) > MAX_OUTLINED:
        return f"{len(patch.encoded):,} bytes"
    operations = _decode_outlines(patch.encoded)
    shown = [f"{each.op} {each.path or 'all'}" for each in operations[:OUTLINED]]
    more = len(operations) - len(shown)
    return ", ".join([*shown, f"… {more} more"] if more else shown)


def nothing(node: Node) -> None:
    """The guard that lets everyone in."""


@final
class JsonDocument:
    """A `StoredDocument` of nested dicts and lists; see there for what the methods guarantee.

    Mutate `root` and what is in it as plain Python. A mutation that JSON cannot carry raises `InvalidValue` and changes
    nothing. Not for use by several threads at once.

    **Size.** A commit only counts the bytes of its patch: they hold all that it puts in, so they bound how much the
    document has grown. When they could have brought it past the limit, the document is measured, by encoding it, and
    then again after a sixteenth of the limit at the soonest, since one that stays just below the limit would otherwise
    be encoded at each commit. So what is refused is larger than the limit, and what is kept exceeds it by a sixteenth
    at most.

    Args:
        revision: What it begins with, and counts on from.
        guard: Called with the container before each mutation of one of this document; it refuses that by raising.
            Containers that a kept transaction took out, or a rolled back one put in, are nobody's: mutating them calls
            nothing.
        max_size: Bytes that it may have as JSON; None for any number.
    """

    __slots__ = ("_frozen", "_journal", "_max_size", "_revision", "_room")

    def __init__(self, *, guard: Guard = nothing, revision: int = 0, max_size: int | None = None) -> None:
        self._journal = Journal(guard=guard, dict_type=ObservedDict, list_type=ObservedList)
        self._journal.root = check_and_copy({}, self._journal, 1)
        # The root was made fresh, that is, as if told: from the next transaction on, changes are recorded.
        self._journal.keep()
        self._revision = revision
        # What `snapshot()` gives while another thread may be at work on the data; None else.
        self._frozen: Committed | bytes | None = None
        self._max_size = max_size
        # Bytes that patches may still have before the document must be measured.
        self._room: float = inf if max_size is None else max_size

    def __repr__(self) -> str:
        changed = ", changed" if self.changed else ""
        return f"<JsonDocument at revision {self._revision}{changed}>"

    @property
    def root(self) -> ObservedDict:
        """The live data. Asking for it calls no guard."""
        root: ObservedDict = self._journal.root
        return root

    @property
    def revision(self) -> int:
        """Of the last committed state: it rises by one with each commit that changed something."""
        return self._revision

    @property
    def changed(self) -> bool:
        """Whether uncommitted changes exist."""
        return bool(self._journal.operations)

    @property
    def changes(self) -> Sequence[Mapping[str, Any]]:
        """The operations that tell what is uncommitted, so far; their values are live, and more may follow."""
        return self._journal.operations

    def replace(self, value: Mapping[str, Any]) -> None:
        """Replace the root with a copy of `value`; the root itself, given again, is no change.

        Raises:
            InvalidValue: It is not a mapping, or has something that JSON cannot carry.
        """
        journal = self._journal
        journal.guard(journal.root)
        if value is journal.root:  # what `data |= {...}` ends with
            return
        if not isinstance(value, Mapping):
            raise InvalidValue(f'at "": the root must be a dict, got {type(value).__qualname__}; put it under a key')
        try:
            root = check_and_copy(value if isinstance(value, dict) else dict(value), journal, 1)
        except Unfit as unfit:
            raise unfit.refusal("") from None
        journal.added.append(root)
        journal.detach(journal.root)
        journal.entries.append(swap_root(journal, root))
        # The new root is fresh, so nothing that follows in this transaction is told again.
        journal.operations = [{"op": "replace", "path": "", "value": root}]

    def successor(self) -> JsonDocument:
        """An empty document to take this one's place: it has the same guard and limit, and revisions count on."""
        return JsonDocument(guard=self._journal.guard, revision=self._revision, max_size=self._max_size)

    def restore(self, snapshot: bytes) -> None:
        """Replace everything by what a `snapshot()` had."""
        self.replace(_decode_root(snapshot))

    def commit(self) -> Patch | None:
        """Keep what changed; see `StoredDocument.commit`. Containers that were taken out become free.

        Raises:
            InvalidValue: It would be larger than it may be. All is as before the call: roll back, or make it smaller.
        """
        journal = self._journal
        if not journal.operations:
            # Nothing was mutated. What may be there are copies that a refused mutation had made.
            if journal.entries or journal.added:
                journal.take_back()
            return None
        encoded = _encode(journal.operations)
        self._room -= len(encoded)
        if self._room < 0:
            self._measure()
        journal.keep()
        base = self._revision
        self._revision = base + 1
        return Patch(base=base, revision=base + 1, encoded=encoded)

    def check_size(self) -> None:
        """See `StoredDocument.check_size`."""
        if self._room < len(_encode(self._journal.operations)):
            self._measure()

    def _measure(self) -> None:
        """Measure the document; if it is too large refuse it, and measure again the next time."""
        assert self._max_size is not None
        size = len(_encode(self._journal.root))
        if size > self._max_size:
            self._room = 0
            raise InvalidValue(
                f"the document would have {size:,} bytes as JSON, but at most {self._max_size:,} are allowed"
                " (max_document_size); keep less in it, such as only the newest rows, or only what is shown"
            )
        self._room = max(self._max_size - size, self._max_size // 16)

    def roll_back(self) -> None:
        """Go back to the last commit: the same container objects, contents and order of keys."""
        self._journal.take_back()

    def snapshot(self) -> bytes:
        """The last committed state as JSON; a transaction that is open stays open, with all its changes."""
        if self._frozen is not None:
            return self._frozen.encoded(_encode) if isinstance(self._frozen, Committed) else self._frozen
        journal = self._journal
        if not journal.entries:
            return _encode(journal.root)
        journal.swap_all()
        try:
            return _encode(journal.root)
        finally:
            journal.swap_all()

    def freeze(self, lock: AbstractContextManager[object]) -> None:
        """From now on, a snapshot is of the state that is committed now, also while another thread mutates the data.

        That lasts until `thaw()`: the owner calls both, and nothing but `snapshot()` meanwhile. `lock` keeps the two
        threads apart for a moment, see `committed`.
        """
        journal = self._journal
        if journal.entries:  # in a transaction, which is rare: hooks that share one
            self._frozen = self.snapshot()
        else:
            self._frozen = committed = Committed(journal.root, guard=journal.guard, lock=lock)
            journal.guard = committed.before

    def thaw(self) -> None:
        """End what `freeze()` began."""
        if isinstance(self._frozen, Committed):
            self._journal.guard = self._frozen.guard
        self._frozen = None
