"""One transaction of a JSON document: how to undo it, and the operations that tell it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress, count, repeat
from operator import is_
from typing import Any, Final, final

# Stands for "this key is not there"; None is a value.
ABSENT: Final = object()

# Called with a container before each mutation of it; raises if the caller may not make it.
Guard = Callable[["Node"], None]

# A function of this module and its arguments. The call undoes one mutation and gives the entry that redoes it.
Entry = tuple[Any, ...]

_NO_SLOTS: Final = ()


class Node:
    """What the journal knows of an observed container, which is a dict or a list and has the slots for it."""

    # Not written out here: the type checker would take it for all the slots there are.
    __slots__ = _NO_SLOTS

    # Whose mutations are recorded: None once the container is free, that is, in no document.
    _owner: Journal | None
    # The container it is in. None for the root, and for a container that was taken out in this transaction.
    _parent: Node | None
    # From the parent to here: "/key", escaped, or the index in a list, where it is only a hint.
    _step: str | int
    # The transaction of which an operation already carries the whole content (see `Journal.path`).
    _told: int


@final
class Journal:
    """The open transaction of one document, and the document's root.

    **Undo and redo are one.** Each mutation leaves one entry that holds the container and what was in the place before.
    Undoing swaps what is in the place with what the entry holds, and returns an entry of the same form: the one that
    swaps back. So a whole transaction can be undone and redone any number of times, and containers come back as the
    same objects with the same contents. A rollback is "swap all, newest first", and a snapshot of the committed state
    while a transaction is open is "swap all, encode, swap all again".

    **Every mutation of an owned container leaves an entry**, even where no operation is recorded: in fresh containers,
    and in those that were taken out and are still held by the app's code. Otherwise a rollback would bring them back
    with contents of another time.

    **The order of keys is kept by one more entry**, since a deleted key that is put back comes last. Before the first
    deletion in a dict of a key that isn't its last, an entry with all items is recorded; it is undone after all of that
    dict's deletions, and sets the order. One is enough: keys that no entry touches never change their order relative to
    each other, and those that a redo puts in come last, in the order in which they were put.
    """

    __slots__ = (
        "added",
        "detached",
        "dict_type",
        "entries",
        "guard",
        "list_type",
        "operations",
        "ordered",
        "root",
        "transaction",
    )

    def __init__(self, *, guard: Guard, dict_type: type[dict[str, Any]], list_type: type[list[Any]]) -> None:
        # Of the document; another one in its place while that is lent to a thread.
        self.guard = guard
        # What plain dicts and lists become in this document. Told from above: they know the journal.
        self.dict_type = dict_type
        self.list_type = list_type
        self.root: Any = None
        # Rises with each transaction, so that marks left in containers expire by themselves.
        self.transaction = 1
        self.entries: list[Entry] = []
        self.operations: list[dict[str, Any]] = []
        # Outermost containers that were copied in: a rollback frees them.
        self.added: list[Node] = []
        # Containers that were taken out of their place: a commit frees those that are still in none.
        self.detached: list[Node] = []
        # The ids of dicts of which the order of keys was recorded.
        self.ordered: set[int] = set()

    def path(self, node: Node) -> str | None:
        """The pointer of `node` for an operation, or None where no operation is to be recorded.

        **What was told once is not told again.** An operation's value may be a live container of the document: one
        copied in by this transaction, or one that a sort or a large change sends as a whole. Operations are encoded at
        the commit, so such a value carries all that happens in the container until then. A later operation for a change
        inside it would come on top of a value that already has the change: an append would be applied twice. Hence
        nothing is recorded inside a container that was told, however deep, nor in one that was taken out, which the
        document doesn't have any more.
        """
        path = ""
        transaction = self.transaction
        while node._told != transaction:
            parent = node._parent
            if parent is None:
                return path if node is self.root else None
            step: Any = node._step
            if type(step) is str:
                path = step + path
            else:
                siblings: Any = parent
                if not (step < len(siblings) and siblings[step] is node):
                    step = node._step = _searched(siblings, node)
                path = f"/{step}{path}"
            node = parent
        return None

    def pointer(self, node: Node) -> str:
        """The pointer of `node`, for people to read; of a container that was taken out, from the outermost one."""
        path = ""
        while (parent := node._parent) is not None:
            step = node._step
            path = (step if type(step) is str else f"/{_searched(parent, node)}") + path
            node = parent
        return path

    def tell_whole(self, node: Node) -> None:
        """Record one operation that carries all of `node`, instead of one for each change in it."""
        path = self.path(node)
        if path is None:
            return
        if not path:
            # The whole document: nothing that was told before matters.
            self.operations.clear()
        self.operations.append({"op": "replace", "path": path, "value": node})
        node._told = self.transaction

    def detach(self, value: object) -> None:
        """Note that `value` left its place, if it is a container."""
        if isinstance(value, Node):
            value._parent = None
            self.detached.append(value)

    def swap_all(self) -> None:
        """Undo all mutations of the transaction, or redo them when they are undone."""
        swapped = []
        for swap, *arguments in reversed(self.entries):
            swapped.append(swap(*arguments))
        self.entries = swapped

    def keep(self) -> None:
        """End the transaction with its changes kept."""
        if self.detached:  # a sort detaches what it puts back at once; only what has no place is free
            free([node for node in self.detached if node._parent is None])
        self._begin()

    def take_back(self) -> None:
        """End the transaction with everything as it was at its start."""
        self.swap_all()
        free(self.added)
        self._begin()

    def _begin(self) -> None:
        self.transaction += 1
        self.entries = []
        self.operations = []
        # Most transactions put in no container and take out none.
        if self.added:
            self.added = []
        if self.detached:
            self.detached = []
        if self.ordered:
            self.ordered.clear()


def free(nodes: Iterable[Node]) -> None:
    """Make plain containers of `nodes` and all in them: no owner, no guard, and no reference back to a parent.

    Without references back they make no cycle, so they vanish when the app's code lets go of them.
    """
    pending: list[Any] = list(nodes)
    while pending:
        node = pending.pop()
        node._owner = node._parent = None
        items = node.values() if isinstance(node, dict) else node
        pending.extend([item for item in items if isinstance(item, Node)])


def _searched(parent: Any, node: Node) -> int:
    # By identity and in C; list.index() would compare contents.
    return next(compress(count(), map(is_, parent, repeat(node))))


def swap_key(node: Any, key: str, value: object) -> Entry:
    """Put `value` at `key` of a dict, or delete the key if the value is ABSENT."""
    current = dict.get(node, key, ABSENT)
    _let_go((current,))
    if value is ABSENT:
        dict.__delitem__(node, key)
    else:
        dict.__setitem__(node, key, value)
    _adopt(node, (value,))
    return (swap_key, node, key, current)


def swap_items(node: Any, items: dict[str, Any]) -> Entry:
    """Give a dict other items, in their order."""
    current = dict(node)
    _let_go(current.values())
    dict.clear(node)
    dict.update(node, items)
    _adopt(node, items.values())
    return (swap_items, node, current)


def swap_slice(node: Any, start: int, size: int, values: Sequence[Any]) -> Entry:
    """Replace the `size` items of a list from `start` on with `values`."""
    current = node[start : start + size]
    _let_go(current)
    list.__setitem__(node, slice(start, start + size), values)
    _adopt(node, values)
    return (swap_slice, node, start, len(values), current)


def swap_root(journal: Journal, root: Node) -> Entry:
    """Give the document another root."""
    current = journal.root
    journal.root = root
    return (swap_root, journal, current)


def _let_go(values: Iterable[object]) -> None:
    for value in values:
        if isinstance(value, Node):
            value._parent = None


def _adopt(node: Node, values: Iterable[object]) -> None:
    for value in values:
        if isinstance(value, Node):
            value._parent = node
