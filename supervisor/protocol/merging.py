"""Merging: consecutive patches as one, for a client that reads slowly. Pure.

The law: for every document that the first patch fits, the merged patch has the same result as all of them in order. And
an edit that is carried over the merged patch (see `carrying`) comes out as if carried over all of them.

Essay: what is left out. An operation is left out when a later one overwrites everything that it did: a `replace`, a
`remove`, or an `add` of a key, at its place or above. Nothing is reordered, and no value is looked at, so what is kept
is kept byte for byte. Two conditions must hold.

* Both paths mean the same place. With keys of objects they do, unless something above is replaced, and then what was
  below is left out anyway. Indexes move: an operation that adds or removes one shifts those behind it. Paths don't say
  whether "3" is a key or an index. So an operation that adds or removes, with an index as its last step, makes all
  places in the same container unknown: what was done there can't be found by a path any more, and is left out only
  together with the container. A place that was added or removed, and then replaced, keeps both operations, because the
  first decides which of an array's items the second means.
* An edit that is lost by the operation left out is also lost by the later one. An edit that goes by keys survives a
  `replace` above it, but not a `remove`. So a container in which something was removed keeps everything that was done
  in it, unless it is removed itself.

The places form a tree. Each operation enters it once and leaves it at most once, so the time for a patch depends only
on the number of its operations, not on how many came before.
"""

from __future__ import annotations

import re
from typing import final

import attrs
import msgspec

from supervisor.protocol.messages import OperationName
from supervisor.protocol.pointer import split

_INDEX = re.compile(r"[0-9]+", re.ASCII)


@final
class _Place(msgspec.Struct, frozen=True):
    op: OperationName
    path: str


@final
class _Patch(msgspec.Struct, frozen=True, rename={"base": "from", "revision": "to"}):
    base: int
    revision: int
    operations: list[msgspec.Raw]


_patch_decoder = msgspec.json.Decoder(_Patch)
_place_decoder = msgspec.json.Decoder(_Place)


@final
@attrs.define(eq=False)
class _Node:
    """One place, and the operations that are kept of it; by their numbers."""

    children: dict[str, _Node] = attrs.field(factory=dict)
    # At just this place, while it can be found by its path; and what is kept of below, once that was overwritten.
    own: list[int] = attrs.field(factory=list)
    # Whether the last of those is a replace: the next one overwrites it.
    is_replaced: bool = False
    # Somewhere below, where no path leads any more.
    inside: list[int] = attrs.field(factory=list)
    # Whether something was removed below since it was overwritten.
    has_removal: bool = False


@final
class Merger:
    """The patches that one client has yet to be sent, as one patch. Give each to `add`, in order."""

    __slots__ = ("_base", "_operations", "_root", "_size", "_total", "is_open", "patches", "revision")

    def __init__(self) -> None:
        self._base = 0
        self.revision = 0
        """What the last patch led to."""
        self.patches = 0
        """How many were merged."""
        self.is_open = True
        """Whether more are to be merged into it; for its owner, who may change it."""
        # By number, in order; those that were left out are gone.
        self._operations: dict[int, bytes] = {}
        self._total = 0
        self._size = 0
        self._root = _Node()

    def add(self, message: bytes) -> bool:
        """Take one more patch message. False: it doesn't follow the ones before, or is none that can be merged."""
        try:
            patch = _patch_decoder.decode(message)
            places = [_place_decoder.decode(operation) for operation in patch.operations]
            paths = [split(place.path) for place in places]
        except (msgspec.MsgspecError, ValueError):
            return False
        if self.patches and patch.base != self.revision:
            return False
        if not self.patches:
            self._base = patch.base
        self.revision = patch.revision
        self.patches += 1
        for place, path, operation in zip(places, paths, patch.operations, strict=True):
            self._add(place.op, path, bytes(operation))
        return True

    @property
    def size(self) -> int:
        """Bytes of the operations that are kept."""
        return self._size

    def message(self) -> bytes:
        """The patch message that stands for all of them."""
        operations = b",".join(self._operations.values())
        return b'{"type":"patch","from":%d,"to":%d,"operations":[%b]}' % (self._base, self.revision, operations)

    def __len__(self) -> int:
        """How many operations are kept."""
        return len(self._operations)

    def _add(self, op: OperationName, path: tuple[str, ...], operation: bytes) -> None:
        number = self._total
        self._total += 1
        self._operations[number] = operation
        self._size += len(operation)
        holder, node = None, self._root
        for step in path:
            holder = node
            if op == "remove":
                node.has_removal = True
            child = node.children.get(step)
            if child is None:
                child = node.children[step] = _Node()
            node = child
        last = path[-1] if path else ""
        adds_or_removes_index = op != "replace" and (last == "-" or _INDEX.fullmatch(last) is not None)
        if op != "add" or not adds_or_removes_index:
            self._overwrite(node, is_removed=op == "remove")
        if not adds_or_removes_index or holder is None:
            node.own.append(number)
            # At the root, to add is to replace (RFC 6902, 4.1).
            node.is_replaced = op == "replace" or holder is None
            return
        if last == "-":  # nothing is shifted; were it a key, its place would be another one
            self._forget(holder, last)
        else:
            for step in list(holder.children):
                self._forget(holder, step)
        holder.inside.append(number)

    def _overwrite(self, node: _Node, *, is_removed: bool) -> None:
        """Leave out the replace that stands there, and what was done below since."""
        for step in list(node.children):
            self._forget(node, step)
        if is_removed or not node.has_removal:
            self._leave_out(node.inside)
            if node.is_replaced:
                self._leave_out([node.own.pop()])
        else:  # what is removed below needs all that came before it
            node.own += node.inside
        node.inside = []
        node.has_removal = node.is_replaced = False

    def _leave_out(self, numbers: list[int]) -> None:
        for number in numbers:
            self._size -= len(self._operations.pop(number))

    def _forget(self, holder: _Node, step: str) -> None:
        """From now on no path leads to what was done there."""
        holder.inside += _all_in(holder.children.pop(step))


def _all_in(node: _Node) -> list[int]:
    """All operations at a place and below; without recursion, since a path has as many steps as it likes."""
    numbers: list[int] = []
    nodes = [node]
    while nodes:
        node = nodes.pop()
        numbers += node.own
        numbers += node.inside
        nodes += node.children.values()
    return numbers
