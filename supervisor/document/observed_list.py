"""The lists of a JSON document: plain for reading, observed when mutated. Pure.

The rules of `observed_dict` apply here too.

C code that bypasses the methods goes unnoticed: `heapq` on a list of the document is the one case in the standard
library. Use it on a copy, and assign that back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from operator import index as as_index
from operator import is_
from typing import Any, Self, SupportsIndex, final

from supervisor.document.journal import Journal, Node, swap_slice
from supervisor.document.values import admitted, same_value


@final
class ObservedList(list[Any], Node):
    """A list of a document. Never made by hand: put a plain list into the document."""

    __slots__ = ("_owner", "_parent", "_step", "_told")

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """A free container."""
        node = list.__new__(cls)
        node._owner = node._parent = None
        return node

    def __init__(self, *args: Any) -> None:
        # On a living object this is one more way to mutate.
        self[:] = list(*args)

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) is slice:
            self._set_slice(index, value)
            return
        journal = self._owner
        if journal is None:
            list.__setitem__(self, index, value)
            return
        journal.guard(self)
        if type(index) is not int or not 0 <= index < len(self):
            index = _position(self, index, "list assignment index out of range")
        old = self[index]
        if old is value:
            return
        value = admitted(self, index, value)
        if not same_value(old, value):
            self._put(journal, index, old, value)

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        journal = self._owner
        if journal is None:
            list.__delitem__(self, index)
            return
        journal.guard(self)
        if not isinstance(index, slice):
            self._remove(journal, _position(self, index, "list assignment index out of range"))
            return
        start, stop, step = index.indices(len(self))
        if step == 1:
            self._splice(journal, start, max(start, stop), [])
        else:
            # From the end, so that no removal moves what the next one is about.
            for position in sorted(range(start, stop, step), reverse=True):
                self._remove(journal, position)

    def append(self, value: Any) -> None:
        """See `list.append`."""
        journal = self._owner
        if journal is None:
            list.append(self, value)
            return
        journal.guard(self)
        position = len(self)
        value = admitted(self, position, value)
        journal.entries.append((swap_slice, self, position, 1, ()))
        list.append(self, value)
        path = journal.path(self)
        if path is not None:
            journal.operations.append({"op": "add", "path": f"{path}/{position}", "value": value})

    def extend(self, values: Iterable[Any]) -> None:
        """See `list.extend`."""
        values = list(values)
        journal = self._owner
        if journal is None:
            list.extend(self, values)
            return
        journal.guard(self)
        end = len(self)
        self._splice(journal, end, end, [admitted(self, at, value) for at, value in enumerate(values, end)])

    def __iadd__(self, values: Iterable[Any]) -> Self:  # type: ignore[misc]
        self.extend(values)
        return self

    def __imul__(self, factor: SupportsIndex) -> Self:
        if self._owner is None:
            return list.__imul__(self, factor)
        repeated = list(self) * factor
        if repeated:
            self.extend(repeated[len(self) :])
        else:
            self.clear()
        return self

    def insert(self, index: SupportsIndex, value: Any) -> None:
        """See `list.insert`."""
        journal = self._owner
        if journal is None:
            list.insert(self, index, value)
            return
        journal.guard(self)
        position = as_index(index)
        if position < 0:
            position = max(0, position + len(self))
        position = min(position, len(self))
        self._splice(journal, position, position, [admitted(self, position, value)])

    def pop(self, index: SupportsIndex = -1) -> Any:
        """See `list.pop`."""
        journal = self._owner
        if journal is None:
            return list.pop(self, index)
        journal.guard(self)
        as_index(index)
        position = _position(self, index, "pop index out of range" if self else "pop from empty list")
        return self._remove(journal, position)

    def remove(self, value: Any) -> None:
        """See `list.remove`."""
        try:
            position = self.index(value)
        except ValueError:
            raise ValueError("list.remove(x): x not in list") from None
        del self[position]

    def clear(self) -> None:
        """See `list.clear`."""
        del self[:]

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        """See `list.sort`. Unlike there, a key or a comparison that raises leaves the order as it was."""
        before = list(self)
        after = sorted(before, key=key, reverse=reverse)
        if len(self) != len(before) or not all(map(is_, self, before)):
            raise ValueError("list modified during sort")
        self._arrange(after)

    def reverse(self) -> None:
        """See `list.reverse`."""
        self._arrange(self[::-1])

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        plain: list[Any] = []
        memo[id(self)] = plain
        plain.extend(copy.deepcopy(value, memo) for value in self)
        return plain

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return list, (list(self),)

    def _set_slice(self, index: slice, new: Iterable[Any]) -> None:
        values: list[Any] = []
        values[:] = new  # in words of its own it refuses what is no iterable
        journal = self._owner
        if journal is None:
            list.__setitem__(self, index, values)
            return
        journal.guard(self)
        start, stop, step = index.indices(len(self))
        if step == 1:
            stop = max(start, stop)
            head, tail = _common_ends(self[start:stop], values)
            start, stop, values = start + head, stop - tail, values[head : len(values) - tail]
            values = [admitted(self, at, value) for at, value in enumerate(values, start)]
            self._splice(journal, start, stop, values)
            return
        positions = range(start, stop, step)
        if len(values) != len(positions):
            raise ValueError(
                f"attempt to assign sequence of size {len(values)} to extended slice of size {len(positions)}"
            )
        changes = [
            (at, admitted(self, at, value))
            for at, value in zip(positions, values, strict=True)
            if not same_value(self[at], value)
        ]
        for at, value in changes:
            self._put(journal, at, self[at], value)

    def _arrange(self, after: list[Any]) -> None:
        """Take on the order of `after`, which has the very items of this list."""
        journal = self._owner
        if journal is None:
            list.__setitem__(self, slice(None), after)
            return
        journal.guard(self)
        head, tail = _common_ends(self, after)
        self._splice(journal, head, len(self) - tail, after[head : len(after) - tail])

    def _put(self, journal: Journal, index: int, old: Any, value: Any) -> None:
        journal.entries.append((swap_slice, self, index, 1, (old,)))
        list.__setitem__(self, index, value)
        journal.detach(old)
        path = journal.path(self)
        if path is not None:
            journal.operations.append({"op": "replace", "path": f"{path}/{index}", "value": value})

    def _remove(self, journal: Journal, index: int) -> Any:
        old = list.pop(self, index)
        journal.entries.append((swap_slice, self, index, 0, (old,)))
        journal.detach(old)
        path = journal.path(self)
        if path is not None:
            journal.operations.append({"op": "remove", "path": f"{path}/{index}"})
        return old

    def _splice(self, journal: Journal, start: int, stop: int, values: list[Any]) -> None:
        """Put `values`, which are admitted or are those very items, in the place from `start` to `stop`."""
        old = self[start:stop]
        if not old and not values:
            return
        for value in old:
            journal.detach(value)
        # The swap gives items that are in both, after a sort, their place back.
        journal.entries.append(swap_slice(self, start, len(old), values))
        touched = max(len(old), len(values))
        if touched > 1 and touched > len(self) - len(values):
            # Most of the list is new: sent as a whole it is shorter than one operation for each item.
            journal.tell_whole(self)
            return
        path = journal.path(self)
        if path is None:
            return
        add = journal.operations.append
        both = min(len(old), len(values))
        for at, value in enumerate(values, start):
            if at < start + both:
                if same_value(old[at - start], value):
                    continue
                add({"op": "replace", "path": f"{path}/{at}", "value": value})
            else:
                add({"op": "add", "path": f"{path}/{at}", "value": value})
            if isinstance(value, Node):
                # After a sort it is no fresh one, but this operation carries all of it.
                value._told = journal.transaction
        for _ in range(both, len(old)):
            add({"op": "remove", "path": f"{path}/{start + both}"})


def _common_ends(old: list[Any], new: list[Any]) -> tuple[int, int]:
    """How many items at the start, and of the rest how many at the end, are the same in both lists."""
    limit = min(len(old), len(new))
    head = tail = 0
    while head < limit and same_value(old[head], new[head]):
        head += 1
    while tail < limit - head and same_value(old[-1 - tail], new[-1 - tail]):
        tail += 1
    return head, tail


def _position(node: list[Any], index: SupportsIndex, complaint: str) -> int:
    if not hasattr(type(index), "__index__"):
        raise TypeError(f"list indices must be integers or slices, not {type(index).__name__}")
    position = as_index(index)
    if position < 0:
        position += len(node)
    if not 0 <= position < len(node):
        raise IndexError(complaint)
    return position
