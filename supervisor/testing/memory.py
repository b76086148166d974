"""Connections without a network: streams in memory that behave as sockets do, and a listener that hands them out.

Essay: why not the streams of `trio.testing`. Those of `memory_stream_pair()` take any number of bytes and never make a
sender wait, so a client that doesn't read looks to the server like one that does: nothing queues, nothing is merged,
nobody is too slow. Those of `lockstep_stream_pair()` take no byte before somebody reads it, which no socket does.
Here each direction has a buffer of a fixed size, as two sockets have. Closing is a socket's too: what was sent is read,
and then the end; but who closes without having read all resets the connection, and what fails then fails as over TCP.
"""

from __future__ import annotations

from types import TracebackType
from typing import final

import trio

BUFFER = 64 * 1024
"""Bytes under way in one direction before a sender waits: about what a socket of Linux begins with."""
CHUNK = 64 * 1024
"""Bytes that one `receive_some` returns at most, if it isn't told."""


@final
class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection. `memory_stream_pair()` makes two."""

    def __init__(self, sent: _Buffer, received: _Buffer) -> None:
        self._sent = sent
        self._received = received
        self._is_closed = False
        self._has_sent_eof = False
        self._sending = OneTask("send")
        self._receiving = OneTask("receive")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream.send_all`; waits while the buffer is full, which a peer that doesn't read makes it.

        Raises:
            trio.BrokenResourceError: the peer has closed.

        """
        with self._sending, memoryview(data) as rest:
            self._raise_if_unsendable()
            await trio.lowlevel.checkpoint_if_cancelled()
            given = 0
            while True:
                self._raise_if_unsendable()
                given += self._sent.put(rest[given:])
                if given == len(rest):
                    break
                await self._sent.wait()
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream.wait_send_all_might_not_block`."""
        with self._sending:
            self._raise_if_unsendable()
            await trio.lowlevel.checkpoint()
            while not self._sent.room and not self._is_closed:
                await self._sent.wait()
            self._raise_if_unsendable()

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream.send_eof`; never waits for the peer."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._has_sent_eof:
                return
            if self._is_closed:
                raise trio.ClosedResourceError("this end was closed here")
            self._has_sent_eof = True
            self._sent.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream.receive_some`. Cancelled, it has taken nothing.

        Raises:
            trio.BrokenResourceError: the peer has reset the connection; what had arrived by then is read first.

        """
        most = checked_size(max_bytes)
        with self._receiving:
            await trio.lowlevel.checkpoint()
            while True:
                if self._is_closed:
                    raise trio.ClosedResourceError("this end was closed here")
                if data := self._received.take(most):
                    return data
                if self._received.is_reset:
                    raise trio.BrokenResourceError("the peer has reset the connection")
                if self._received.is_ended:
                    return b""
                await self._received.wait()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource.aclose`: at once, and with what was received and not read it is a `reset()`."""
        self._close(is_reset=bool(self._received))
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Close as a connection that breaks: the peer may read what has arrived, and then nothing works any more."""
        self._close(is_reset=True)

    def _close(self, *, is_reset: bool) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._sent.end(is_reset=is_reset)
            self._received.refuse()

    def _raise_if_unsendable(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this end was closed here")
        if self._has_sent_eof:
            raise trio.ClosedResourceError("nothing can be sent after send_eof()")
        if self._sent.is_refused:
            raise trio.BrokenResourceError("the peer has closed the connection")

    def __repr__(self) -> str:
        """Shows what is under way, in bytes."""
        state = "closed" if self._is_closed else f"{len(self._received)} bytes to read, {len(self._sent)} not read yet"
        return f"<MemoryStream {state}>"


def memory_stream_pair(*, buffer: int = BUFFER) -> tuple[MemoryStream, MemoryStream]:
    """Two ends of a new connection; each direction has a buffer of so many bytes."""
    there, back = _Buffer(buffer), _Buffer(buffer)
    return MemoryStream(there, back), MemoryStream(back, there)


@final
class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Give it to `Server.serve`; each `connect()` is one connection."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](1_000)

    async def connect(self) -> MemoryStream:
        """The client's end of a new connection.

        Raises:
            trio.BrokenResourceError: the server accepts no more connections.

        """
        ours, theirs = memory_stream_pair()
        await self._send.send(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        """See `trio.abc.Listener.accept`."""
        return await self._receive.receive()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource.aclose`; connections that nobody accepted are closed."""
        with trio.CancelScope(shield=True):  # forcefully: it never waits, but where we are cancelled it would raise
            while True:
                try:
                    await trio.aclose_forcefully(self._receive.receive_nowait())
                except (trio.WouldBlock, trio.ClosedResourceError):
                    break
        self._receive.close()
        await trio.lowlevel.checkpoint()


@final
class OneTask:
    """Around what only one task at a time may do with a stream."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._is_taken = False

    def __enter__(self) -> None:
        if self._is_taken:
            raise trio.BusyResourceError(f"another task wants to {self._verb} on this stream just now")
        self._is_taken = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_taken = False


def checked_size(max_bytes: int | None) -> int:
    """The argument of `receive_some`, as a number of bytes."""
    if max_bytes is None:
        return CHUNK
    if not isinstance(max_bytes, int):
        raise TypeError(f"max_bytes must be a whole number, not {max_bytes!r}")
    if max_bytes < 1:
        raise ValueError(f"max_bytes must be at least 1, got {max_bytes}")
    return max_bytes


@final
class _Buffer:
    """The bytes of one direction."""

    __slots__ = ("_bytes", "_changed", "_size", "is_ended", "is_refused", "is_reset")

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = bytearray()
        # For the one who waits for room and the one who waits for bytes; another after each change.
        self._changed = trio.Event()
        self.is_ended = False
        """The sender sends no more."""
        self.is_reset = False
        """And that wasn't as it should be."""
        self.is_refused = False
        """The receiver takes no more."""

    @property
    def room(self) -> int:
        return self._size - len(self._bytes)

    def __len__(self) -> int:
        return len(self._bytes)

    def put(self, data: memoryview) -> int:
        """Take as many bytes as there is room for; how many."""
        taken = data[: self.room]
        self._bytes += taken
        self._notify()
        return len(taken)

    def take(self, most: int) -> bytes:
        taken = bytes(self._bytes[:most])
        del self._bytes[:most]
        self._notify()
        return taken

    def end(self, *, is_reset: bool = False) -> None:
        self.is_ended = True
        self.is_reset = is_reset
        self._notify()

    def refuse(self) -> None:
        self.is_refused = True
        self._bytes.clear()
        self._notify()

    async def wait(self) -> None:
        """Wait until something has changed."""
        await self._changed.wait()

    def _notify(self) -> None:
        if self._changed.statistics().tasks_waiting:
            changed, self._changed = self._changed, trio.Event()
            changed.set()
