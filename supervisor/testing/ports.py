"""A port of loopback that stays a test's own, also while no server listens on it."""

from __future__ import annotations

import socket
import sys
from typing import final

LOOPBACK = "127.0.0.1"


@final
class HeldPort:
    """A free port. Connections to it are refused until a server listens, and again when it doesn't any more.

    Essay: a socket of ours is bound to the port and never listens. Linux lets a server bind to it as well that asks for
    this very port with SO_REUSEADDR, as servers do; but whoever asks for any port gets another one. So between two
    servers the port is nobody else's. Nor is it given to a client that dials: one that comes back while there is no
    server could get it for its own end, and then reach itself (RFC 9293, 3.5, simultaneous open). A listening socket
    that is handed from server to server would hold the port too, but it accepts connections for a server that is gone:
    a client would wait where it is turned away in production.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]
        """From 1 to 65535."""
        if sys.platform != "linux":  # where this socket would be in the server's way
            self.close()

    def close(self) -> None:
        """Let it go; a server that listens on it is not touched. May be called twice."""
        self._socket.close()

    def __repr__(self) -> str:
        return f"<HeldPort {self.number}>"
