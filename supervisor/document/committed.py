"""The committed state of a document while it is lent to another thread, which changes it. Pure.

Essay: copy on write, container by container. The thread mutates the live containers, while the loop may want the
committed state at any moment. Encoding it beforehand would cost the whole document for each loan, and most loans are
never asked about. So each container is copied, without its contents, just before its first mutation, and so are the
containers around it. Then copies are found from the root through copies alone, and a container without a copy is
unchanged. A thread that changes one number in a large document copies the few containers on the way there; one that
changes nothing copies nothing.

The lock is held while containers are copied, and while containers without a copy are encoded. Nothing is mutated
meanwhile. So the encoder waits for at most one copy, and the thread, at its first mutation of a container, for at most
one encoding. A container with a copy is changed without the lock, since nobody reads it any more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, final

from supervisor.document.journal import Guard, Node


@final
class Committed:
    """The state of a document in which nothing is uncommitted.

    Args:
        root: of the document; the containers in it are live.
        guard: the document's own; `before` takes its place.
        lock: for the two threads.
    """

    __slots__ = ("_copies", "_lock", "_root", "guard")

    def __init__(self, root: Node, *, guard: Guard, lock: AbstractContextManager[object]) -> None:
        self.guard = guard
        self._root = root
        self._lock = lock
        # Of each container that was mutated since, and of those around it, what it had; by the container's id. All
        # that the document had stays alive meanwhile, by its place in the document or in one of these copies.
        self._copies: dict[int, dict[str, Any] | list[Any]] = {}

    def before(self, node: Node) -> None:
        """Called before each mutation, in the thread that makes it."""
        self.guard(node)
        if id(node) not in self._copies:
            with self._lock:
                self._copy(node)

    def _copy(self, node: Node | None) -> None:
        # What was taken out has no parent any more, but where it was taken from has its copy already.
        while node is not None and id(node) not in self._copies:
            self._copies[id(node)] = dict(node) if isinstance(node, dict) else list(node)  # type: ignore[call-overload]
            node = node._parent

    def encoded(self, encode: Callable[[Any], bytes]) -> bytes:
        """The state, encoded; called in the other thread."""
        with self._lock:
            return encode(self._was(self._root))

    def _was(self, node: Any) -> Any:
        """The node with what it had, as plain containers wherever anything was changed."""
        copies = self._copies
        copy = copies.get(id(node))
        if copy is None:
            return node
        if isinstance(copy, dict):
            return {key: self._was(item) if id(item) in copies else item for key, item in copy.items()}
        return [self._was(item) if id(item) in copies else item for item in copy]
