"""How a test's clients reach its server: over memory streams, or over real sockets on loopback."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Literal, Protocol, final, get_args

import trio
import trio.testing

from supervisor.testing.memory import MemoryListener
from supervisor.testing.ports import LOOPBACK, HeldPort

TransportName = Literal["memory", "tcp"]
_BUFFERS = ((socket.SO_RCVBUF, 32 * 1024), (socket.SO_SNDBUF, 16 * 1024))
"""Bytes; Linux doubles them, for what it keeps beside the data. Both together take about as much as `memory.BUFFER`."""


class Transport(Protocol):
    """The way to one server after the other, since a server may be restarted; all have the same address."""

    @property
    def authority(self) -> str:
        """The server's name, as in a URL: "localhost", or "localhost:5006"."""

    async def listen(self) -> Sequence[trio.abc.Listener[Any]]:
        """What the next server listens on. It closes that, before this may be called again."""

    async def connect(self) -> trio.abc.Stream:
        """A client's end of a new connection.

        Raises:
            OSError: no server accepts connections now.
            trio.BrokenResourceError: the same, of memory streams.
        """

    def close(self) -> None:
        """Let the address go, when the last server is over. Never waits."""


@final
class Memory:
    """Streams in memory: nothing is waited for but the other side."""

    authority = "localhost"

    def __init__(self) -> None:
        self._listener = MemoryListener()

    async def listen(self) -> Sequence[trio.abc.Listener[Any]]:
        """See `Transport.listen`."""
        self._listener = MemoryListener()
        return [self._listener]

    async def connect(self) -> trio.abc.Stream:
        """See `Transport.connect`."""
        return await self._listener.connect()

    def close(self) -> None:
        """See `Transport.close`."""


@final
class Tcp:
    """Sockets on loopback, on one port, which nobody else has between two servers.

    Their buffers have a fixed size, or a client that stalls would have as much under way as its machine likes: the
    system lets them grow, to megabytes, with what a connection has carried so far.
    """

    def __init__(self) -> None:
        # There from the first server on.
        self._port: HeldPort | None = None

    @property
    def authority(self) -> str:
        """See `Transport.authority`."""
        return f"localhost:{self._number}"

    async def listen(self) -> Sequence[trio.abc.Listener[Any]]:
        """See `Transport.listen`."""
        if self._port is None:
            self._port = HeldPort()
        listeners = await trio.open_tcp_listeners(self._number, host=LOOPBACK)
        for listener in listeners:  # what it accepts has the same
            _fix_buffers(listener.socket)
        return listeners

    async def connect(self) -> trio.abc.Stream:
        """See `Transport.connect`."""
        ours = trio.socket.socket()
        try:
            _fix_buffers(ours)  # now: what it offers to take is said with its first packet
            await ours.connect((LOOPBACK, self._number))
        except BaseException:
            ours.close()
            raise
        return trio.SocketStream(ours)

    def close(self) -> None:
        """See `Transport.close`."""
        if self._port is not None:
            self._port.close()

    @property
    def _number(self) -> int:
        return 0 if self._port is None else self._port.number


def _fix_buffers(of: trio.socket.SocketType) -> None:
    for option, size in _BUFFERS:
        of.setsockopt(socket.SOL_SOCKET, option, size)


def make_transport(name: TransportName) -> Transport:
    """The transport of this name, in a trio run.

    Raises:
        ValueError: there is no such transport.
        RuntimeError: it is "tcp", and the clock of this run jumps.
    """
    if name == "memory":
        return Memory()
    if name != "tcp":
        raise ValueError(f"a transport must be one of {', '.join(get_args(TransportName))}, not {name!r}")
    if isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        raise RuntimeError(  # noqa: TRY004 (no argument has the wrong type)
            "sockets take real time, but this run's clock is virtual: remove the clock, or use transport='memory'"
        )
    return Tcp()
