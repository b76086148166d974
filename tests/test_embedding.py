"""A server as an async context manager, inside of a program of somebody else's."""

import contextlib
import errno
import json
import logging
import re
import ssl
import threading
import urllib.request
from functools import partial
from types import SimpleNamespace

import pytest
import trio
import trio.testing
import trustme

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import ApplicationError
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.app import RunningApp
from supervisor.testing.http import get
from supervisor.testing.incidents import Incidents
from supervisor.testing.kit import Kit
from supervisor.testing.memory import MemoryListener

PATIENCE = 60.0
"""Seconds of real time that anything may take before a test fails: machines can be slow."""


def app_of(name="app", **namespace):
    return Application(NamespaceHandler(namespace, where=name), name=name)


def recording(calls, name="app", **more):
    """An application that records its hooks by their short names."""
    hooks = {
        hook: lambda context, hook=hook: calls.append(hook.rpartition("_")[2])
        for hook in ("on_application_load", "on_session_created", "on_session_destroyed", "on_application_unload")
    }
    return app_of(name, **{**hooks, **more})


@contextlib.asynccontextmanager
async def embedded(*apps, **options):
    """A server over memory streams, as a program of one's own would have it over sockets."""
    listener = MemoryListener()
    log = Incidents()
    with trio.fail_after(3600):
        async with Server(apps, listeners=[listener], instruments=log, **options) as server:
            server.listener, server.log = listener, log
            yield server


async def visit(server, nursery, name="app"):
    place = SimpleNamespace(server=server, actor=server.applications[name], transport=server.listener)
    app = RunningApp(place, nursery, Kit(seen=server.log))
    return await (await app.new_session()).connect()


def read(url, **options):
    with urllib.request.urlopen(url, timeout=PATIENCE, **options) as answer:
        return answer.status, answer.read().decode()


async def status_for(stream, host):
    """The status of a page that is asked for under this host."""
    async with stream:
        await stream.send_all(f"GET /app HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return int((await stream.receive_some()).split()[1])


# Entering.


async def test_it_serves_on_a_port_and_says_where(tmp_path):
    (tmp_path / "clock.py").write_text("def modify_document(doc):\n    doc.data['n'] = 1\n")
    async with Server([tmp_path / "clock.py", app_of("chat")], port=0, options=ServerOptions(prefix="/live")) as server:
        assert list(server.urls) == ["clock", "chat"]
        assert server.urls["chat"].startswith("http://127.0.0.1:")
        for name, url in server.urls.items():
            status, text = await trio.to_thread.run_sync(read, url)
            assert (status, f"/live/{name}/-/websocket" in text) == (200, True)
    with pytest.raises(OSError, match="refused"):
        await trio.to_thread.run_sync(read, url)


async def test_one_application_needs_no_list(tmp_path):
    (tmp_path / "clock.py").write_text("def modify_document(doc):\n    doc.data['n'] = 1\n")
    for app in (tmp_path / "clock.py", str(tmp_path / "clock.py"), app_of("clock")):
        assert list(Server(app).applications) == ["clock"]


async def test_entering_returns_when_all_have_loaded_and_connections_are_accepted(nursery, autojump_clock):
    async def on_application_load(app_context):
        await trio.sleep(5)

    began = trio.current_time()
    async with embedded(app_of("one", on_application_load=on_application_load), app_of("two")) as server:
        assert trio.current_time() - began == 5
        assert (await get(await server.listener.connect(), "/two")).status == 200
        assert server.urls == {}


async def test_the_name_that_it_listens_on_is_one_that_it_answers_to(monkeypatch):
    real = trio.socket.getaddrinfo

    async def getaddrinfo(host, *args, **options):
        return await real("127.0.0.1" if host == "live.example.org" else host, *args, **options)

    monkeypatch.setattr("trio.socket.getaddrinfo", getaddrinfo)
    async with Server(app_of(), host="live.example.org", port=0) as server:
        assert server.urls["app"].startswith("http://live.example.org:")
        port = int(server.urls["app"].rpartition(":")[2].partition("/")[0])
        for host, status in (("live.example.org", 200), ("other.example.org", 421)):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            assert await status_for(stream, host) == status


async def test_over_tls(nursery):
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    async with Server(app_of(), port=0, ssl_context=ours) as server:
        url = server.urls["app"]
        assert url.startswith("https://")
        assert (await trio.to_thread.run_sync(partial(read, url, context=theirs)))[0] == 200
        port = int(url.rpartition(":")[2].partition("/")[0])

        class Listener:
            async def connect(self):
                return await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=theirs, https_compatible=True)

        place = SimpleNamespace(server=server, actor=server.applications["app"], transport=Listener())
        app = RunningApp(place, nursery, Kit(seen=Incidents()))
        client = await (await app.new_session()).connect()
        session = app.sessions[-1]
        assert session.request.remote_address == "127.0.0.1"
        assert session.connections[0].request.remote_address == "127.0.0.1"
        await client.close()


