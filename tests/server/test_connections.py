"""What is known of a peer, and what of it is left behind."""

import gc
import socket
from types import SimpleNamespace

import trio
import trio.lowlevel
import trio.testing

from supervisor.instruments import Instruments
from supervisor.server import Server
from supervisor.session.request import Request
from supervisor.testing.app import RunningApp
from supervisor.testing.kit import Kit
from supervisor.transport.listener import find_peer
from supervisor.transport.websocket import WebSocketConnection
from supervisor.transport.websocket_options import WebSocketOptions

from .running import Log, app_of


async def test_a_session_and_a_connection_know_the_peers_address(nursery):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server([app_of()])
    await nursery.start(server.serve, listeners)

    class Listener:
        async def connect(self):
            return await trio.open_tcp_stream(*listeners[0].socket.getsockname())

    app = RunningApp(
        SimpleNamespace(server=server, actor=server.applications["app"], transport=Listener()), nursery, Kit(seen=Log())
    )
    session = await app.new_session()
    client = await session.connect()
    assert session.context.request.remote_address == "127.0.0.1"
    assert [connection.request.remote_address for connection in session.context.connections] == ["127.0.0.1"]
    await client.close()
    server.stop()
    await server.wait_stopped()


async def test_a_unix_socket_has_no_peers_address(nursery, tmp_path):
    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(str(tmp_path / "socket"))
    sock.listen()
    server = Server([app_of()])
    await nursery.start(server.serve, [trio.SocketListener(sock)])

    class Listener:
        async def connect(self):
            return await trio.open_unix_socket(str(tmp_path / "socket"))

    app = RunningApp(
        SimpleNamespace(server=server, actor=server.applications["app"], transport=Listener()), nursery, Kit(seen=Log())
    )
    session = await app.new_session()
    client = await session.connect()
    assert session.context.request.remote_address is None
    assert session.context.connections[0].request.remote_address is None
    await client.close()
    server.stop()
    await server.wait_stopped()


async def test_a_peer_that_is_gone_has_no_address():
    ours, theirs = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    theirs.close()
    assert find_peer(stream).address is None
    stream.socket.close()
    assert find_peer(stream).address is None


async def test_what_an_asgi_app_raises_is_an_incident(serve, monkeypatch):
    run = await serve()

    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(run.server.applications["app"], "open_session", broken)
    assert (await run.get()).status == 500
    [incident] = run.log.incidents
    assert (incident.what, incident.application, incident.session) == ("page", "-", "-")
    assert len(incident.id) == 8


# A long life.


class Boom(Exception):
    """What a stream of these tests raises."""


class FailingStream(trio.abc.Stream):
    """A connection that fails as no network does."""

    async def receive_some(self, max_bytes=None):
        await trio.lowlevel.checkpoint()
        raise Boom

    async def send_all(self, data):
        raise Boom

    async def wait_send_all_might_not_block(self):
        raise Boom

    async def aclose(self):
        await trio.lowlevel.checkpoint()


class FailingListener(trio.abc.Listener):
    """So many of them."""

    def __init__(self, connections):
        self.left = connections
        self.none_left = trio.Event()

    async def accept(self):
        await trio.lowlevel.checkpoint()
        if not self.left:
            self.none_left.set()
            await trio.sleep_forever()
        self.left -= 1
        return FailingStream()

    async def aclose(self):
        await trio.lowlevel.checkpoint()


class CountingLog(Instruments):
    """Counts what fails, and keeps nothing of it; so does a log."""

    def __init__(self):
        self.failures = 0

    def failed(self, incident):
        assert isinstance(incident.error, Boom)
        self.failures += 1


async def test_of_ten_thousand_connections_that_fail_no_exception_is_kept(nursery, autojump_clock):
    log = CountingLog()
    server = Server(app_of(), instruments=log)
    listener = FailingListener(10_000)
    await nursery.start(server.serve, [listener])
    await listener.none_left.wait()
    await trio.testing.wait_all_tasks_blocked()
    assert log.failures == 10_000
    for _ in range(20):
        for _ in range(100):
            door = server._doors[b"/app/-/websocket"]
            connection = WebSocketConnection(FailingStream(), Request(), door, WebSocketOptions())
            door.application.connection_nursery.start_soon(connection.run)
        await trio.testing.wait_all_tasks_blocked()
    assert log.failures == 12_000
    gc.collect()
    assert sum(isinstance(each, Boom) for each in gc.get_objects()) < 20
    server.stop()
    await server.wait_stopped()
