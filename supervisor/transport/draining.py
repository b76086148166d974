"""Draining: how the HTTP connections of a server that goes down end: each finishes its request, and takes no other.

Essay: two moments. The listeners stay open while sessions end, so that a load balancer learns that it should go
elsewhere, and a visitor reads that the server is restarting. From the first moment on, idle connections end; new ones
may make one request, since its response carries `Connection: close`. At the second moment, with the listeners closed,
connections without a request end too, and so do those whose request is incomplete: a head that trickles in must not
hold up the end.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import final

from supervisor.actor.stopping import Stopping


@final
class Draining:
    """One per server, shared by all its connections; it begins once and never ends.

    Nothing here ends a running request: that is what is around it, when its time is over.
    """

    def __init__(self) -> None:
        self._keeping = Stopping()
        self._asking = Stopping()
        self._reading = Stopping()

    def __repr__(self) -> str:
        state = "not begun" if not self.begun else "closed" if self.closed else "begun"
        return f"<Draining {state}, {self.idle_connections} idle connections>"

    @property
    def begun(self) -> bool:
        """Whether `begin()` was called: answers carry `Connection: close`, and websockets are refused."""
        return self._keeping.has_begun

    @property
    def idle_connections(self) -> int:
        """How many connections wait for a request now."""
        return self._keeping.waits + self._asking.waits

    def begin(self) -> None:
        """End the connections that wait for a request now. A plain call; a second one does nothing."""
        self._keeping.soft()

    def close(self) -> None:
        """End those that have come since, too, if they have not asked. The listeners must be closed."""
        self.begin()
        self._asking.soft()
        self._reading.soft()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called: no request is taken any more."""
        return self._asking.has_begun

    def idle(self, timeout: float) -> AbstractContextManager[None]:
        """Around a connection's wait for a request's first byte: see `Stopping.waiting`."""
        return (self._asking if self.begun else self._keeping).waiting(timeout)

    def asking(self, timeout: float) -> AbstractContextManager[None]:
        """Around a connection's wait for the rest of a request's head: see `Stopping.waiting`."""
        return self._reading.waiting(timeout)
