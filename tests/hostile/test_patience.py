"""Clients that are slow, silent, gone or many: some hundreds at once, in virtual time, beside one that must not notice.

The 10,000 of the long run are the same with sockets. Each line of the table in docs/explanation/security.md is one of
these tests, or one of `tests/transport`.
"""

import json

import pytest
import trio

from .arena import HANDSHAKE, PATIENCE, attack, frames, send, text_frame

MANY = 300
HEAD = b"GET /app HTTP/1.1\r\nHost: localhost\r\n"


def drip(data, *, every):
    """Send byte by byte, and note when the server has had enough; read nothing before."""

    async def attacker(arena):
        stream = await arena.connect()
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            for byte in data:
                await stream.send_all(bytes([byte]))
                await trio.sleep(every)
        assert trio.current_time() - began < PATIENCE
        await stream.aclose()

    return attacker


def wait_after(data, expected, *, within):
    """Send it and wait: what comes, and when the connection ends."""

    async def attacker(arena):
        stream = await arena.connect()
        began = trio.current_time()
        await stream.send_all(data)
        received = b""
        while more := await stream.receive_some():
            received += more
        assert received.startswith(expected)
        assert bool(received) == bool(expected)
        assert trio.current_time() - began <= within
        await stream.aclose()

    return attacker


def test_connections_that_never_speak_are_closed():
    attack(*[wait_after(b"", b"", within=10)] * MANY)


def test_heads_that_come_drop_by_drop_are_cut_off():
    attack(*[drip(HEAD + b"X: y\r\n" * 300, every=0.5)] * MANY)


def test_heads_that_stop_are_answered_with_408():
    attack(*[wait_after(HEAD, b"HTTP/1.1 408 ", within=12)] * MANY)


def test_a_body_that_nobody_reads_is_not_waited_for():
    attack(
        *[wait_after(b"POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 405 ", within=2)]
        * MANY
    )


def test_handshakes_without_a_first_frame_are_closed_with_4408():
    async def attacker(arena):
        stream = await arena.connect()
        await stream.send_all(HANDSHAKE)
        received = b""
        while more := await stream.receive_some():
            received += more
        assert received.partition(b"\r\n\r\n")[2][-40:].find((4408).to_bytes(2, "big")) >= 0
        await stream.aclose()

    attack(*[attacker] * MANY)


def test_frames_that_come_drop_by_drop_keep_nobody_else_waiting():
    """Who says something is alive, and costs a connection; a message that never ends is bounded by its size."""
    attack(*[frames([bytes([byte]) for byte in text_frame(b" " * 40)]) for _ in range(30)])


def test_messages_that_never_end_are_too_big():
    async def attacker(arena):
        page = await arena.page()
        stream = await arena.connect()
        first = text_frame(json.dumps({"type": "attach", "token": page["token"]}).encode())
        await send(stream, [HANDSHAKE, first])
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(text_frame(b"x" * 100, opcode=0x01))
            while True:
                await stream.send_all(text_frame(b"x" * 100, opcode=0x00))
                await trio.sleep(0.01)
        await stream.aclose()

    attack(*[attacker] * 20)


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n", HANDSHAKE, HANDSHAKE + text_frame(b"{}")])
def test_storms_of_clients_that_leave_at_once(sent):
    async def attacker(arena):
        for _ in range(5):
            stream = await arena.connect()
            if sent:
                await stream.send_all(sent)
            await stream.aclose()

    attack(*[attacker] * 60)


def test_pages_that_are_asked_for_and_never_opened_leave_no_session():
    async def attacker(arena):
        for _ in range(3):
            await arena.page()

    attack(*[attacker] * 50)


def test_half_open_clients_are_missed_after_two_pings():
    """They attach, and then neither answer nor end: as after a broken line, which says nothing."""

    async def attacker(arena):
        page = await arena.page()
        stream = await arena.connect()
        await send(stream, [HANDSHAKE, text_frame(json.dumps({"type": "attach", "token": page["token"]}).encode())])
        assert len(arena.app.sessions) == 101
        await trio.sleep(60)
        assert len(arena.app.sessions) == 1  # all of theirs have gone, the witness's is there
        await stream.aclose()

    attack(*[attacker] * 100)
