"""Draining: how a server that is going down lets running requests finish and sends idle connections away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import trio


@final
class Draining:
    """One per server, shared by all its connections; it begins once and never ends.

    Once begun: connections that wait for a request are over at once, answers in flight carry `Connection:
    close`, and no connection takes a further request. Nothing here ends a running request: that is the
        caller's nursery, cancelled
    when its grace is over.
    """

    def __init__(self) -> None:
        self._begun = False
        self._idle: set[trio.CancelScope] = set()

    def __repr__(self) -> str:
        return f"<Draining {'begun' if self._begun else 'not begun'}, {len(self._idle)} idle connections>"

    @property
    def begun(self) -> bool:
        """Whether `begin()` was called."""
        return self._begun

    @property
    def idle_connections(self) -> int:
        """How many connections wait for a request now."""
        return len(self._idle)

    def begin(self) -> None:
        """Begin to drain. A plain call; call it from trio's thread. A second call does nothing."""
        self._begun = True
        for scope in self._idle:
            scope.cancel()

    @contextmanager
    def idle(self, timeout: float) -> Iterator[None]:
        """Around a connection's wait for a request's first byte: cancelled by `begin()` and after `timeout`
        seconds.

        The block is left quietly in both cases. A byte that arrived in the same moment wins: its wait has
        ended, and the block has no other.
        """
        with trio.move_on_after(timeout) as scope:
            if self._begun:
                scope.cancel()
            self._idle.add(scope)
            try:
                yield
            finally:
                self._idle.discard(scope)
