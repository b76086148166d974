"""`connect()`: in and out, in memory and on real sockets, with our own server and with others."""

import functools
import socket
import ssl
import subprocess

import attrs
import pytest
import trio
import trio.testing

from supervisor import Server
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.client import ConnectFailed, PageRefused, SendRejected, SessionEnded, connect, connect_to
from supervisor.errors import Rejected
from supervisor.session.receivers import receives
from supervisor.transport.listener import open_listeners
from tests.client.conftest import answer, page
from tests.docs.proxies import find_free_port


@attrs.frozen
class Add:
    by: int


def counter(policy=None):
    """An app that counts what it is told."""

    def modify_document(doc):
        doc.data["n"] = 0

    @receives(Add, from_client=True)
    def on_add(doc, add):
        if add.by < 0:
            raise Rejected("Only up.")
        doc.data["n"] += add.by
        return doc.data["n"]

    namespace = {"modify_document": modify_document, "on_add": on_add}
    return Application([NamespaceHandler(namespace, where="app")], name="app", failure_policy=policy)


# With our own server in memory


async def test_whether_to_follow_is_true_or_false():
    with pytest.raises(TypeError, match=r"^follow_reload must be True or False, not 'no'$"):
        async with connect("http://localhost/app", follow_reload="no"):
            pass


async def test_a_session_is_live_when_the_block_begins(supervise):
    async with supervise(counter()) as app:

        async def open_stream(host, port):
            return await app.transport.connect()

        async with connect("http://localhost/app", open_stream=open_stream) as session:
            assert session.status.state == "live"
            assert session.data == {"n": 0}
            assert await session.send("Add", {"by": 2}) == 2
            assert session.data == {"n": 2}  # the changes come before the answer
            with pytest.raises(SendRejected, match=r"Only up\."):
                await session.send("Add", {"by": -1})
            async with connect("http://localhost/app", session=session.id, open_stream=open_stream) as other:
                assert other.id == session.id
                assert other.data == {"n": 2}
            await trio.sleep(0.5)
            (context,) = app.sessions
            assert len(context.connections) == 1
        assert session.status.state == "ended"
        await trio.sleep(0.5)
        assert len(context.connections) == 0


async def test_who_joins_while_the_session_pauses_before_a_restart_does_not_wait_for_that(supervise):
    """It has the document as it was. Both statuses come with one read, so it may see the second one only."""

    async def open_stream(host, port):
        return await app.transport.connect()

    policy = FailurePolicy(directive="restart", backoff=Backoff(first=50, longest=50))
    async with supervise(counter(policy)) as app, trio.open_nursery() as nursery:
        session = await app.new_session()
        nursery.start_soon(session.crash)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        for _ in range(10):
            async with connect("http://localhost/app", session=session.id, open_stream=open_stream) as other:
                assert other.status.state in ("live", "restarting")
                assert other.data == {"n": 0}
        assert trio.current_time() < began + 30


# What the block raises


async def test_what_the_block_raises_is_what_comes_out(connected, scripted, autojump_clock):
    context = KeyError("context")
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="mine")) as caught:
        async with connected():
            try:
                raise context
            except KeyError:
                raise ValueError("mine")  # noqa: B904
    (error,) = caught.value.exceptions
    assert error.__context__ is context
    assert not error.__suppress_context__


