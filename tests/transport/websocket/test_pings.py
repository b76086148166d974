"""Pings, and clients that don't answer them."""

import contextlib

import pytest
import trio

from supervisor.session.actor import GRACE

from ..peers import CLOSE, LOST, PING, PONG, TEXT, all_blocked, options_of


async def test_a_client_that_never_answers_is_cut_after_two_intervals(table):
    peer, _, session = await table.attached()
    began = trio.current_time()
    assert await peer.frame() == (PING, b"")
    assert trio.current_time() - began == pytest.approx(20)
    assert await peer.end() == []
    assert trio.current_time() - began == pytest.approx(40)
    await all_blocked()
    assert session.connections == ()
    assert table.detached == [LOST]


@pytest.mark.parametrize("frame", [(PONG, b""), (PONG, b"unasked"), (PING, b""), "half"])
async def test_a_client_that_sends_anything_lives(table, frame):
    peer, _, session = await table.attached()
    if frame == "half":
        await peer.stream.send_all(bytes([0x81, 0xFE, 0x10, 0]) + b"\0\0\0\0")  # the head of a long message
    for _ in range(10):
        await trio.sleep(19)
        if frame == "half":
            await peer.stream.send_all(b" ")
        else:
            await peer.send_frame(*frame)
    assert len(session.connections) == 1


async def test_pings_are_pushed_with_no_hand_of_the_library(table):
    """Trap: the library's own `ping()` hangs when the connection closes under it."""
    peer, _, session = await table.attached()
    for _ in range(3):
        assert await peer.frame() == (PING, b"")
        await peer.send_frame(PONG, b"")
    session.destroy()
    with trio.fail_after(GRACE):
        await session.wait_destroyed()


async def test_a_ping_while_we_say_goodbye_ends_the_connection_only(table):
    """Trap: it makes the library raise LocalProtocolError (trio-websocket #184)."""
    neighbour, _, _ = await table.attached()
    peer, _, session = await table.attached()
    session.destroy()
    await all_blocked()
    for _ in range(3):
        with contextlib.suppress(trio.BrokenResourceError):
            await peer.send_frame(PING, b"x")
    with trio.fail_after(GRACE):
        await session.wait_destroyed()
    await neighbour.send("Add")
    assert (await neighbour.message())["type"] == "patch"
    assert table.app.incidents == []


async def test_no_ping_follows_the_close_frame(serve):
    async with serve(options=options_of(ping_interval=1.0, close_timeout=2.5)) as table:
        peer, _, session = await table.attached()
        await trio.sleep(0.5)
        session.destroy()
        await all_blocked()
        assert [opcode for opcode, _ in await peer.end()] == [TEXT, CLOSE]


async def test_pings_are_answered_while_the_session_has_no_room(serve):
    """Trap: with its queue full the library reads nothing and answers no ping; so it has room for a whole window."""
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, _, _ = await table.attached()
        await peer.send("Wait", seconds=20)
        for _ in range(63):
            await peer.send("Add")
        await all_blocked()
        await peer.send_frame(PING, b"are you there?")
        assert await peer.frame() == (PONG, b"are you there?")
        await trio.sleep(21)
        answers = [await peer.message() for _ in range(128)]
        assert [m["number"] for m in answers if m["type"] == "answer"] == list(range(1, 65))


@pytest.mark.parametrize("timeout", [0.5, 3, 5])
async def test_a_pong_may_be_due_before_the_next_ping(serve, timeout):
    async with serve(options=options_of(ping_interval=5, pong_timeout=timeout)) as table:
        peer, _, session = await table.attached()
        began = trio.current_time()
        for beat in range(1, 4):
            assert await peer.frame() == (PING, b"")
            assert trio.current_time() - began == pytest.approx(5 * beat)
            await trio.sleep(timeout * 0.9)
            if beat < 3:
                await peer.send_frame(PONG, b"")
        assert await peer.end() == []
        assert trio.current_time() - began == pytest.approx(15 + timeout)
        await all_blocked()
        assert session.connections == ()