async def test_over_a_unix_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with Server(app_of(), unix_socket="socket", unix_socket_mode=0o640) as server:
        assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o640
        assert server.urls == {}
        assert (await get(await trio.open_unix_socket("socket"), "/app")).status == 200
    assert not (tmp_path / "socket").exists()


async def test_an_application_that_cannot_load_is_raised_from_entering(autojump_clock):
    calls = []

    def on_application_load(app_context):
        raise LookupError("no such feed")

    with pytest.raises(ApplicationError, match="'bad' can't be served") as raised:
        async with embedded(app_of("bad", on_application_load=on_application_load)):
            pytest.fail("it was entered")
    assert isinstance(raised.value.__cause__, LookupError)
    async with embedded(recording(calls, "good"), app_of("bad", on_application_load=on_application_load)) as server:
        assert calls == ["load"]
        assert list(server.failures) == ["bad"]  # who wants all or none raises here
    assert calls == ["load", "unload"]


async def test_when_no_application_is_left_the_block_is_cancelled(autojump_clock):
    def fail():
        raise ValueError("no more")

    calls = []
    with pytest.raises(ApplicationError, match=r"^no application is left"):
        async with embedded(recording(calls)) as server:
            server.contexts["app"].add_callback(fail, restart="temporary", escalate=True)
            await trio.sleep_forever()
    assert calls == ["load", "unload"]


async def test_an_app_that_is_not_there_is_said_before_anything_starts(tmp_path):
    with pytest.raises(ApplicationError, match="the file doesn't exist"):
        Server([tmp_path / "nothing.py"])


async def test_an_address_that_cannot_be_had_is_one_sentence():
    calls = []
    async with Server(app_of(), port=0) as server:
        port = int(server.urls["app"].rpartition(":")[2].partition("/")[0])
        with pytest.raises(ApplicationError, match=f"^Another program listens on port {port} of 127.0.0.1; stop it"):
            async with Server(recording(calls), port=port):
                pytest.fail("it was entered")
    assert calls == []


async def test_cancelled_while_entering_it_leaves_nothing(autojump_clock):
    calls = []

    async def on_application_load(app_context):
        try:
            await trio.sleep(5)
        finally:
            calls.append("load ended")

    listener = MemoryListener()
    with trio.move_on_after(1) as scope:
        async with Server(app_of(on_application_load=on_application_load), listeners=[listener]):
            pytest.fail("it was entered")
    assert scope.cancelled_caught
    assert calls == ["load ended"]
    with pytest.raises(trio.BrokenResourceError):
        await listener.connect()


async def test_a_server_serves_once(autojump_clock):
    server = Server(app_of(), listeners=[MemoryListener()])
    async with server:
        with pytest.raises(RuntimeError, match="serves once"):
            await server.serve()
        with pytest.raises(RuntimeError, match="serves once"):
            await server.__aenter__()
    with pytest.raises(RuntimeError, match="serves once"):
        async with server:
            pytest.fail("it was entered")
    await server.wait_stopped()


# Leaving.


async def test_leaving_it_ends_all_in_order(nursery, autojump_clock):
    calls = []
    async with embedded(recording(calls)) as server:
        client = await visit(server, nursery)
        assert calls == ["load", "created"]
    assert calls == ["load", "created", "destroyed", "unload"]
    assert [event.code for event in client.received if type(event).__name__ == "Closing"] == [1012]
    with pytest.raises(trio.BrokenResourceError):
        await server.listener.connect()


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
async def test_what_the_block_raises_comes_out_as_it_is_after_an_orderly_end(nursery, autojump_clock, error):
    calls = []
    with pytest.raises(type(error)) as raised:
        async with embedded(recording(calls)) as server:
            client = await visit(server, nursery)
            raise error
    assert raised.value is error
    assert calls == ["load", "created", "destroyed", "unload"]
    assert [event.code for event in client.received if type(event).__name__ == "Closing"] == [1012]


async def test_a_hanging_hook_does_not_exceed_the_timeout(nursery, autojump_clock):
    calls = []

    async def on_session_destroyed(session_context):
        await trio.sleep_forever()

    app = recording(calls, on_session_destroyed=on_session_destroyed)
    options = ServerOptions(shutdown_timeout=6.0, application=ApplicationOptions(hook_timeout=100.0))
    async with embedded(app, options=options) as server:
        await visit(server, nursery)
        began = trio.current_time()
    assert trio.current_time() - began <= 6
    assert calls[-1] == "unload"
    assert [incident.what for incident in server.log.incidents] == ["on_session_destroyed"]


