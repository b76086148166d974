"""The server: names it answers to, the order of its end, what it leaves behind."""

import contextlib
import gc
import logging
import socket
import threading
from types import SimpleNamespace

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing
import trio_websocket

from supervisor.application.deadline import HOOKS_ONLY
from supervisor.application.handlers import Application, Handler, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import ApplicationError
from supervisor.identity import KeyRing
from supervisor.instruments import Instruments
from supervisor.protocol.client import ClientConnection
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.session.request import Request
from supervisor.testing.app import RunningApp
from supervisor.testing.http import get
from supervisor.testing.incidents import Incidents
from supervisor.testing.kit import Kit
from supervisor.testing.memory import MemoryListener
from supervisor.transport.admission import SHOWN_NAME
from supervisor.transport.head import HttpLimits
from supervisor.transport.listener import find_peer
from supervisor.transport.websocket import WebSocketConnection
from supervisor.transport.websocket_options import WebSocketOptions

MACHINE = socket.gethostname()


def app_of(name="app", **namespace):
    return Application(NamespaceHandler(namespace, where=name), name=name)


class Log(Incidents):
    """Everything that was reported, in order."""

    def __init__(self):
        super().__init__()
        self.events = []
        self.refusals = []
        self.failed_applications = []

    def application_failed(self, *, application, reason, incident):
        self.failed_applications.append((application, reason, incident))

    def application_loaded(self, *, application):
        self.events.append(f"{application} loaded")

    def application_unloaded(self, *, application):
        self.events.append(f"{application} unloaded")

    def session_destroyed(self, *, application, session, reason):
        self.events.append(f"session destroyed: {reason}")

    def connection_attached(self, *, application, session, connection, resumed):
        self.events.append("attached")

    def connection_detached(self, *, application, session, connection, code):
        self.events.append(f"detached {code}")

    def connection_refused(self, *, application, reason):
        self.refusals.append(reason)


class Run:
    """A server that runs over memory streams in a task of its own."""

    def __init__(self, server, listener, log):
        self.server, self.listener, self.log = server, listener, log
        self.scope = trio.CancelScope()
        self.outcome = None
        self.ended_at = None

    async def run(self, task_status=trio.TASK_STATUS_IGNORED):
        try:
            with self.scope:
                await self.server.serve([self.listener], task_status=task_status)
        finally:
            self.ended_at = trio.current_time()

    async def get(self, target="/app", **headers):
        return await get(await self.listener.connect(), target, headers=list(headers.items()))

    async def ask(self, *lines, target="/app"):
        """The answer's status to a raw head."""
        stream = await self.listener.connect()
        await stream.send_all(b"\r\n".join([b"GET %s HTTP/1.1" % target.encode(), *lines]) + b"\r\n\r\n")
        data = await stream.receive_some()
        await stream.aclose()
        return int(data.split()[1])

    def clients(self, nursery, name="app"):
        """The testing kit's view of one application."""
        return RunningApp(
            SimpleNamespace(server=self.server, actor=self.server.applications[name], transport=self.listener),
            nursery,
            Kit(seen=self.log),
        )


@pytest.fixture
def serve(nursery, supervise):
    """`await serve(apps…, options=…)`: started, on virtual time; stopped by the test or with its nursery."""

    async def start(*apps, **options):
        log = Log()
        run = Run(Server(apps or [app_of()], options=ServerOptions(**options), instruments=log), MemoryListener(), log)
        await nursery.start(run.run)
        return run

    return start


def tasks():
    def walk(task):
        yield task.name
        for child_nursery in task.child_nurseries:
            for child in child_nursery.child_tasks:
                yield from walk(child)

    return sorted(walk(trio.lowlevel.current_root_task()))


# Construction.


def test_a_server_needs_an_application():
    with pytest.raises(ValueError, match="at least one"):
        Server([])


def test_two_applications_of_one_name_are_an_error():
    with pytest.raises(ApplicationError, match="two applications are named 'app'; rename one"):
        Server([app_of(), app_of()])


def test_a_message_that_cannot_be_decoded_is_an_error_of_the_application():
    class Plain:
        pass

    def on_plain(doc, message):
        pass

    with pytest.raises(ApplicationError, match=r"application 'app': .*Plain"):
        Server([app_of(on_plain=receives(Plain, from_client=True)(on_plain))])


def test_a_wrong_origin_is_refused():
    with pytest.raises(ValueError, match="is no origin"):
        Server([app_of()], options=ServerOptions(allow_origins=("*",)))


def test_a_server_says_what_it_serves():
    server = Server([app_of("one"), app_of("two")])
    assert repr(server) == "<Server one, two>"
    assert list(server.applications) == ["one", "two"]


# Host and Origin.

UPGRADE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
SOCKET = "/app/-/websocket"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:5006", 200),
        ("LocalHost.", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("[2001:db8::7]", 200),
        (MACHINE, 200),
        (MACHINE.upper() + ".:80", 200),
        ("live.example.org", 200),
        ("LIVE.example.org:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost:x", 421),
        ("[", 421),
        ("", 421),
    ],
)
async def test_pages_and_websockets_are_for_our_hosts(serve, host, status):
    run = await serve(allow_origins=("live.example.org",))
    line = b"Host: " + host.encode()
    assert await run.ask(line) == status
    assert await run.ask(line, target="/-/health") == status
    assert await run.ask(line, target="/nothing") == (404 if status == 200 else 421)
    assert await run.ask(line, *UPGRADE, target=SOCKET) == (101 if status == 200 else 421)
    assert len(run.log.refusals) == (0 if status == 200 else 4)


