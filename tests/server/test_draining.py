"""What a server still does while it ends, and what its clients are told."""

import attrs
import pytest
import trio
import trio.testing
import trio_websocket

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.protocol.client import ClientConnection
from supervisor.server import Server
from supervisor.session.receivers import receives

from .running import SOCKET, UPGRADE, app_of


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
