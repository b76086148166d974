"""The end of a session, of a client, of the server: what is said, and who is not waited for."""

import contextlib
import struct

import pytest
import trio

from supervisor.session.actor import GRACE

from ..peers import CLOSE, LOST, PONG, TEXT, all_blocked, lockstep, options_of


@pytest.mark.parametrize("reason", ["", "by order", "ä" * 100, "x" * 122 + "€", "a\ud800b"])
async def test_a_destroyed_session_is_4410_with_its_reason(table, reason):
    peer, _, session = await table.attached()
    session.destroy(reason=reason)
    [closing], code, shown = await peer.closed()
    sent = reason.replace("\ud800", "?")
    assert closing == {"type": "closing", "code": 4410, "reason": sent, "retry_after": None}
    assert code == 4410
    assert shown == sent.encode()[:123].decode("utf-8", "ignore")
    assert await peer.end() == []
    await session.wait_destroyed()
    assert table.detached == [4410]
    assert table.app.incidents == []


@pytest.mark.parametrize("attempt", range(5))
async def test_what_a_handler_changed_before_it_destroyed_its_session_is_sent(table, attempt):
    peer, _, _ = await table.attached()
    await peer.send("Destroy", reason="done")
    messages, code, reason = await peer.closed()
    assert [message["type"] for message in messages] == ["patch", "answer", "closing"]
    assert messages[0]["operations"][0]["value"] == 99
    assert (code, reason) == (4410, "done")


async def test_a_peer_that_does_not_answer_the_close_is_let_go(table):
    """Trap: the library's `aclose()` waits for it without end."""
    peer, _, session = await table.attached()
    began = trio.current_time()
    session.destroy()
    await session.wait_destroyed()
    assert trio.current_time() - began == pytest.approx(2)
    assert [opcode for opcode, _ in await peer.end()] == [TEXT, CLOSE]


async def test_a_peer_that_does_not_read_is_let_go(serve, all_tasks):
    async with serve() as table, trio.open_nursery() as nursery:
        _, session = await lockstep(table, nursery)
        for _ in range(3):
            await session.with_locked_document(lambda doc: doc.data.update(n=doc.data["n"] + 1))
        began = trio.current_time()
        session.destroy()
        await session.wait_destroyed()
        assert trio.current_time() - began < GRACE
        names = [task.name for task in all_tasks()]
        assert [name for name in names if "websocket" in name or session.id[:8] in name] == []
        nursery.cancel_scope.cancel()


async def test_a_client_that_reads_nothing_for_so_long_is_too_slow(serve):
    """It may send whatever it likes meanwhile; no ping is queued behind what it doesn't read."""
    async with serve(options=options_of(ping_interval=1.0, slow_timeout=2.0)) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await session.with_locked_document(lambda doc: doc.data.update(n=1))
        began = trio.current_time()
        while session.connections:
            assert trio.current_time() < began + 10
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await peer.send_frame(PONG, b"")
            await trio.sleep(0.3)
        assert trio.current_time() - began < 3 + GRACE
        assert table.detached == [1013]
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_politely_is_answered(table):
    peer, _, session = await table.attached()
    await peer.send_frame(CLOSE, struct.pack("!H", 1001) + b"bye")
    assert (await peer.closed())[:2] == ([], 1001)
    assert await peer.end() == []
    await all_blocked()
    assert session.connections == ()
    assert table.detached == [1001]


async def test_a_client_that_is_gone_is_noticed(table):
    peer, _, session = await table.attached()
    await trio.aclose_forcefully(peer.stream)
    await all_blocked()
    assert session.connections == ()
    assert table.detached == [LOST]


async def test_a_restart_tells_clients_when_to_come_back(serve):
    async with serve() as table:
        peers = [(await table.attached())[0] for _ in range(5)]
        silent = await table.peer()
        table.app.server.stop()
        delays = set()
        for peer in peers:
            [closing], code, reason = await peer.closed()
            assert (closing["type"], closing["code"], code) == ("closing", 1012, 1012)
            assert reason == "the server is restarting"
            assert 0 <= closing["retry_after"] <= 3
            delays.add(closing["retry_after"])
        assert len(delays) > 1
        assert await silent.end() == [(8, b"\x03\xf4the server is restarting")]


async def test_when_a_session_is_destroyed_nothing_of_it_runs(table, all_tasks):
    before = all_tasks()
    page = await table.page()
    peers = [(await table.attached(page))[0] for _ in range(3)]
    [session] = table.app.sessions
    session.start_soon(trio.sleep_forever)
    await peers[0].send("Wait", seconds=1000)
    await all_blocked()
    assert len(all_tasks()) > len(before)
    session.destroy()
    await session.wait_destroyed()
    assert all_tasks() == before