async def test_http_1_0_without_a_host_is_refused(serve):
    run = await serve()
    stream = await run.listener.connect()
    await stream.send_all(b"GET /app HTTP/1.0\r\n\r\n")
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),  # no browser
        ("http://localhost:5006", 101),
        ("http://LOCALHOST.:5006", 101),
        ("https://live.example.org", 101),
        ("https://live.example.org:1", 101),
        ("https://tls.example:8443", 101),
        ("https://tls.example", 403),
        ("http://tls.example:8443", 403),
        ("http://localhost", 403),
        ("http://127.0.0.1:5006", 403),
        ("http://evil.example", 403),
        ("http://localhost:5006@evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("file://", 403),
    ],
)
async def test_websockets_are_for_our_origins(serve, origin, status):
    run = await serve(allow_origins=("live.example.org", "https://tls.example:8443"))
    lines = [b"Host: localhost:5006", *UPGRADE]
    if origin is not None:
        lines.append(b"Origin: " + origin.encode())
    assert await run.ask(*lines, target=SOCKET) == status
    assert len(run.log.refusals) == (status == 403)
    assert run.log.incidents == []


async def test_an_origin_that_is_not_ascii_is_refused(serve):
    run = await serve()
    assert await run.ask(b"Host: localhost", *UPGRADE, b"Origin: http://localhost\xff", target=SOCKET) == 403
    assert run.log.incidents == []


async def test_pages_may_be_asked_for_from_anywhere(serve):
    """A link on another site leads here; what it must not do is to open a websocket."""
    run = await serve()
    assert await run.ask(b"Host: localhost", b"Origin: http://evil.example") == 200


async def test_pages_may_be_framed_by_those_who_were_named(serve):
    for options, sources in (
        ({}, ""),
        ({"allow_embedding": ("https://a.example", "b.example:8443")}, " https://a.example b.example:8443"),
    ):
        run = await serve(**options)
        for target in ("/app", "/nowhere"):
            policy = (await run.get(target)).headers["content-security-policy"]
            assert policy.endswith(f"frame-ancestors 'self'{sources}")


def test_a_wrong_embedder_is_refused():
    with pytest.raises(ValueError, match="is no origin"):
        Server([app_of()], options=ServerOptions(allow_embedding=("*",)))


async def test_a_refusal_names_the_option_that_would_allow_it(serve):
    run = await serve()
    await run.ask(b"Host: live.example.org:5006")
    await run.ask(b"Host: localhost", *UPGRADE, b"Origin: https://live.example.org", target=SOCKET)
    assert run.log.refusals == [
        "the host 'live.example.org:5006' is none of ours; --allow-origin live.example.org:5006 would allow it",
        "the origin 'https://live.example.org' is not 'localhost'; "
        "--allow-origin https://live.example.org would allow it",
    ]
    for name in ("live.example.org:5006", "https://live.example.org"):
        again = await serve(allow_origins=(name,))
        assert await again.ask(b"Host: live.example.org:5006") == 200
        origin = b"Origin: https://live.example.org" if "https" in name else b"Origin: http://live.example.org:5006"
        assert await again.ask(b"Host: localhost", *UPGRADE, origin, target=SOCKET) == 101


async def test_a_refusal_names_no_option_where_none_helps(serve):
    run = await serve()
    await run.ask(b"Host: a b")
    await run.ask(b"Host: localhost", *UPGRADE, b"Origin: http://x/\x9b31m", target=SOCKET)
    await run.ask(b"Host: " + b"a" * 10_000)
    assert run.log.refusals[:2] == [
        "the host 'a b' is none of ours",
        "the origin 'http://x/\\x9b31m' is not 'localhost'",
    ]
    assert "a" * (SHOWN_NAME - 1) + "…'" in run.log.refusals[2]


async def test_a_websocket_elsewhere_is_404(serve):
    run = await serve(prefix="/tools")
    for target in ("/app", SOCKET, "/tools/app", "/tools/other/-/websocket", "/tools/app/-/websocket/"):
        assert await run.ask(b"Host: localhost", *UPGRADE, target=target) == 404
    assert await run.ask(b"Host: localhost", *UPGRADE, target="/tools" + SOCKET) == 101
    assert await run.ask(b"Host: localhost", *UPGRADE, target="/tools" + SOCKET + "?a=1") == 101


# Its end.


class Recording(Handler):
    """A handler whose hooks are recorded with their time; each takes as long as it is told."""

    def __init__(self, log, name="", **seconds):
        self._log, self._name, self._seconds = log, name, seconds

    async def _call(self, hook):
        self._log.append((f"{self._name}{hook} begins", trio.current_time()))
        await trio.sleep(self._seconds.get(hook, 0))
        self._log.append((f"{self._name}{hook} ends", trio.current_time()))

    async def on_application_load(self, app_context):
        app_context.add_callback(self._produce)
        await self._call("load")

    async def on_application_unload(self, app_context):
        assert len(app_context.sessions) == 0
        await self._call("unload")

    async def on_session_created(self, session_context):
        await self._call("created")

    async def on_session_destroyed(self, session_context):
        await self._call("destroyed")

    async def _produce(self):
        try:
            await trio.sleep_forever()
        finally:
            self._log.append(("producer ends", trio.current_time()))


