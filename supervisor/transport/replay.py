"""A stream that first gives back bytes that were read already."""

from __future__ import annotations

from typing import final

import trio


@final
class Replay(trio.abc.Stream):
    """Wraps a stream whose first bytes somebody has read, so that the next reader gets them all the same.

    Sending and closing pass straight through. Like every stream it has one reader and one sender at a time.

    Args:
        stream: The stream that goes on after `head`. The Replay owns it: closing one closes both.
        head: The bytes to give back first, in as many pieces as the reader asks for.
    """

    def __init__(self, stream: trio.abc.Stream, head: bytes) -> None:
        self.stream = stream
        """The wrapped stream; reading from it directly would skip what is left of the head."""
        self._head = head

    def __repr__(self) -> str:
        return f"<Replay of {len(self._head)} bytes before {self.stream!r}>"

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream.receive_some`. While there is a head it never waits, and cancelled it
        loses nothing.

        Raises:
            ValueError: `max_bytes` is below 1.
        """
        if not self._head:
            return await self.stream.receive_some(max_bytes)
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, got {max_bytes}")
        await trio.lowlevel.checkpoint()
        given = self._head if max_bytes is None else self._head[:max_bytes]
        self._head = self._head[len(given) :]
        return given

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream.send_all`."""
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream.wait_send_all_might_not_block`."""
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the wrapped stream; the rest of the head is forgotten."""
        self._head = b""
        await self.stream.aclose()


async def send_eof(stream: trio.abc.Stream) -> None:
    """End our side of a stream, so that the peer sees that nothing more comes; TLS can't, and goes on.

    Waits for no peer. Raises what `trio.abc.HalfCloseableStream.send_eof` does.
    """
    while isinstance(stream, Replay):
        stream = stream.stream
    if isinstance(stream, trio.abc.HalfCloseableStream):
        await stream.send_eof()
    else:
        await trio.lowlevel.checkpoint()
