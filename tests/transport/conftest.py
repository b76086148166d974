"""What several test files of this room need: a served connection, and a client that speaks raw bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import attrs
import h11
import pytest
import trio
import trio.testing

from supervisor.transport.bridge import Upgrade, serve_http
from supervisor.transport.draining import Draining
from supervisor.transport.head import HttpLimits


@attrs.define
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    informational: list[int]


@attrs.define(eq=False)
class Client:
    """Writes raw bytes, reads parsed answers."""

    stream: trio.abc.Stream
    unread: bytes = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self, method: str = "GET") -> Answer:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(self.unread) if self.unread else None
        answer: Answer | None = None
        informational: list[int] = []
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(bytes(await self.stream.receive_some()))
            elif isinstance(event, h11.InformationalResponse):
                informational.append(event.status_code)
            elif isinstance(event, h11.Response):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                answer = Answer(event.status_code, headers, b"", informational)
            elif isinstance(event, h11.Data):
                assert answer is not None
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert answer is not None
                self.unread = parser.trailing_data[0]
                return answer
            else:
                raise ConnectionError(f"no answer, but {event}")

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        await self.send(data)
        return await self.answer(method)

    async def rest(self) -> bytes:
        """Everything up to the server's end of the connection."""
        data, self.unread = self.unread, b""
        try:
            while piece := await self.stream.receive_some():
                data += piece
        except trio.BrokenResourceError:
            pass
        return data


@pytest.fixture
def raw_client() -> type[Client]:
    """raw_client(stream) -> Client."""
    return Client


@attrs.define(eq=False)
class Served:
    """One connection under `serve_http`, in a task of its own."""

    client: Client
    server_stream: Any
    draining: Draining
    errors: list[BaseException]
    ended: trio.Event = attrs.field(factory=trio.Event)
    upgrade: Upgrade | None = None
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


Serve = Callable[..., Served]


@pytest.fixture
def serve(nursery: trio.Nursery) -> Serve:
    """serve(app, streams=…, **options of serve_http) -> Served."""

    def start(app: Any, *, streams: Any = None, limits: Any = None, check: Any = None, **options: Any) -> Served:
        theirs, ours = streams or trio.testing.memory_stream_pair()
        errors: list[BaseException] = []
        served = Served(Client(theirs), ours, Draining(), errors)

        async def run() -> None:
            with served.cancel_scope:
                served.upgrade = await serve_http(
                    ours,
                    app,
                    limits=limits or HttpLimits(),
                    check=check or (lambda head: None),
                    draining=served.draining,
                    on_error=errors.append,
                    **options,
                )
            if served.upgrade is None:
                await trio.aclose_forcefully(ours)
            served.ended.set()

        nursery.start_soon(run)
        return served

    return start


@pytest.fixture
async def tcp_pair() -> AsyncIterator[Callable[[], Awaitable[tuple[trio.SocketStream, trio.SocketStream]]]]:
    """await tcp_pair() -> (client, server), over loopback; closed at the end."""
    opened: list[trio.SocketStream] = []

    async def connect(buffer: int | None = None) -> tuple[trio.SocketStream, trio.SocketStream]:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            if buffer is not None:
                listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, buffer)
            socket = trio.socket.socket()
            if buffer is not None:
                socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffer)
            await socket.connect(listener.socket.getsockname())
            pair = trio.SocketStream(socket), await listener.accept()
        opened.extend(pair)
        return pair

    yield connect
    for stream in opened:
        stream.socket.close()
