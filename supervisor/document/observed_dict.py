"""The dicts of a JSON document: plain for reading, observed when mutated. Pure.

Every method that reads is inherited, so reading and encoding cost the same as with the plain types. Every method that
mutates takes the same steps, in lists too: run the caller's code (iterables, sort keys), call the guard, check and copy
the new values, add an entry to the journal, mutate, record an operation. A refusal comes before the mutation, so that
the document stays as it was; `update()` or `extend()` is done completely or not at all.

Values are copied when they are put in, even those from the same document. Only a container that is assigned to where it
already is stays the same object, as in `items["list"] += [1]`. Copies, sums, slices and pickles are plain.

A free container (see `journal.free`) behaves like its plain type in all of this.
"""

from __future__ import annotations

import copy
from typing import Any, Self, SupportsIndex, final

from supervisor.document.journal import ABSENT, Journal, Node, swap_items, swap_key
from supervisor.document.pointer import escape
from supervisor.document.values import (
    SCALAR_TYPES,
    Unfit,
    admitted,
    admitted_key,
    fit,
    refusal_at,
    same_scalar,
    same_value,
)

# Called as plain functions: on the hot path `super()` would cost as much as the mutation itself.
_dict_set = dict.__setitem__
_dict_get = dict.get


@final
class ObservedDict(dict[str, Any], Node):
    """A dict of a document. Never made by hand: put a plain dict into the document."""

    __slots__ = ("_owner", "_parent", "_step", "_told")

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """A free container."""
        node = dict.__new__(cls)
        node._owner = node._parent = None
        return node

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # On a living object this is one more way to mutate.
        self.update(*args, **kwargs)

    def __setitem__(self, key: str, value: Any) -> None:
        journal = self._owner
        if journal is None:
            _dict_set(self, key, value)
            return
        journal.guard(self)
        if type(key) is not str or not key.isascii():
            key = admitted_key(self, key)
        old = _dict_get(self, key, ABSENT)
        if old is value:
            return
        kind = type(value)
        if kind not in SCALAR_TYPES:
            value = admitted(self, key, value)
            if not same_value(old, value):
                self._put(journal, key, old, value)
            return
        # What follows is `admitted()` and `_put()` written out for scalars: what apps do most.
        try:
            fit(value)
        except Unfit as unfit:
            raise refusal_at(self, key, unfit) from None
        if type(old) is not kind:
            journal.detach(old)
        elif old == value and same_scalar(old, value):
            return
        journal.entries.append((swap_key, self, key, old))
        _dict_set(self, key, value)
        path = journal.path(self)
        if path is not None:
            if "~" in key or "/" in key:
                key = escape(key)
            name = "add" if old is ABSENT else "replace"
            journal.operations.append({"op": name, "path": f"{path}/{key}", "value": value})

    def __delitem__(self, key: str) -> None:
        journal = self._owner
        if journal is None:
            dict.__delitem__(self, key)
            return
        journal.guard(self)
        self._remove(journal, key, self[key])

    def update(self, *args: Any, **kwargs: Any) -> None:
        """See `dict.update`."""
        new: dict[str, Any] = {}
        new.update(*args, **kwargs)
        journal = self._owner
        if journal is None:
            dict.update(self, new)
            return
        journal.guard(self)
        # All are checked before the first is put.
        changes = []
        for key, value in new.items():
            if type(key) is not str or not key.isascii():
                key = admitted_key(self, key)
            old = _dict_get(self, key, ABSENT)
            if old is not value:
                value = admitted(self, key, value)
                if not same_value(old, value):
                    changes.append((key, old, value))
        for key, old, value in changes:
            self._put(journal, key, old, value)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """See `dict.setdefault`. A default that was put in is returned as it is in the document: the copy."""
        journal = self._owner
        if journal is None:
            return dict.setdefault(self, key, default)
        journal.guard(self)
        if key not in self:
            key = admitted_key(self, key)
            self._put(journal, key, ABSENT, admitted(self, key, default))
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """See `dict.pop`."""
        journal = self._owner
        if journal is None:
            return dict.pop(self, key, *default)
        journal.guard(self)
        if not self or key not in self or len(default) > 1:
            return dict.pop(self, key, *default)
        value = self[key]
        self._remove(journal, key, value)
        return value

    def popitem(self) -> tuple[str, Any]:
        """See `dict.popitem`."""
        journal = self._owner
        if journal is None:
            return dict.popitem(self)
        journal.guard(self)
        if not self:
            return dict.popitem(self)
        key = next(reversed(self))
        value = self[key]
        self._remove(journal, key, value)
        return key, value

    def clear(self) -> None:
        """See `dict.clear`."""
        journal = self._owner
        if journal is None:
            dict.clear(self)
            return
        journal.guard(self)
        if self:
            values = list(self.values())
            journal.entries.append(swap_items(self, {}))
            for value in values:
                journal.detach(value)
            journal.tell_whole(self)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        # Registered before it is filled: a free container may have been put into itself.
        memo[id(self)] = plain = {}
        for key, value in self.items():
            plain[key] = copy.deepcopy(value, memo)
        return plain

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def _put(self, journal: Journal, key: str, old: Any, value: Any) -> None:
        journal.entries.append((swap_key, self, key, old))
        _dict_set(self, key, value)
        journal.detach(old)
        path = journal.path(self)
        if path is not None:
            name = "add" if old is ABSENT else "replace"
            journal.operations.append({"op": name, "path": f"{path}/{escape(key)}", "value": value})

    def _remove(self, journal: Journal, key: str, old: Any) -> None:
        if type(key) is not str:
            # Something that equals the key, as members of a StrEnum do; the document has the key itself.
            key = next(own for own in self if own == key)
        if id(self) not in journal.ordered and next(reversed(self)) != key:
            journal.ordered.add(id(self))
            journal.entries.append((swap_items, self, dict(self)))
        journal.entries.append((swap_key, self, key, old))
        dict.__delitem__(self, key)
        journal.detach(old)
        path = journal.path(self)
        if path is not None:
            journal.operations.append({"op": "remove", "path": f"{path}/{escape(key)}"})
