"""A scripted server over memory streams: a test says what each page and each websocket answers."""

from __future__ import annotations

import contextlib
import json

import attrs
import pytest
import trio
import trio.testing
import trio_websocket

from supervisor.client import connect
from supervisor.transport.replay import Replay

META = "<meta name=\"supervisor\" content='{}'>"


@attrs.frozen
class Asked:
    """One request."""

    host: str
    port: int
    target: str
    headers: dict


def page(session="s-1", token="t-1", websocket="/app/-/websocket"):
    meta = META.format(json.dumps({"session": session, "token": token, "websocket": websocket}))
    return f"<!doctype html><html><head><title>app</title>{meta}</head><body></body></html>"


def answer(status=200, body="", **headers):
    """The bytes of an HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def redirect(location, status=302):
    return answer(status, location=location)


class Line:
    """The server's end of one websocket."""

    def __init__(self, socket, stream, asked, scope):
        self.asked = asked
        self._scope = scope
        self.stream = stream
        self.socket = socket
        self.closed = None
        """Code and reason of the client's close."""
        self._frames = []
        self._arrived = trio.Event()

    async def listen(self):
        try:
            while True:
                frame = json.loads(await self.socket.get_message())
                self._frames.append(frame)
                self._arrived.set()
        except trio_websocket.ConnectionClosed as closed:
            self.closed = closed.reason
            self._arrived.set()

    async def receive(self):
        """The next message of the client."""
        while not self._frames:
            assert self.closed is None, f"the client has closed: {self.closed}"
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._frames.pop(0)

    async def until_closed(self):
        while self.closed is None:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self.closed

    def pending(self):
        """What came and was not looked at."""
        frames, self._frames = self._frames, []
        return frames

    async def send(self, text=None, /, **message):
        await self.socket.send_message(text if text is not None else json.dumps(message))

    async def attached(self, *, resumed=False, revision=0, received=0, data=None, session="s-1", **more):
        """Answer the first frame; without resuming a snapshot follows."""
        message = {
            "session": session,
            "client": "c-1",
            "peer": "p-1",
            "key": "k-1",
            "epoch": "e-1",
            "editable": [],
            **more,
        }
        await self.send(type="attached", revision=revision, resumed=resumed, received=received, **message)
        if not resumed:
            await self.send(type="snapshot", epoch=message["epoch"], revision=revision, data=data or {})

    async def patch(self, revision, *operations):
        await self.send(
            type="patch",
            operations=[dict(zip(("op", "path", "value"), operation, strict=False)) for operation in operations],
            **{"from": revision, "to": revision + 1},
        )

    async def close(self, code=1000, reason="", *, announced=False, retry_after=None):
        if announced:
            await self.send(type="closing", code=code, reason=reason, retry_after=retry_after)
        with trio.move_on_after(2):
            await self.socket.aclose(code, reason)
        await trio.aclose_forcefully(self.stream)

    def fall_silent(self):
        """Read no more, answer nothing, and leave the connection open."""
        self._scope.cancel()

    async def cut(self):
        await trio.aclose_forcefully(self.stream)


class ScriptedServer:
    """Give its `open_stream` to a client. `pages` are answered in order, the last one for ever."""

    url = "http://server.example/app"

    def __init__(self, nursery):
        self._nursery = nursery
        self.pages = [answer(body=page())]
        self.asked = []
        """Each page that was asked for."""
        self.opened = []
        """When each stream was opened, by trio's clock."""
        self.fails = None
        """What a network that is down raises."""
        self.upgrade = None
        """Bytes in the place of an answer to the websocket's handshake."""
        self._send, self._receive = trio.open_memory_channel(100)

    async def open_stream(self, host, port):
        await trio.lowlevel.checkpoint()
        self.opened.append(trio.current_time())
        if self.fails is not None:
            raise self.fails
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs, host, port)
        return ours

    async def accept(self):
        """The next websocket, once the handshake is done."""
        return await self._receive.receive()

    async def live(self, **options):
        """The next websocket, attached; returns it and its first frame."""
        line = await self.accept()
        first = await line.receive()
        await line.attached(**options)
        return line, first

    async def _serve(self, stream, host, port):
        try:
            await self._answer(stream, host, port)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _answer(self, stream, host, port):
        head = b""
        while b"\r\n\r\n" not in head:
            data = await stream.receive_some()
            if not data:
                return
            head += data
        first, *lines = head.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        asked = Asked(host, port, first.split(" ")[1], headers)
        if "upgrade" not in headers:
            self.asked.append(asked)
            given = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
            if given is not None:
                await stream.send_all(given)
                await stream.aclose()
        elif self.upgrade is not None:
            await stream.send_all(self.upgrade)
            await stream.aclose()
        else:
            await self._converse(stream, head, asked)

    async def _converse(self, stream, head, asked):
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, Replay(stream, head))
            line = Line(await request.accept(), stream, asked, nursery.cancel_scope)
            await self._send.send(line)
            await line.listen()


@pytest.fixture
def scripted(nursery):
    return ScriptedServer(nursery)


@pytest.fixture
def connected(scripted):
    """`async with connected(**options) as (session, line)`: live, with the data {"n": 0} at revision 0."""

    @contextlib.asynccontextmanager
    async def connect_both(*, data=None, editable=(), **options):
        options = {"open_stream": scripted.open_stream, "random": lambda: 1.0, **options}
        lines = []

        async def serve():
            line, _ = await scripted.live(data={"n": 0} if data is None else data, editable=list(editable))
            lines.append(line)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with connect(scripted.url, **options) as session:
                yield session, lines[0]

    return connect_both