async def test_a_cancelled_block_still_has_its_hooks_run(nursery, autojump_clock):
    calls = []

    async def on_session_destroyed(session_context):
        await trio.sleep(3)
        calls.append("destroyed")

    began = trio.current_time()
    with trio.move_on_after(10) as scope:
        async with embedded(recording(calls, on_session_destroyed=on_session_destroyed)) as server:
            await visit(server, nursery)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() - began == 13
    assert calls == ["load", "created", "destroyed", "unload"]


async def test_cancelled_while_it_is_left_it_still_has_its_hooks_run_and_loses_no_exception(nursery, autojump_clock):
    calls = []

    async def on_session_destroyed(session_context):
        await trio.sleep(3)
        calls.append("destroyed")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="mine")):
        with trio.move_on_after(1):
            async with embedded(recording(calls, on_session_destroyed=on_session_destroyed)) as server:
                await visit(server, nursery)
                raise ValueError("mine")
    assert calls == ["load", "created", "destroyed", "unload"]


async def test_told_to_stop_it_stops_and_the_block_goes_on(nursery, autojump_clock):
    calls = []
    async with embedded(recording(calls)) as server:
        await visit(server, nursery)
        server.stop()
        await server.wait_stopped()
        assert calls == ["load", "created", "destroyed", "unload"]
        await trio.sleep(5)


async def test_a_server_that_fails_cancels_the_block(nursery, autojump_clock):
    class Broken(MemoryListener):
        async def accept(self):
            await trio.sleep(2)
            raise OSError(errno.EINVAL, "strange")

    calls = []
    with pytest.raises(OSError, match="strange"):
        async with Server(recording(calls), listeners=[Broken()]):
            try:
                await trio.sleep_forever()
            finally:
                calls.append(f"block ended at {trio.current_time():g}")
    assert sorted(calls) == ["block ended at 2", "load", "unload"]


async def test_a_failure_of_the_block_and_one_of_the_server_both_come_out(autojump_clock):
    class Broken(MemoryListener):
        async def accept(self):
            await trio.sleep(2)
            raise OSError(errno.EINVAL, "strange")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="mine"), pytest.RaisesExc(OSError, match="strange")):
        async with Server(app_of(), listeners=[Broken()]):
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("mine")


# Beside the rest of a program.


async def test_two_servers_in_one_program(nursery, autojump_clock):
    calls = []
    async with embedded(recording(calls, "one")) as one, embedded(recording(calls, "two")) as two:
        await visit(one, nursery, "one")
        await visit(two, nursery, "two")
    assert calls == ["load", "load", "created", "created", "destroyed", "unload", "destroyed", "unload"]


async def test_a_program_reaches_its_sessions_through_the_applications(nursery, autojump_clock):
    def modify_document(doc):
        doc.data = {"n": 0}

    def count(doc, n):
        doc.data["n"] = n

    async with embedded(app_of(modify_document=modify_document)) as server:
        client = await visit(server, nursery)
        assert list(server.contexts) == ["app"]
        await server.contexts["app"].update_sessions(count, 7)
        await client.until(lambda data: data["n"] == 7)


async def test_without_instruments_failures_are_logged(caplog):
    def modify_document(doc):
        raise LookupError("no such table")

    listener = MemoryListener()
    options = ServerOptions(stall_limit=0)  # a busy machine may hold the loop up: that is logged too
    async with Server(app_of(modify_document=modify_document), options=options, listeners=[listener]):
        assert (await get(await listener.connect(), "/app")).status == 500
        assert await status_for(await listener.connect(), "evil.example") == 421
    failed, refused = caplog.records
    assert (failed.name, failed.levelno) == ("supervisor", logging.ERROR)
    assert re.fullmatch(
        r"application app → session \S+ → modify_document → LookupError: no such table \(incident [0-9a-f]{8}\)",
        failed.getMessage(),
    )
    assert str(failed.exc_info[1]) == "no such table"
    assert (refused.name, refused.levelno) == ("supervisor", logging.WARNING)
    assert "'evil.example' is not one of ours" in refused.getMessage()


async def test_it_leaves_signals_and_logging_alone():
    import gc
    import signal

    before = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), gc.get_threshold()]
    handlers = list(logging.getLogger().handlers)
    async with Server(app_of(), port=0):
        assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), gc.get_threshold()] == before
        assert logging.getLogger().handlers == handlers


def test_it_runs_in_a_thread_of_a_program_that_is_not_trios():
    """As the how-to shows: the thread that runs trio is told to stop by trio's own door."""
    found = {}
    ready = threading.Event()

    async def main():
        async with Server(app_of(), port=0) as server:
            found["url"], found["stop"] = server.urls["app"], server.stop
            found["token"] = trio.lowlevel.current_trio_token()
            ready.set()
            await server.wait_stopped()

    thread = threading.Thread(target=trio.run, args=(main,), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    status, text = read(found["url"])
    assert status == 200
    assert json.loads('"app"') in text
    trio.from_thread.run_sync(found["stop"], trio_token=found["token"])
    thread.join(PATIENCE)
    assert not thread.is_alive()
