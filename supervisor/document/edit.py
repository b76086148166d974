"""Edits: one change to a document's content that a client asked for, made by plain mutation. Pure.

Safe for untrusted edits from a JSON decoder: an edit that doesn't fit raises `PatchError` and changes nothing.
"""

from __future__ import annotations

from typing import Any, Literal, final

import attrs

from supervisor.document import pointer
from supervisor.errors import PatchError

EditName = Literal["set", "insert", "remove"]


@final
@attrs.frozen(kw_only=True)
class EditOperation:
    """What is to be done, and where."""

    op: EditName
    """`set` a key, which may be new, or an index that is there; `insert` before an index, or at the end; `remove`."""
    keys: tuple[str | int, ...]
    """From the root to the place, at least one: keys of dicts are str, indexes of lists are int."""
    value: Any = None
    """Of `set` and `insert`."""


def check_edit(root: Any, edit: EditOperation) -> None:
    """Raise `PatchError` unless the edit fits the document."""
    _holder(root, edit)


def apply_edit(root: Any, edit: EditOperation) -> None:
    """Do it, to the containers of a document or to plain ones.

    Raises:
        PatchError: it doesn't fit
        InvalidValue: the document can't take the value
    """
    holder = _holder(root, edit)
    last = edit.keys[-1]
    if edit.op == "set":
        holder[last] = edit.value
    elif edit.op == "insert":
        holder.insert(last, edit.value)
    else:
        del holder[last]


def _holder(root: Any, edit: EditOperation) -> Any:
    """The container that is to be changed, once it is clear that it can be."""
    holder = root
    for key in edit.keys[:-1]:
        if not _has(holder, key):
            raise _unfit(edit)
        holder = holder[key]
    last = edit.keys[-1]
    if type(last) is int:
        fits = isinstance(holder, list) and 0 <= last < len(holder) + (edit.op == "insert")
    else:
        fits = isinstance(holder, dict) and (edit.op == "set" or (edit.op == "remove" and last in holder))
    if not fits:
        raise _unfit(edit)
    return holder


def _has(holder: Any, key: str | int) -> bool:
    if type(key) is int:
        return isinstance(holder, list) and 0 <= key < len(holder)
    return isinstance(holder, dict) and key in holder


def _unfit(edit: EditOperation) -> PatchError:
    return PatchError(f'"{pointer.join(edit.keys)}" is not there, or can\'t be edited so')