async def test_a_group_that_the_block_raises_stays_a_group(scripted, nursery, autojump_clock):
    nursery.start_soon(scripted.live)
    group = ExceptionGroup("mine", [ValueError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with connect(scripted.url, open_stream=scripted.open_stream):
            raise group
    assert caught.value is group


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
async def test_a_crash_of_the_link_ends_the_block(connected, scripted, monkeypatch, autojump_clock, error):
    """Ctrl-C too, which Python raises in whatever task runs at that moment."""

    def crash(events):
        raise error

    with pytest.RaisesGroup(error):  # the group is the fixture's
        async with connected() as (session, line):
            monkeypatch.setattr(session, "happened", crash)
            await line.patch(0, ("replace", "/n", 1))
            await trio.sleep_forever()


async def test_a_cancelled_block_says_goodbye(connected, scripted, autojump_clock):
    began = trio.current_time()
    with trio.CancelScope() as scope:
        async with connected() as (session, line):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert line.closed.code == 1000
    assert session.status.state == "ended"
    assert trio.current_time() == began


async def test_leaving_takes_two_seconds_at_most(connected, scripted, autojump_clock):
    async with connected() as (_session, line):
        line.fall_silent()
        began = trio.current_time()
    assert trio.current_time() - began <= 2


async def test_no_task_is_left(scripted, nursery, all_tasks, autojump_clock):
    nursery.start_soon(scripted.live)
    before = all_tasks()
    async with connect(scripted.url, open_stream=scripted.open_stream):
        assert len(all_tasks()) > len(before)
    await trio.testing.wait_all_tasks_blocked()
    assert {task.name for task in all_tasks() - before if "supervisor.client" in task.name} == set()


@pytest.mark.parametrize("seconds", [0, 0.5, 1.5, 2.5])
async def test_cancelled_on_the_way_in_nothing_is_left(scripted, all_tasks, autojump_clock, seconds):
    open_stream = scripted.open_stream

    async def slowly(host, port):
        await trio.sleep(1)
        return await open_stream(host, port)

    with trio.move_on_after(seconds) as scope:
        async with connect(scripted.url, open_stream=slowly):
            raise AssertionError
    assert scope.cancelled_caught
    await trio.testing.wait_all_tasks_blocked()
    assert not any("supervisor.client" in task.name for task in all_tasks())


# What is in the way


async def connecting(scripted, **options):
    async with connect(scripted.url, open_stream=scripted.open_stream, **options):
        raise AssertionError("it is live")


async def test_a_page_that_is_refused(scripted, autojump_clock):
    scripted.pages = [answer(403, "<h1>No entry</h1><p>Please log in.")]
    with pytest.raises(PageRefused, match=r"with status 403: No entry\. Please log in$") as caught:
        await connecting(scripted)
    assert caught.value.status == 403


async def test_a_page_that_never_comes(scripted, autojump_clock):
    async def silent(stream, *_):
        await trio.sleep_forever()

    scripted._answer = silent
    with pytest.raises(trio.TooSlowError, match=r"^server.example doesn't answer within 5 s$"):
        await connecting(scripted, timeout=5)


async def test_a_websocket_that_is_never_live(scripted, nursery, autojump_clock):
    async def rubbish():
        while True:
            line = await scripted.accept()
            await line.send("rubbish")

    nursery.start_soon(rubbish)
    began = trio.current_time()
    with pytest.raises(trio.TooSlowError, match=r"not live within 30 s; server.example breaks the rules of"):
        await connecting(scripted)
    assert trio.current_time() - began == pytest.approx(30, abs=0.1)


async def test_a_websocket_that_is_refused(scripted, autojump_clock):
    scripted.upgrade = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(ConnectFailed, match=r"^server.example answers the websocket with status 403$"):
        await connecting(scripted)


async def test_a_session_that_ends_before_it_is_live(scripted, nursery, autojump_clock):
    async def end():
        line = await scripted.accept()
        await line.receive()
        await line.close(4403, "Ask Ada.", announced=True)

    nursery.start_soon(end)
    with pytest.raises(SessionEnded, match=r"^Ask Ada\.$") as caught:
        await connecting(scripted)
    assert caught.value.code == 4403


async def test_an_address_that_is_none(scripted, autojump_clock):
    with pytest.raises(ValueError, match="begins with http"):
        async with connect("127.0.0.1:5006"):
            pass


async def test_headers_and_cookies_go_with_the_websocket(scripted, nursery, autojump_clock):
    scripted.pages = [answer(body=page(), set_cookie="a=1")]
    lines = []

    async def serve():
        lines.append((await scripted.live())[0])

    nursery.start_soon(serve)
    async with connect(scripted.url, headers=[("X-Key", "k")], open_stream=scripted.open_stream):
        assert lines[0].asked.headers["x-key"] == "k"
        assert lines[0].asked.headers["cookie"] == "a=1"


# With a token at hand


async def test_who_has_a_token_needs_no_page(scripted, nursery, autojump_clock):
    firsts = []

    async def serve():
        line, first = await scripted.live()
        firsts.append((line.asked.target, line.asked.headers["authorization"], first))
        await line.close(4404, announced=True)

    nursery.start_soon(serve)
    url = "ws://ada:x@server.example/app/-/websocket"
    async with connect_to(url, session="s-1", token="t-7", open_stream=scripted.open_stream) as session:
        assert (await session.wait_ended()).code == 4404
    assert firsts == [("/app/-/websocket", "Basic YWRhOng=", {"type": "attach", "token": "t-7"})]
    assert scripted.asked == []


# On real sockets


async def serve(nursery, app, port=0, **options):
    """A server on a real port; returns it and the port."""
    server = Server([app], **options)
    listeners = await open_listeners("127.0.0.1", port)
    await nursery.start(server.serve, listeners)
    return server, listeners[0].socket.getsockname()[1]


async def test_our_server_on_a_real_socket():
    async with trio.open_nursery() as nursery:
        server, port = await serve(nursery, counter())
        async with connect(f"http://127.0.0.1:{port}/") as session:  # one app alone is found at / too
            assert await session.send("Add", {"by": 5}) == 5
        server.stop()


async def test_a_server_that_is_restarted_gives_a_new_session_by_itself():
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server, port = await serve(nursery, counter(), find_free_port())
            async with connect(f"http://127.0.0.1:{port}/app", random=lambda: 0.0) as session:
                await session.send("Add", {"by": 5})
                changes = session.changes()
                assert (await anext(changes)).data == {"n": 5}
                server.stop()
                await server.wait_stopped()
                server, _ = await serve(nursery, counter(), port)
                change = await anext(changes)
                assert (change.is_new_session, change.data) == (True, {"n": 0})
                assert await session.send("Add", {"by": 1}) == 1
            server.stop()


async def test_a_connection_that_breaks_is_resumed_on_a_real_socket():
    streams = []

    async def open_stream(host, port):
        streams.append(await trio.open_tcp_stream(host, port))
        return streams[-1]

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server, port = await serve(nursery, counter())
            url = f"http://127.0.0.1:{port}/app"
            async with connect(url, random=lambda: 0.0, open_stream=open_stream) as session:
                await session.send("Add", {"by": 5})
                ident = session.id
                await trio.aclose_forcefully(streams[-1])
                assert await session.send("Add", {"by": 1}) == 6
                assert (session.id, session.status.sessions) == (ident, 1)
            server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    try:
        subprocess.run([*command.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("openssl is missing")
    return folder / "cert.pem", folder / "key.pem"


async def test_tls_is_spoken_and_checked(certificate):
    cert, key = certificate
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(cert, key)

    async def forward(port, stream):
        """A proxy that ends TLS: what the server itself does with certificates is its own."""
        async with trio.SSLStream(stream, theirs, server_side=True, https_compatible=True) as front:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", port) as back, trio.open_nursery() as nursery:
                    nursery.start_soon(pump, front, back, nursery.cancel_scope)
                    await pump(back, front, nursery.cancel_scope)
            except* (trio.BrokenResourceError, ssl.SSLError):
                pass

    async def pump(source, sink, scope):
        async for data in source:
            await sink.send_all(data)
        scope.cancel()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server, port = await serve(nursery, counter())
            (front,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, functools.partial(forward, port), [front])
            url = f"https://localhost:{front.socket.getsockname()[1]}/app"
            with pytest.raises(ConnectFailed, match=r"its certificate isn't trusted \(self-signed certificate\)$"):
                async with connect(url):
                    pass
            trusting = ssl.create_default_context(cafile=cert)
            async with connect(url, ssl_context=trusting) as session:
                assert await session.send("Add", {"by": 5}) == 5
            server.stop()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\x00" * 100])
async def test_a_server_that_speaks_something_else(said):
    async def speak(stream):
        try:
            await stream.send_all(said)
            await stream.receive_some()
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, speak, [listener])
        port = listener.socket.getsockname()[1]
        for scheme in ("http", "https"):
            with pytest.raises(ConnectFailed) as caught:
                async with connect(f"{scheme}://127.0.0.1:{port}/", timeout=60):
                    pass
            assert str(caught.value).startswith(f"127.0.0.1:{port} ")
            assert "\n" not in str(caught.value)
        nursery.cancel_scope.cancel()


async def test_a_host_that_does_not_exist():
    with pytest.raises(ConnectFailed, match=r"^nobody\.invalid can't be reached: "):
        async with connect("http://nobody.invalid/"):
            pass


async def test_a_port_where_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port} can't be reached: connection refused$"):
            async with connect(f"http://127.0.0.1:{port}/"):
                pass
