"""A websocket as light as can be, and as rude as a scenario wants it: no task, no queue, every byte under control."""

from __future__ import annotations

import base64
import socket
import struct

import attrs
import trio

from supervisor.client.page import Entry, read_entry

HOST = "127.0.0.1"
WAIT = 20.0
"""Seconds that a server may take to answer anything."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NO_FRAME = 1006
"""The code of an end without a close frame."""


class SocketEnded(Exception):
    """The connection is over."""

    def __init__(self, code: int = NO_FRAME, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@attrs.frozen
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


async def dial(port: int, *, receive_buffer: int | None = None) -> trio.SocketStream:
    """A TCP connection. A small receive buffer makes a client that stops reading felt at once."""
    raw = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await raw.connect((HOST, port))
    except BaseException:
        raw.close()
        raise
    return trio.SocketStream(raw)


def abort(stream: trio.SocketStream) -> None:
    """Cut it: the server gets a reset, and no goodbye."""
    if stream.socket.fileno() >= 0:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()


async def request(port: int, target: str, *, method: str = "GET", headers: str = "", body: bytes = b"") -> Response:
    """One HTTP request on a connection of its own."""
    stream = await dial(port)
    try:
        with trio.fail_after(WAIT):
            head = f"{method} {target} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n{headers}\r\n"
            await stream.send_all(head.encode("latin-1") + body)
            return parse_response(await read_all(stream))
    finally:
        abort(stream)


async def read_all(stream: trio.SocketStream) -> bytes:
    """All until the end; an end by reset counts."""
    data = bytearray()
    try:
        async for chunk in stream:
            data += chunk
    except trio.BrokenResourceError:
        pass
    return bytes(data)


def parse_response(data: bytes) -> Response:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2:
        raise SocketEnded
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Response(int(parts[1]), headers, body)


async def open_page(port: int, app: str, session: str | None = None) -> Entry:
    """Visit an app's page as a browser does, and read what a client needs from it."""
    target = f"/{app}" if session is None else f"/{app}?session={session}"
    response = await request(port, target)
    entry = read_entry(response.body.decode("utf-8", "replace"))
    if entry is None:
        raise PageRefused(response.status, target)
    return entry


class PageRefused(Exception):
    """The page is no session's."""

    def __init__(self, status: int, target: str) -> None:
        super().__init__(f"{target} answers {status}")
        self.status = status


class Socket:
    """One websocket. Make it by `Socket.open`."""

    def __init__(self, stream: trio.SocketStream, rest: bytes) -> None:
        self.stream = stream
        self.answers_pings = True
        self.pings = 0
        """How many pings came."""
        self._buffer = bytearray(rest)
        self._writing = trio.Lock()

    @classmethod
    async def open(
        cls, port: int, path: str, *, receive_buffer: int | None = None, headers: str = "", wait: float = WAIT
    ) -> Socket:
        """Dial and shake hands.

        Raises:
            SocketEnded: the server answers otherwise, or not at all
        """
        stream = None
        try:
            with trio.fail_after(wait):
                stream = await dial(port, receive_buffer=receive_buffer)
                key = base64.b64encode(b"0123456789abcdef").decode()
                await stream.send_all(
                    f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode("latin-1")
                )
                data = bytearray()
                while b"\r\n\r\n" not in data:
                    chunk = await stream.receive_some(65536)
                    if not chunk:
                        raise SocketEnded
                    data += chunk
        except BaseException as error:
            if stream is not None:
                abort(stream)
            if isinstance(error, OSError | trio.BrokenResourceError | trio.TooSlowError):
                raise SocketEnded(reason=str(error)) from error
            raise
        head, _, rest = bytes(data).partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1]
        if status != b"101":
            abort(stream)
            raise SocketEnded(reason=f"status {status.decode('latin-1')}")
        return cls(stream, rest)

    async def send(self, text: str) -> None:
        """One text frame.

        Raises:
            SocketEnded: the connection is lost
        """
        await self.send_frame(TEXT, text.encode())

    async def send_frame(self, opcode: int, payload: bytes, *, first_bits: int = 0x80, mask: bool = True) -> None:
        """Any frame. The mask is four zeros, so that nothing has to be masked."""
        size = len(payload)
        bit = 0x80 if mask else 0
        if size < 126:
            head = bytes((first_bits | opcode, bit | size))
        elif size < 65536:
            head = struct.pack("!BBH", first_bits | opcode, bit | 126, size)
        else:
            head = struct.pack("!BBQ", first_bits | opcode, bit | 127, size)
        await self.send_bytes(head + (b"\0\0\0\0" if mask else b"") + payload)

    async def send_bytes(self, data: bytes) -> None:
        try:
            async with self._writing:
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise SocketEnded from error

    async def receive(self) -> str:
        """The next text frame; pings are answered meanwhile.

        Raises:
            SocketEnded: the server closed, with this code, or the connection is lost
        """
        while True:
            opcode, payload = await self._receive_frame()
            if opcode == TEXT:
                return payload.decode()
            if opcode == PING:
                self.pings += 1
                if self.answers_pings:
                    await self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                try:
                    await self.send_frame(CLOSE, payload[:2])
                except SocketEnded:
                    pass  # it has said what it had to
                raise SocketEnded(code, payload[2:].decode("utf-8", "replace"))

    async def wait_closed(self, *, wait: float = WAIT) -> SocketEnded:
        """Read until the end, and say how it ended."""
        with trio.fail_after(wait):
            while True:
                try:
                    await self.receive()
                except SocketEnded as ended:
                    return ended

    async def close(self, code: int = 1000) -> None:
        """Say goodbye, and wait for the answer, for a moment."""
        try:
            await self.send_frame(CLOSE, code.to_bytes(2, "big"))
            with trio.move_on_after(2):
                while True:
                    await self.receive()
        except SocketEnded:
            pass
        finally:
            abort(self.stream)

    def abort(self) -> None:
        """Cut it."""
        abort(self.stream)

    async def _receive_frame(self) -> tuple[int, bytes]:
        first, second = await self._take(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._take(8), "big")
        if not first & 0x80 or second & 0x80 or first & 0x70:
            raise AssertionError(f"the server sent a frame that it does not send: {first:#x} {second:#x}")
        return first & 0x0F, await self._take(size)

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                chunk = await self.stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
                raise SocketEnded from error
            if not chunk:
                raise SocketEnded
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
