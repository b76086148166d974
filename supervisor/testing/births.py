"""Threads that are started and sockets that are made: told to who watches, at that moment, with the frame that does it.

While anybody watches, `threading.Thread.start` and `socket.socket.__init__` stand behind ours. Python's audit events
would do without, but tell of threads from version 3.12 on only, and a hook for them can never be taken away.
"""

from __future__ import annotations

import functools
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, final

Watch = Callable[[object, FrameType], object]
"""Watch(thing, frame): a `threading.Thread` or a `socket.socket`, and the frame that makes it; in any thread."""


@final
class _Process:
    """What of the standard library is ours while anybody watches."""

    def __init__(self) -> None:
        # Blocks of several trio runs, each in a thread of its own, may begin and end at the same time.
        self._lock = threading.Lock()
        self._watches: list[Watch] = []
        # For each method that is ours: its class and name, what it was, and what it is.
        self._replaced: list[tuple[type, str, Callable[..., Any], Callable[..., Any]]] = []

    def begin(self, watch: Watch) -> None:
        with self._lock:
            if not self._watches:
                self._replace(threading.Thread, "start")
                self._replace(socket.socket, "__init__")
            self._watches.append(watch)

    def end(self, watch: Watch) -> None:
        with self._lock:
            self._watches.remove(watch)
            if self._watches:
                return
            for owner, name, before, ours in self._replaced:
                # Somebody may have put theirs before ours; then ours stays behind it, and tells nobody.
                if getattr(owner, name) is ours:
                    setattr(owner, name, before)
            self._replaced.clear()

    def _replace(self, owner: type, name: str) -> None:
        before = getattr(owner, name)

        @functools.wraps(before)
        def ours(thing: Any, *args: Any, **kwargs: Any) -> Any:
            for watch in tuple(self._watches):
                watch(thing, sys._getframe(1))
            return before(thing, *args, **kwargs)

        setattr(owner, name, ours)
        self._replaced.append((owner, name, before, ours))


_process = _Process()


@contextmanager
def watching_births(watch: Watch) -> Iterator[None]:
    """Have `watch` called for each thread and each socket, in this block. What it raises, their maker gets."""
    _process.begin(watch)
    try:
        yield
    finally:
        _process.end(watch)
