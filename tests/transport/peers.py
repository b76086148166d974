"""A peer that writes and reads raw websocket frames, and the app that it talks to, in memory or on real sockets."""

import contextlib
import html
import itertools
import json
import re
import socket
import struct

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import Rejected
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing.http import get
from supervisor.transport.websocket_options import WebSocketOptions

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ALIVE = (TEXT, b'{"type":"alive"}')
LOST = 1006


class Peer:
    """Speaks HTTP and websocket frames over a stream, by hand."""

    def __init__(self, stream):
        self.stream = stream
        self.unread = b""
        self.numbers = itertools.count(1)

    async def ask(self, path="/app/-/websocket", **headers):
        """Ask for a websocket."""
        sent = {
            "Host": b"localhost",
            "Connection": b"Upgrade",
            "Upgrade": b"websocket",
            "Sec-WebSocket-Version": b"13",
            "Sec-WebSocket-Key": b"AAAAAAAAAAAAAAAAAAAAAA==",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [b"GET %s HTTP/1.1" % path.encode()]
        lines += [b"%s: %s" % (name.encode(), value) for name, value in sent.items() if value is not None]
        await self.stream.send_all(b"\r\n".join(lines) + b"\r\n\r\n")

    async def shake_hands(self, path="/app/-/websocket", **headers):
        """Ask for a websocket; returns the answer's head."""
        await self.ask(path, **headers)
        while b"\r\n\r\n" not in self.unread:
            await self._read()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        return head

    async def _read(self):
        data = await self.stream.receive_some()
        if not data:
            raise EOFError
        self.unread += data

    async def send_frame(self, opcode, payload=b"", *, fin=True):
        head = bytes([opcode | (0x80 if fin else 0)])
        size = len(payload)
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack("!H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", size)
        await self.stream.send_all(head + b"\0\0\0\0" + payload)  # a mask of zeros

    async def send_json(self, **message):
        await self.send_frame(TEXT, json.dumps(message).encode())

    async def send(self, name, /, *, number=None, confirmed=0, **fields):
        number = number or next(self.numbers)
        await self.send_json(type="send", number=number, name=name, fields=fields, confirmed=confirmed)

    async def frame(self):
        """The next frame, as (opcode, payload); without what follows each ping for pages, which can't see that one."""
        while (frame := self._parsed()) is None or frame == ALIVE:
            if frame is None:
                await self._read()
        return frame

    def _parsed(self):
        if len(self.unread) < 2:
            return None
        assert self.unread[1] < 0x80, "a server masks nothing"
        start, size = {126: (4, None), 127: (10, None)}.get(self.unread[1], (2, self.unread[1]))
        if len(self.unread) < start:
            return None
        if size is None:
            size = int.from_bytes(self.unread[2:start], "big")
        if len(self.unread) < start + size:
            return None
        opcode, payload = self.unread[0], self.unread[start : start + size]
        assert opcode & 0xF0 == 0x80, "whole frames without extensions"
        self.unread = self.unread[start + size :]
        return opcode & 0x0F, payload

    async def message(self, *, answers_pings=True):
        """The next text message; pings before it are answered, but not for ever."""
        with trio.fail_after(100):
            while (frame := await self.frame())[0] == PING:
                if answers_pings:
                    await self.send_frame(PONG, frame[1])
        opcode, payload = frame
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def attach(self, page):
        """First frame of a page; returns `attached` and the snapshot."""
        await self.send_json(type="attach", token=page["token"])
        return await self.message(), await self.message()

    async def resume(self, attached, *, revision=None, confirmed=0, **changed):
        await self.send_json(
            type="resume",
            **{key: attached[key] for key in ("session", "key", "client", "epoch")}
            | {"revision": attached["revision"] if revision is None else revision, "confirmed": confirmed}
            | changed,
        )
        return await self.message()

    async def closed(self):
        """Everything up to the close frame, which is answered: (messages, code, reason)."""
        messages = []
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT:
                messages.append(json.loads(payload))
            elif opcode == CLOSE:
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self.send_frame(CLOSE, payload[:2])
                return messages, int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def end(self):
        """Read to the end of the stream; returns the frames that came."""
        frames = []
        with contextlib.suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                frames.append(await self.frame())
        return frames


# The app of these tests.


@attrs.frozen
class Add:
    by: int = 1


@attrs.frozen
class Quote:
    symbol: str
    price: int


@attrs.frozen
class Wait:
    """Waits so many seconds, and answers with its label."""

    seconds: float
    label: str = ""


@attrs.frozen
class Fill:
    """Put that many characters into the document."""

    size: int


@attrs.frozen
class Burst:
    """Commit so many patches of that size in one step."""

    size: int
    times: int


@attrs.frozen
class Fail:
    pass


@attrs.frozen
class Refuse:
    text: str


@attrs.frozen
class ReturnNaN:
    pass


def _explode(instance, attribute, value):
    raise LookupError("swordfish")


@attrs.frozen
class Exploding:
    value: int = attrs.field(validator=_explode)


@attrs.frozen
class Destroy:
    reason: str = ""


def app_of(**namespace):
    def modify_document(doc):
        doc.data["n"] = 0

    def on_add(doc, message):
        doc.data["n"] += message.by
        return doc.data["n"]

    async def on_wait(doc, message):
        await trio.sleep(message.seconds)
        doc.data["n"] += 1
        return message.label

    def on_fill(doc, message):
        doc.data["text"] = "x" * message.size
        return message.size

    def on_burst(doc, message):
        for number in range(message.times):
            doc.data["text"] = str(number) * message.size
            doc.commit()

    def on_fail(doc, message):
        doc.data["n"] = -1
        raise ValueError("swordfish")

    def on_refuse(doc, message):
        doc.data["n"] = -1
        raise Rejected(message.text)

    def on_return_nan(doc, message):
        doc.data["n"] = -1
        return float("nan")

    def on_destroy(doc, message):
        doc.data["n"] = 99
        doc.session_context.destroy(reason=message.reason)

    marks = {Add: on_add, Wait: on_wait, Fill: on_fill, Fail: on_fail, Refuse: on_refuse, ReturnNaN: on_return_nan}
    marks |= {Destroy: on_destroy, Exploding: on_add, Burst: on_burst}
    functions = {str(number): receives(cls, from_client=True)(func) for number, (cls, func) in enumerate(marks.items())}
    return Application(
        NamespaceHandler({"modify_document": modify_document} | functions | namespace, where="app"), name="app"
    )


def page_in(text):
    return json.loads(html.unescape(re.search(r'name="supervisor" content="([^"]*)"', text)[1]))


class Table:
    """A running app, and peers at it."""

    def __init__(self, app):
        self.app = app
        self.detached = []
        app.server.runtime.instruments.connection_detached = lambda **told: self.detached.append(told["code"])

    async def page(self, **query):
        target = "/app" + "".join(f"?{name}={value}" for name, value in query.items())
        answer = await self.app.get(target)
        assert answer.status == 200
        return page_in(answer.text)

    async def peer(self, **headers):
        """A peer with an open websocket, which has said nothing yet."""
        peer = Peer(await self.app.transport.connect())
        assert (await peer.shake_hands(**headers)).startswith(b"HTTP/1.1 101 ")
        return peer

    async def attached(self, page=None):
        """A peer that is attached: (peer, attached, session context)."""
        page = page or await self.page()
        peer = await self.peer()
        attached, _ = await peer.attach(page)
        return peer, attached, self.app.actor.find(attached["session"]).context

    async def returned(self, attached, **options):
        """A peer that came back: (peer, its `attached`)."""
        peer = await self.peer()
        return peer, await peer.resume(attached, **options)


def serving(supervise):
    """What runs the app in memory: `async with serve(**namespace, options=…) as table`."""

    @contextlib.asynccontextmanager
    async def run(*, options=None, **namespace):
        async with supervise(app_of(**namespace), options=options) as app:
            yield Table(app)

    return run


def options_of(application=None, **websocket):
    return ServerOptions(application=ApplicationOptions(**application or {}), websocket=WebSocketOptions(**websocket))


def small_buffers(sock, *, send=None, receive=None):
    if send is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send)
    if receive is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)


