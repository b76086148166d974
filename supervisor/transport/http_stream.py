"""One trio stream with its h11 parser: reads, writes and endings, for the bridge and its requests."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import final

import h11
import trio

from supervisor.transport.head import HttpLimits, Refusal, encode_refusal

# Bytes per read, and per write under one timeout: large enough that a page is one of each.
PIECE = 64 * 1024

# For the client to take an answer and close, once we have refused to read on. Its size is nginx's order (5
# s), less because a drain waits for it.
LINGER = 1.0


class ClientGone(ConnectionError):
    """The client can take no more of this connection's bytes.

    An OSError, because ASGI 2.4 promises one to an app that sends to a client that left.
    """


@final
class HttpStream:
    """See the module. One reader and one writer at a time, as for any stream.

    Args:
        stream: What to read from and write to. It isn't closed here.
        limits: The limit of heads and the timeout of writes apply here.
    """

    def __init__(self, stream: trio.abc.Stream, limits: HttpLimits) -> None:
        self.stream = stream
        self.parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_head)
        # Set once, when the client has ended its side or is lost: nothing more will be read.
        self.eof = False
        # Set once, when a write failed or was left half-way: nothing more may be written.
        self.lost = False
        self._write_timeout = limits.write_timeout
        # The parser's last input with what came just before, to look at how a chunked body ended.
        self._recent = b""

    @property
    def buffered(self) -> bytes:
        """What was read and not parsed yet."""
        return self.parser.trailing_data[0]

    async def fill(self) -> bool:
        """Wait for more bytes and give them to the parser; False at the end of the client's side, however it
        came.

        Safe to cancel: nothing is lost.
        """
        if self.eof:
            return False
        try:
            data = await self.stream.receive_some(PIECE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
            self.lost = True
        if not data:
            self.eof = True
        self._recent = self._recent[-3:] + data
        self.parser.receive_data(bytes(data))
        return not self.eof

    def chunks_ended_well(self) -> bool:
        """Whether the chunked body that was just parsed ended in CRLF CRLF.

        h11 takes a bare LF there too. A proxy that doesn't would have read on, and what we take for the next
        request was then in its eyes this one's trailer.
        """
        consumed = len(self._recent) - len(self.buffered)
        return self._recent[:consumed].endswith(b"\r\n\r\n")

    async def write(self, data: bytes) -> None:
        """Wait until the client has taken these bytes, piece by piece under the write timeout.

        Cancelled, or failed, half of them may have been sent, and the stream is lost for writing.

        Raises:
            ClientGone: The client left, or took too long, now or earlier.
        """
        if self.lost:
            raise ClientGone("the client has left")
        self.lost = True
        try:
            for piece in _pieces(data):
                with trio.fail_after(self._write_timeout):
                    await self.stream.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGone("the client has left") from error
        except trio.TooSlowError as error:
            raise ClientGone(f"the client took nothing for {self._write_timeout:g} s") from error
        self.lost = False

    async def refuse(self, refusal: Refusal, *, with_body: bool = True) -> None:
        """Write a refusal's answer. See `write`."""
        await self.write(encode_refusal(refusal, now=time.time(), with_body=with_body))

    async def linger(self) -> None:
        """Let the client read our answer although we leave bytes of it unread; waits at most 1 s.

        Closing a socket with unread input resets the connection, and a reset takes the answer from the
        client's buffer. So we close our side only, and throw away what comes. Call it last, before closing.
        """
        if self.lost:
            return
        with trio.move_on_after(LINGER):
            try:
                if isinstance(self.stream, trio.abc.HalfCloseableStream):
                    await self.stream.send_eof()
                while not self.eof and await self.stream.receive_some(PIECE):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                # The client is gone: there is nobody to wait for.
                pass


def _pieces(data: bytes) -> Iterable[bytes | memoryview]:
    """Cut what is longer than one piece, without copying."""
    if len(data) <= PIECE:
        return (data,)
    whole = memoryview(data)
    return (whole[start : start + PIECE] for start in range(0, len(data), PIECE))