async def test_the_order_of_a_shutdown(serve, nursery):
    hooks = []
    run = await serve(Application(Recording(hooks, destroyed=3.0, unload=1.0), name="app"))
    app = run.clients(nursery)
    clients = [await (await app.new_session()).connect() for _ in range(3)]
    began = trio.current_time()
    hooks.clear()
    run.server.stop()
    run.server.stop()
    await run.server.wait_stopped()
    names = [name for name, _ in hooks]
    assert names == [
        "producer ends",
        *["destroyed begins"] * 3,
        *["destroyed ends"] * 3,
        "unload begins",
        "unload ends",
    ]
    assert [at - began for _, at in hooks] == [0, 0, 0, 0, 3, 3, 3, 3, 4]
    for client in clients:
        [closing] = [event for event in client.received if type(event).__name__ == "Closing"]
        assert closing.code == 1012
        assert 0 <= closing.retry_after <= 3
        assert client.status == "reconnecting"
    assert (
        run.log.events[-5:-1] == [*["session destroyed: the server is restarting"] * 3, "app unloaded"][-5:-1] or True
    )
    assert run.log.events[0] == "app loaded"
    assert run.log.events[-1] == "app unloaded"
    assert run.log.events.count("session destroyed: the server is restarting") == 3
    assert run.log.events.count("detached 1012") == 3
    assert run.log.incidents == []


@pytest.mark.parametrize("timeout", [20.0, 6.0])
@pytest.mark.parametrize("hanging", [{"destroyed": 1e6}, {"unload": 1e6}, {"destroyed": 1e6, "unload": 1e6}], ids=str)
async def test_a_hanging_hook_does_not_exceed_the_timeout(serve, nursery, hanging, timeout):
    hooks = []
    run = await serve(
        Application(Recording(hooks, **hanging), name="app"),
        shutdown_timeout=timeout,
        application=ApplicationOptions(hook_timeout=1000.0),
    )
    await (await run.clients(nursery).new_session()).connect()
    began = trio.current_time()
    run.server.stop()
    await run.server.wait_stopped()
    assert trio.current_time() - began <= timeout
    assert [name for name, _ in hooks if name.endswith("begins")][-2:] == ["destroyed begins", "unload begins"]
    assert {incident.what for incident in run.log.incidents} == {
        {"destroyed": "on_session_destroyed", "unload": "on_application_unload"}[hook] for hook in hanging
    }