class Tcp:
    """The app on a port of the loopback interface."""

    def __init__(self, server, address):
        self.server, self.address = server, address
        [self.actor] = server.applications.values()
        self.incidents = []
        self.streams = []
        server.runtime.instruments.failed = self.incidents.append

    async def stream(self, *, receive=None):
        sock = trio.socket.socket()
        small_buffers(sock, receive=receive)
        await sock.connect(self.address)
        stream = trio.SocketStream(sock)
        self.streams.append(stream)
        return stream

    async def page(self):
        return page_in((await get(await self.stream(), "/app")).text)

    async def peer(self, **options):
        peer = Peer(await self.stream(**options))
        assert (await peer.shake_hands()).startswith(b"HTTP/1.1 101 ")
        return peer


@contextlib.asynccontextmanager
async def serve_on_tcp(options=None, *, send=None):
    """The app on real sockets and real time: `async with serve_tcp(options) as tcp`."""
    server = Server([app_of()], options=options)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    small_buffers(listeners[0].socket, send=send)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, listeners)
            tcp = Tcp(server, listeners[0].socket.getsockname())
            try:
                yield tcp
            finally:
                for stream in tcp.streams:
                    stream.socket.close()
            server.stop()


async def all_blocked():
    await trio.testing.wait_all_tasks_blocked()


async def lockstep(table, nursery, page=None):
    """A peer whose every byte the server has to wait for: (peer, session); it is attached."""
    page = page or await table.page()
    theirs, ours = trio.testing.lockstep_stream_pair()
    nursery.start_soon(table.app.server.handle, ours)
    peer = Peer(theirs)
    await peer.shake_hands()
    peer.attached, peer.snapshot = await peer.attach(page)
    return peer, table.app.actor.find(page["session"]).context


# The fixtures of the directories that test a websocket connection; their conftest.py has them from here.


@pytest.fixture
def serve(supervise):
    return serving(supervise)


@pytest.fixture
async def table(serve):
    async with serve() as table:
        yield table


@pytest.fixture
def serve_tcp():
    return serve_on_tcp
