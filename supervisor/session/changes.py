"""Listeners to a session's document: they are called after each kept transaction, in turns of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, final

import attrs

from supervisor.actor.call_check import check_takes
from supervisor.actor.callbacks import CallbackHandle, Callbacks
from supervisor.document import pointer
from supervisor.document.base import Patch
from supervisor.document.json_document import decode_patch
from supervisor.errors import PatchError
from supervisor.session.connection import ConnectionContext

MAX_WAITING = 1_000
"""Changes that wait for one listener, as many as next ticks may; past it they are summed up."""


@final
@attrs.frozen(kw_only=True)
class Change:
    """What one kept transaction changed at a place, or in or above it: see `Document.on_change()`."""

    path: str
    """The place that was asked for, as a JSON Pointer (RFC 6901)."""
    operations: tuple[dict[str, Any], ...]
    """The transaction's JSON Patch operations (RFC 6902) that concern the place, in order, as a copy of plain data:
    `{"op": "replace", "path": "/days/monday", "value": "swim"}`.

    Empty if more changed than could be remembered, or if the session was restarted: look at the data.
    """
    connection: ConnectionContext | None
    """Whose message or edit changed it; None if it was the server's own code."""


@final
class _Listener:
    """One function, and what it has yet to be told."""

    def __init__(self, path: str, func: Callable[[Any, Change], Any], document: Any) -> None:
        self.path = path
        self.steps = pointer.split(path)
        self.waiting: deque[Change] = deque()
        self.handle: CallbackHandle | None = None
        # Whether its tick is in the mailbox.
        self.queued = False
        # While its function runs: what it changes itself is not told to it.
        self.in_hand = False
        self._func = func
        self._document = document

    def tell(self) -> Any:
        """Call the function with the change that waits longest."""
        change = self.waiting.popleft()
        self.queued = False
        self.in_hand = True
        return self._func(self._document, change)

    def concerned(self, operation: dict[str, Any]) -> bool:
        """Whether the operation is at the place, in it, or above it."""
        steps = pointer.split(operation["path"])
        shared = min(len(steps), len(self.steps))
        return steps[:shared] == self.steps[:shared]


@final
class ChangeListeners:
    """The listeners of one session."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self.any: list[_Listener] = []
        """Empty while nobody listens: what a commit looks at, with no call."""

    def add(self, path: str, func: Callable[[Any, Change], Any], document: Any) -> CallbackHandle:
        """See `Document.on_change`."""
        try:
            listener = _Listener(path, func, document)
        except PatchError as error:
            raise ValueError(f"a path in the document is a JSON Pointer such as /notes: {error}") from None
        if "*" in listener.steps:
            above = pointer.join(listener.steps[: listener.steps.index("*")])
            raise ValueError(f"on_change() takes one path and no pattern, not {path!r}; listen to {above!r}")
        check_takes(func, ("doc", "change"))
        listener.handle = self._callbacks.add_listener(func, listener.tell, lambda: self._told(listener))
        if listener.handle.active:
            self.any.append(listener)
        return listener.handle

    def committed(self, patch: Patch, connection: ConnectionContext | None) -> None:
        """A transaction was kept."""
        decoded: list[dict[str, Any]] | None = None
        for listener in self.any[:]:
            assert listener.handle is not None
            if not listener.handle.active:
                self.any.remove(listener)
                continue
            if listener.in_hand:
                continue
            if decoded is None:
                decoded = decode_patch(patch)
            operations = tuple(each for each in decoded if listener.concerned(each))
            if not operations:
                continue
            decoded = None  # for the next one anew, because what they get is theirs
            if len(listener.waiting) >= MAX_WAITING:
                listener.waiting.clear()
                operations, connection = (), None
            listener.waiting.append(Change(path=listener.path, operations=operations, connection=connection))
            self._ring(listener)

    def renewed(self) -> None:
        """The document is another one: remaining listeners hear this instead of the changes that were due."""
        self.any = [listener for listener in self.any if listener.handle is not None and listener.handle.active]
        for listener in self.any:
            listener.waiting.clear()
            listener.waiting.append(Change(path=listener.path, operations=(), connection=None))
            self._ring(listener)

    def _told(self, listener: _Listener) -> None:
        """Its function is through, one way or another."""
        listener.in_hand = False
        if listener.waiting:
            self._ring(listener)

    def _ring(self, listener: _Listener) -> None:
        assert listener.handle is not None
        if not listener.queued and listener.handle.active:
            listener.queued = True
            self._callbacks.ring(listener.handle)