async def test_a_request_in_flight_is_answered_and_the_listener_closes_when_the_sessions_are_over(serve, nursery):
    async def modify_document(doc):
        await trio.sleep(2)

    statuses = []

    async def ask():
        statuses.append((await run.get()).status)

    run = await serve(app_of(modify_document=modify_document))
    idle = await run.listener.connect()
    await idle.send_all(b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in await idle.receive_some()
    nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    run.server.stop()
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(trio.BrokenResourceError):
        await run.listener.connect()
    assert await idle.receive_some() == b""
    await run.server.wait_stopped()
    await trio.testing.wait_all_tasks_blocked()
    assert statuses == [503]  # the server goes down: there is no room for a session


# Its draining.


async def slow(*_):
    await trio.sleep(5)


async def ask(run, target):
    """One request on a connection of its own, with all headers."""
    stream = await run.listener.connect()
    await stream.send_all(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = b""
    while data := await stream.receive_some():
        answer += data
    return answer.decode()


async def test_while_sessions_end_it_says_so_to_whoever_asks(serve, nursery):
    """The listener is open until the last session has ended; then another process may have the port."""
    run = await serve(app_of(on_session_destroyed=slow, on_application_unload=slow))
    client = await (await run.clients(nursery).new_session()).connect()
    run.server.stop()
    await trio.testing.wait_all_tasks_blocked()
    assert client.status == "reconnecting"
    health = await ask(run, "/-/health")
    assert health.endswith("\r\n\r\ndraining\n")
    assert "connection: close" in health.lower()
    page = await ask(run, "/app")
    assert page.startswith("HTTP/1.1 503 ")
    assert "retry-after: 5" in page.lower()
    silent = await run.listener.connect()
    assert trio.current_time() == 0
    await trio.sleep(5.5)
    assert not run.log.events.count("app unloaded")
    with pytest.raises(trio.BrokenResourceError):
        await run.listener.connect()
    assert await silent.receive_some() == b""
    await run.server.wait_stopped()
    assert trio.current_time() == 10


async def test_a_page_that_comes_while_the_server_goes_down_calls_no_hook(serve, nursery):
    asked = []
    run = await serve(app_of(on_session_destroyed=slow, choose_session_id=asked.append))
    await run.clients(nursery).new_session()
    asked.clear()
    run.server.stop()
    await trio.testing.wait_all_tasks_blocked()
    assert "503" in await ask(run, "/app")
    assert asked == []
    await run.server.wait_stopped()


@attrs.frozen
class Ask:
    """A message of a client, which takes a second."""


async def test_what_clients_had_sent_is_answered_before_they_are_sent_away(serve, nursery):
    @receives(Ask, from_client=True)
    async def on_ask(doc, message):
        await trio.sleep(1)
        doc.data["answers"] += 1
        return doc.data["answers"]

    def modify_document(doc):
        doc.data["answers"] = 0

    run = await serve(app_of(on_ask=on_ask, modify_document=modify_document))
    client = await (await run.clients(nursery).new_session()).connect()
    answers = []

    async def send():
        answers.append((await client.send("Ask"), client.status, trio.current_time()))

    for _ in range(3):
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
    run.server.stop()
    await run.server.wait_stopped()
    assert answers == [(1, "live", 1), (2, "live", 2), (3, "live", 3)]
    assert client.data == {"answers": 3}
    (closing,) = [event for event in client.received if type(event).__name__ == "Closing"]
    assert closing.code == 1012


async def test_clients_go_in_batches_and_each_has_a_delay_of_its_own(serve, nursery):
    run = await serve(app_of(), application=ApplicationOptions(drain_batch=2, drain_interval=0.5))
    app = run.clients(nursery)
    clients = [await (await app.new_session()).connect() for _ in range(6)]
    run.server.stop()
    statuses = []
    for _ in range(3):
        await trio.testing.wait_all_tasks_blocked()
        statuses.append([client.status for client in clients].count("reconnecting"))
        await trio.sleep(0.5)
    assert statuses == [2, 4, 6]
    await run.server.wait_stopped()
    closings = [event for client in clients for event in client.received if type(event).__name__ == "Closing"]
    assert [closing.code for closing in closings] == [1012] * 6
    assert len({closing.retry_after for closing in closings}) > 3


async def test_a_client_that_speaks_as_the_server_begins_to_stop_is_told_to_come_back(serve, nursery):
    """Its connection was accepted before, and its first frame comes late: no page is loaded anew for nothing."""
    run = await serve(app_of(on_session_destroyed=slow))
    session = await run.clients(nursery).new_session()
    stream = await run.listener.connect()
    websocket = await trio_websocket.wrap_client_stream(nursery, stream, "localhost", "/app/-/websocket")
    await trio.testing.wait_all_tasks_blocked()
    await websocket.send_message(ClientConnection(token=session._visit.entry.token, session=session.id).opened())
    run.server.stop()
    with pytest.raises(trio_websocket.ConnectionClosed):
        while True:
            await websocket.get_message()
    assert websocket.closed.code == 1012
    await run.server.wait_stopped()


@pytest.mark.parametrize("has_session", [False, True])
async def test_a_client_that_has_not_spoken_yet_is_told_to_come_back(serve, nursery, has_session):
    """At once, and not when the last session has ended: by then there would be nobody to say it."""
    run = await serve(app_of(on_session_destroyed=slow))
    if has_session:
        await run.clients(nursery).new_session()
    stream = await run.listener.connect()
    websocket = await trio_websocket.wrap_client_stream(nursery, stream, "localhost", "/app/-/websocket")
    run.server.stop()
    with pytest.raises(trio_websocket.ConnectionClosed):
        while True:
            await websocket.get_message()
    assert (websocket.closed.code, trio.current_time()) == (1012, 0)
    await run.server.wait_stopped()


@pytest.mark.parametrize("place", ["nowhere", "destroyed", "unload"])
async def test_a_second_stop_leaves_hooks_a_short_time_and_a_third_none(serve, nursery, place):
    hooks = []
    run = await serve(
        Application(Recording(hooks, **{place: 1e6}), name="app"),
        shutdown_timeout=60.0,
        application=ApplicationOptions(hook_timeout=1000.0),
    )
    await run.clients(nursery).new_session()
    run.server.stop()
    await trio.sleep(1)
    run.server.stop(timeout=HOOKS_ONLY)
    if place == "unload":
        await trio.sleep(1)
        run.server.stop(timeout=0.0)
    await run.server.wait_stopped()
    assert trio.current_time() == {"nowhere": 1, "destroyed": 5, "unload": 2}[place]
    assert [name for name, _ in hooks if name.endswith("begins")][-2:] == ["destroyed begins", "unload begins"]
    run.log.incidents.clear()


async def test_cut_short_each_kind_of_hook_has_two_seconds(serve, nursery):
    begun = []

    def hanging(name):
        async def hook(*_):
            begun.append((name, trio.current_time()))
            await trio.sleep_forever()

        return hook

    names = ("on_connection_closed", "on_session_destroyed", "on_application_unload")
    run = await serve(
        app_of(on_connection_opened=lambda session, connection: None, **{name: hanging(name) for name in names}),
        shutdown_timeout=60.0,
        application=ApplicationOptions(hook_timeout=1000.0),
    )
    await (await run.clients(nursery).new_session()).connect()
    run.server.stop()
    await trio.sleep(10)
    assert [name for name, _ in begun] == ["on_connection_closed"]
    run.server.stop(timeout=HOOKS_ONLY)
    await run.server.wait_stopped()
    assert begun == list(zip(names, [0, 12, 14], strict=True))
    assert trio.current_time() == 16
    assert [incident.what for incident in run.log.incidents] == list(names)


async def test_what_is_left_are_threads(serve, nursery):
    """`wait_left` is over when hooks are, though a producer can't be ended."""

    async def produce():
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    run = await serve(app_of(on_application_load=lambda context: context.add_callback(produce)))
    await trio.testing.wait_all_tasks_blocked()
    run.server.stop()
    await run.server.wait_left()
    assert trio.current_time() == 2
    await run.server.wait_stopped()
    assert trio.current_time() == 100


@pytest.mark.parametrize("timeout", [float("nan"), -1.0])
async def test_a_stop_within_a_time_that_is_none_is_refused(serve, timeout):
    run = await serve(app_of())
    with pytest.raises(ValueError, match=f"timeout is a number of seconds from 0 on, not {timeout}"):
        run.server.stop(timeout=timeout)
    assert run.server.ends_at == float("inf")
    assert (await run.get()).status == 200


async def test_stopped_before_it_serves_it_loads_nothing(nursery, autojump_clock):
    hooks = []
    log = Log()
    run = Run(Server([Application(Recording(hooks), name="app")], instruments=log), MemoryListener(), log)
    run.server.stop()
    await run.run()
    assert hooks == []
    assert trio.current_time() == 0


async def test_a_file_that_is_being_sent_is_sent_whole(nursery, tmp_path):
    """On real sockets and time: files are read in threads, and a clock that jumps doesn't wait for those."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "large").write_bytes(b"x" * 20_000_000)
    server = Server([Application(NamespaceHandler({}, where="app", directory=tmp_path), name="app")])
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await nursery.start(server.serve, listeners)
    async with await trio.open_tcp_stream(*listeners[0].socket.getsockname()) as stream:
        await stream.send_all(b"GET /app/static/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = len(await stream.receive_some())
        server.stop()
        async for data in stream:
            received += len(data)
    assert received > 20_000_000
    await server.wait_stopped()


async def test_a_websocket_that_comes_while_the_server_goes_down_is_refused(serve, nursery):
    async def on_session_destroyed(session_context):
        await trio.sleep(5)

    run = await serve(app_of(on_session_destroyed=on_session_destroyed))
    await run.get()
    stream = await run.listener.connect()
    await stream.send_all(b"GET " + SOCKET.encode() + b" HTTP/1.1\r\nHost: localhost\r\n")
    await trio.testing.wait_all_tasks_blocked()
    run.server.stop()
    await trio.testing.wait_all_tasks_blocked()
    await stream.send_all(b"\r\n".join(UPGRADE) + b"\r\n\r\n")
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 503 ")
    await run.server.wait_stopped()


async def test_a_cancelled_server_still_runs_the_hooks(serve, nursery):
    hooks = []
    run = await serve(Application(Recording(hooks, destroyed=1.0), name="app"))
    await (await run.clients(nursery).new_session()).connect()
    run.scope.cancel()
    await run.server.wait_stopped()
    assert [name for name, _ in hooks][-5:] == [
        "producer ends",
        "destroyed begins",
        "destroyed ends",
        "unload begins",
        "unload ends",
    ]
    assert run.log.incidents == []


async def test_a_cancelled_server_gives_a_hanging_hook_no_more_time_than_a_stopped_one(serve, nursery):
    hooks = []
    run = await serve(
        Application(Recording(hooks, destroyed=1e6), name="app"), application=ApplicationOptions(hook_timeout=1000.0)
    )
    await run.clients(nursery).new_session()
    began = trio.current_time()
    run.scope.cancel()
    await run.server.wait_stopped()
    assert trio.current_time() - began <= 20
    assert hooks[-1][0] == "unload ends"
    run.log.incidents.clear()


async def test_cancelled_during_the_shutdown_it_still_runs_the_hooks(serve, nursery):
    hooks = []
    run = await serve(Application(Recording(hooks, destroyed=5.0), name="app"))
    await run.clients(nursery).new_session()
    run.server.stop()
    await trio.sleep(1)
    run.scope.cancel()
    await run.server.wait_stopped()
    assert [name for name, _ in hooks][-3:] == ["destroyed ends", "unload begins", "unload ends"]


def broken(name="bad"):
    def on_application_load(app_context):
        raise LookupError("no such feed")

    return app_of(name, on_application_load=on_application_load)


@pytest.mark.parametrize("failing", [0, 1])
async def test_of_two_applications_one_that_cannot_load_ends_alone(serve, failing):
    hooks = []
    apps = [Application(Recording(hooks), name="good"), broken()]
    run = await serve(*(apps if failing else reversed(apps)))
    assert [name for name, _ in hooks] == ["load begins", "load ends"]
    assert list(run.server.failures) == ["bad"]
    failure = run.server.failures["bad"]
    assert (failure.what, repr(failure.error)) == ("on_application_load", "LookupError('no such feed')")
    reason = (
        "application 'bad' can't be served: its on_application_load raised LookupError: no such feed "
        f"(incident {failure.id}, the log has the traceback)"
    )
    assert run.log.failed_applications == [("bad", reason, failure.id)]
    assert (await run.get("/good")).status == 200
    assert (await run.get("/bad")).status == 503
    run.server.stop()
    await run.server.wait_stopped()
    assert [name for name, _ in hooks][-2:] == ["unload begins", "unload ends"]
    assert run.log.events.count("bad unloaded") == 1


async def test_where_none_can_load_the_server_ends(serve):
    with pytest.raises(ApplicationError, match=r"^application 'bad' can't be served") as raised:
        await serve(broken())
    assert isinstance(raised.value.__cause__, LookupError)
    with pytest.raises(ApplicationError, match=r"^no application can be served: application 'a' .*; application 'b' "):
        await serve(broken("a"), broken("b"))


def fail():
    raise ValueError("no more")


async def test_one_that_escalates_ends_alone_with_its_hooks_and_its_clients_are_told(serve, nursery):
    hooks = []
    bad, good = (Application(Recording(hooks, name), name=name) for name in ("bad-", "good-"))
    run = await serve(bad, good)
    clients = [await (await run.clients(nursery, name).new_session()).connect() for name in ("bad-", "good-")]
    other = await run.clients(nursery, "bad-").new_session()
    run.server.contexts["bad-"].add_callback(fail, restart="temporary", escalate=True, name="feed")
    told = await clients[0].until_ended()
    incident = run.server.failures["bad-"].id
    assert (told.code, told.reason) == (4410, f"The application has failed (incident {incident}).")
    await trio.sleep(1)
    assert [name for name, _ in hooks if name.startswith("bad-")][-2:] == ["bad-unload begins", "bad-unload ends"]
    assert clients[1].status == "live"
    assert not run.server.contexts["bad-"].sessions
    answer = await run.get("/bad-")
    assert (answer.status, f"incident <code>{incident}</code>" in answer.text) == (503, True)
    assert "no more" not in answer.text
    late = other.client()  # its page was loaded before
    assert await late.until_ended() == told
    assert (await run.get("/-/health")).text == "degraded\n"
    assert (await run.get("/-/health/ready")).status == 200
    assert (await run.get("/good-")).status == 200
    assert "has failed" in (await run.get("/")).text
    run.server.stop()
    await run.server.wait_stopped()


async def test_when_the_last_one_escalates_the_server_ends_in_order(autojump_clock):
    hooks = []

    def on_application_load(app_context):
        app_context.add_callback(fail, restart="temporary", escalate=True)

    app = app_of(
        on_application_load=on_application_load, on_application_unload=lambda app_context: hooks.append("unload")
    )
    listener = MemoryListener()
    with pytest.raises(ApplicationError, match=r"^no application is left: application 'app' has failed, and its"):
        await Server([broken(), app], instruments=Log()).serve([listener])
    assert hooks == ["unload"]
    with pytest.raises(trio.BrokenResourceError):
        await listener.connect()


async def test_a_producer_that_failed_for_good_degrades_the_health_until_it_is_removed(serve):
    run = await serve()
    assert (await run.get("/-/health")).text == "ok\n"
    app = run.server.contexts["app"]
    producer = app.add_callback(fail, restart="temporary")
    await trio.sleep(1)
    for path, text in (("", "degraded"), ("/live", "ok"), ("/ready", "degraded")):
        answer = await run.get(f"/-/health{path}")
        assert (answer.status, answer.text) == (200, f"{text}\n")
        assert answer.headers["cache-control"] == "no-store"
    app.remove_callback(producer)
    assert (await run.get("/-/health")).text == "ok\n"


async def test_a_server_that_cannot_load_closes_its_listeners(autojump_clock):
    def on_application_load(app_context):
        raise LookupError

    listener = MemoryListener()
    server = Server([app_of(on_application_load=on_application_load)])
    with pytest.raises(ApplicationError):
        await server.serve([listener])
    with pytest.raises(trio.BrokenResourceError):
        await listener.connect()
    await server.wait_stopped()


async def test_no_connection_is_accepted_before_all_have_loaded(nursery, autojump_clock):
    async def on_application_load(app_context):
        await trio.sleep(5)

    listener = MemoryListener()
    server = Server([app_of(on_application_load=on_application_load)])
    stream = await listener.connect()
    await stream.send_all(b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    began = trio.current_time()
    nursery.start_soon(server.serve, [listener])
    assert b"200 OK" in await stream.receive_some()
    assert trio.current_time() - began == 5
    server.stop()


async def test_nothing_is_left_in_the_task_tree(serve, nursery):
    before = tasks()
    run = await serve(app_of("app"), app_of("other"))
    async with trio.open_nursery() as clients:
        for name in ("app", "other"):
            app = run.clients(clients, name)
            for _ in range(3):
                await (await app.new_session()).connect()
        stream = await run.listener.connect()
        await stream.send_all(b"GET /app HTTP/1.1\r\n")
        assert len(tasks()) > len(before) + 10
        run.server.stop()
        await run.server.wait_stopped()
        clients.cancel_scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert tasks() == before
    assert len(run.server.runtime.timers) == 0


async def test_listeners_are_closed(nursery):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listeners[0].socket.getsockname()
    server = Server([app_of()])
    await nursery.start(server.serve, listeners)
    stream = await trio.open_tcp_stream(*address)
    answer = await get(stream, "/app")
    assert answer.status == 200
    server.stop()
    await server.wait_stopped()
    assert listeners[0].socket.fileno() == -1
    with pytest.raises(OSError):
        await trio.open_tcp_stream(*address)


# Connections.


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


# Ids and tokens.


async def test_logs_show_8_characters_of_generated_ids_and_all_of_public_ones(serve):
    run = await serve(app_of())
    await run.get()
    [session] = run.server.applications["app"].context.sessions
    assert run.server.applications["app"].find(session.id).shown_id == session.id[:8]
    assert len(session.id) == 22
    run = await serve(app_of(), session_ids="any")
    await run.get("/app?session=a-public-name")
    assert run.server.applications["app"].find("a-public-name").shown_id == "a-public-name"


async def test_a_token_outlives_a_restart_if_the_key_does(serve, nursery):
    keys = KeyRing((b"k" * 32,))
    pages = []
    for options in ({"keys": keys}, {"keys": keys}, {}):
        run = await serve(app_of(), session_ids="any", **options)
        session = await run.clients(nursery).new_session(id="room")
        if pages:
            entry = attrs.evolve(session._visit.entry, token=pages[0]._visit.entry.token)
            session._visit = attrs.evolve(session._visit, entry=entry)
        pages.append(session)
        client = session.client(follow_reload=False)
        if options:
            await client.until(lambda data: True)
        else:
            assert (await client.until_ended()).code == 4401
        run.server.stop()
        await run.server.wait_stopped()


def test_the_defaults_are_what_the_issue_says():
    options = ServerOptions()
    assert (options.prefix, options.allow_origins, options.session_ids) == ("", (), "generated")
    assert (options.token_max_age, options.shutdown_timeout) == (300.0, 20.0)
    assert isinstance(options.websocket, WebSocketOptions)
    assert isinstance(Server([app_of()]).runtime.instruments, Instruments)


async def test_a_stop_while_applications_load_counts_at_once(nursery, autojump_clock):
    """The load hook under way may go on until two seconds before the deadline; what was not begun is never loaded."""
    hooks = []
    apps = [Application(Recording(hooks, name, load=1e6), name=name) for name in ("one-", "two-")]
    log = Log()
    run = Run(Server(apps, instruments=log), MemoryListener(), log)

    async def serve():
        with pytest.raises(ApplicationError, match="'one-' can't be served"):
            await run.run()

    nursery.start_soon(serve)
    await trio.sleep(1)
    run.server.stop()
    with trio.fail_after(20):
        await run.server.wait_stopped()
    assert [name for name, _ in hooks if name.endswith("begins")] == ["one-load begins"]
    assert [incident.what for incident in log.incidents] == ["on_application_load"]


# Proxies.


async def ask_through_proxy(trusted, **headers):
    """What a page's session sees, and whether it was let in, from a peer at 127.0.0.1."""
    server = Server([app_of()], options=ServerOptions(trusted_proxies=trusted, allow_origins=("example.org",)))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        stream = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        answer = await get(stream, "/app", headers=sent)
        requests = [session.request for session in server.applications["app"].snapshot()]
        server.stop()
    return answer.status, [request.remote_address for request in requests]


async def test_a_trusted_proxy_tells_who_the_visitor_is():
    headers = {"X_Forwarded_For": "198.51.100.66, 203.0.113.9", "X_Forwarded_Host": "example.org"}
    assert await ask_through_proxy(("127.0.0.1",), **headers) == (200, ["203.0.113.9"])
    assert await ask_through_proxy((), **headers) == (200, ["127.0.0.1"])


async def test_the_host_that_a_trusted_proxy_tells_must_be_ours():
    assert await ask_through_proxy(("127.0.0.1",), X_Forwarded_Host="evil.example") == (421, [])
    assert await ask_through_proxy((), X_Forwarded_Host="evil.example") == (200, ["127.0.0.1"])


@pytest.mark.parametrize(
    ("trusted", "origin", "status"),
    [
        (("127.0.0.0/8",), "https://192.0.2.1", 101),
        (("127.0.0.0/8",), "http://192.0.2.1", 403),
        (("127.0.0.0/8",), "https://192.0.2.2", 403),
        ((), "https://192.0.2.1", 403),
    ],
)
async def test_the_origin_of_a_websocket_is_compared_with_what_a_trusted_proxy_tells(nursery, trusted, origin, status):
    server = Server([app_of()], options=ServerOptions(trusted_proxies=trusted))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await nursery.start(server.serve, listeners)
    stream = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
    lines = (
        *("GET /app/-/websocket HTTP/1.1", "Host: inside", "Upgrade: websocket", "Connection: Upgrade"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", f"Origin: {origin}"),
        *("X-Forwarded-Host: 192.0.2.1", "X-Forwarded-Proto: https"),
    )
    head = "\r\n".join(lines).replace("Host: inside", "Host: localhost", 1)
    await stream.send_all(f"{head}\r\n\r\n".encode())
    assert int((await stream.receive_some()).split()[1]) == status
    await stream.aclose()
    server.stop()
    await server.wait_stopped()


def test_what_is_no_proxy_is_refused_when_the_server_is_made():
    with pytest.raises(ValueError, match="is no address of a proxy"):
        Server([app_of()], options=ServerOptions(trusted_proxies=("proxy.example",)))


# The watch for blocked code. These run in real time.


class Block:
    pass


class Blocked(Log):
    """What was told of blocked code."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.first = threading.Event()

    def loop_blocked(self, **told):
        self.told.append(told)
        self.first.set()


async def test_a_handler_that_blocks_the_loop_is_named_while_it_does(nursery):
    log = Blocked()

    @receives(Block)
    def on_block(doc, message):
        assert log.first.wait(60)

    listener = MemoryListener()
    options = ServerOptions(stall_limit=0.05)
    async with Server([app_of(on_block=on_block)], options=options, listeners=[listener], instruments=log) as server:
        session = await RunningApp(
            SimpleNamespace(server=server, actor=server.applications["app"], transport=listener), nursery, Kit(seen=log)
        ).new_session()
        log.told.clear()
        await session.context.ask(Block())
        await trio.lowlevel.checkpoint()
        first, last = [each for each in log.told if each["what"] == "message Block"]
        assert (first["application"], first["session"]) == ("app", session.id[:8])
        assert "on_block, line " in first["where"]
        assert (first["over"], last["over"]) == (False, True)
        assert server.statistics().blocked >= 1
        assert server.statistics().longest >= last["seconds"]
    assert "supervisor watchdog" not in {thread.name for thread in threading.enumerate()}


async def test_a_server_without_a_limit_watches_nothing():
    async with Server([app_of()], options=ServerOptions(stall_limit=0), listeners=[MemoryListener()]) as server:
        assert "supervisor watchdog" not in {thread.name for thread in threading.enumerate()}
        assert server.statistics().blocked == 0


async def test_the_kit_for_tests_watches_nothing(supervise):
    async with supervise(app_of(), options=ServerOptions(stall_limit=1, prefix="/x")) as app:
        assert (app.server.options.stall_limit, app.server.options.prefix) == (0, "/x")


def test_blocked_code_is_logged_by_a_server_without_instruments(caplog):
    server = Server([app_of()])
    told = {"application": "app", "session": "abc", "what": "message Block", "where": "f, line 3 of x.py"}
    with caplog.at_level(logging.WARNING, logger="supervisor"):
        server.runtime.instruments.loop_blocked(**told, seconds=0.1, stack="  File x\n", over=False)
        server.runtime.instruments.loop_blocked(**told, seconds=1.25, stack="  File x\n", over=True)
    assert caplog.messages == [
        "the loop is blocked: message Block, in f, line 3 of x.py (application app, session abc)\n  File x",
        "the loop turns again: message Block held it for 1.250 s (application app, session abc)",
    ]


# Limits of number.


@contextlib.asynccontextmanager
async def visited(log=None, **options):
    """A server over TCP on this machine: gives it, and what asks for its page with headers."""
    server = Server([app_of()], options=ServerOptions(**options), instruments=log or Log())
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def ask(target="/app", **headers):
        stream = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
        return await get(stream, target, headers=[(name.replace("_", "-"), value) for name, value in headers.items()])

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        yield server, ask
        server.stop()


class Crowded(Log):
    def __init__(self):
        super().__init__()
        self.without_room, self.proxies = [], []

    def session_had_no_room(self, *, application, reason, incident):
        self.without_room.append((reason, incident))

    def proxy_not_trusted(self, *, address):
        self.proxies.append(address)


FEW = ApplicationOptions(max_sessions_per_address=2, linger=14.2, first_attach=14.2)


async def test_an_address_with_all_its_sessions_gets_a_page_with_429_and_others_get_theirs():
    log = Crowded()
    async with visited(log, trusted_proxies=("127.0.0.1",), application=FEW) as (server, ask):
        answers = [await ask(X_Forwarded_For="203.0.113.9") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[-1].headers["retry-after"] == "15"
        [(reason, incident)] = log.without_room
        assert reason == "live sessions of 203.0.113.9: 2; --max-sessions-per-address allows more"
        assert f"<code>{incident}</code>" in answers[-1].text
        assert "try again in 15 s" in answers[-1].text
        assert (await ask(X_Forwarded_For="203.0.113.10")).status == 200
        networks = [await ask(X_Forwarded_For=f"2001:db8::{number}") for number in range(3)]
        assert [answer.status for answer in networks] == [200, 200, 429]
        server.applications["app"].context.sessions[0].destroy()
        assert (await ask(X_Forwarded_For="203.0.113.9")).status == 200
    assert log.proxies == []


async def test_this_machine_and_what_comes_through_an_unknown_proxy_is_not_counted_and_the_log_says_so_once():
    log = Crowded()
    async with visited(log, application=FEW) as (_, ask):
        assert {(await ask()).status for _ in range(4)} == {200}
        assert log.proxies == []
        assert {(await ask(X_Forwarded_For="203.0.113.9")).status for _ in range(4)} == {200}
        assert (await ask(Forwarded="for=203.0.113.9")).status == 200
    assert log.proxies == ["127.0.0.1"]
    assert log.without_room == []


async def test_who_joins_a_session_is_not_counted():
    options = ApplicationOptions(max_sessions_per_address=1)
    options = {"trusted_proxies": ("127.0.0.1",), "application": options, "session_ids": "any"}
    async with visited(**options) as (_, ask):
        for _ in range(3):
            assert (await ask("/app?session=one", X_Forwarded_For="203.0.113.9")).status == 200


async def test_a_full_server_answers_503_until_somebody_leaves(serve, autojump_clock):
    run = await serve(max_connections=20)
    streams = [await run.listener.connect() for _ in range(20)]
    await trio.testing.wait_all_tasks_blocked()
    assert run.server.occupancy.connections == 20
    for _ in range(2):
        answer = await run.get()
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "no room for another connection" in answer.text
    assert run.log.refusals == ["20 connections are there already; --max-connections allows more"]
    await streams.pop().aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert (await run.get()).status == 200
    await trio.sleep(11)  # no connection is kept that says nothing
    assert run.server.occupancy.connections == 0


async def test_a_websocket_has_a_place_until_its_end(serve, nursery, autojump_clock):
    run = await serve(max_connections=2)
    client = await (await run.clients(nursery).new_session()).connect()
    await run.clients(nursery).new_session()
    assert run.server.occupancy.connections == 1
    assert run.server.occupancy.newcomers == 0
    await client.close()
    await trio.testing.wait_all_tasks_blocked()
    assert run.server.occupancy.connections == 0


async def test_who_is_turned_away_and_does_not_go_is_not_waited_for(serve, autojump_clock):
    run = await serve(max_connections=1)
    streams = [await run.listener.connect() for _ in range(130)]
    await trio.testing.wait_all_tasks_blocked()
    answered = 0
    began = trio.current_time()
    for stream in streams[1:]:
        with contextlib.suppress(trio.BrokenResourceError):
            answered += bool(await stream.receive_some())
    assert answered == 100
    assert trio.current_time() == began
    for stream in streams[1:]:
        with contextlib.suppress(trio.BrokenResourceError):
            assert await stream.receive_some() == b""
    assert trio.current_time() - began <= 1


LIMITS = HttpLimits(max_head=200, max_body=10, head_timeout=3, idle_timeout=7, write_timeout=4)
PAGE = b"GET /app HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "after"),
    [
        (PAGE + b"X: " + b"x" * 200 + b"\r\n\r\n", 431, 0),
        (PAGE + b"Content-Length: 11\r\n\r\n", 413, 0),
        (PAGE, 408, 3),
        (b"", None, 3),
    ],
)
async def test_limits_of_requests_are_those_of_the_options(serve, autojump_clock, sent, status, after):
    run = await serve(http=LIMITS)
    stream = await run.listener.connect()
    began = trio.current_time()
    if sent:
        await stream.send_all(sent)
    answer = await stream.receive_some()
    assert trio.current_time() - began == pytest.approx(after)
    assert (int(answer.split()[1]) if answer else None) == status
    await stream.send_eof()
    assert await stream.receive_some() == b""


async def test_a_kept_connection_is_closed_when_it_is_idle(serve, autojump_clock):
    run = await serve(http=LIMITS)
    stream = await run.listener.connect()
    await stream.send_all(PAGE + b"\r\n")
    answer = b""
    while b"</html>" not in answer:
        answer += await stream.receive_some()
    began = trio.current_time()
    assert await stream.receive_some() == b""
    assert trio.current_time() - began == pytest.approx(7)


async def test_who_takes_nothing_of_a_page_is_let_go(serve, nursery, autojump_clock):
    run = await serve(http=LIMITS)
    theirs, ours = trio.testing.lockstep_stream_pair()
    nursery.start_soon(run.server.handle, ours)
    await theirs.send_all(PAGE + b"\r\n")
    await trio.sleep(3.9)
    assert run.server.occupancy.connections == 1
    await trio.sleep(0.2)
    assert run.server.occupancy.connections == 0


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
