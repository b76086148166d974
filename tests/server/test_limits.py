"""Limits of number, size and time, in a whole server."""

import contextlib

import pytest
import trio
import trio.testing

from supervisor.application.options import ApplicationOptions
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.http import get
from supervisor.transport.head import HttpLimits

from .running import Log, app_of


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
