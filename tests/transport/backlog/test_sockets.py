"""The same over TCP: backlogs, and peers that reset their connection or fall silent."""

import socket
import struct

import pytest
import trio
import trio.testing

from supervisor.session.actor import GRACE
from supervisor.testing.http import get

from ..peers import (
    options_of,
)
from .piling import fill


async def test_a_backlog_over_tcp(serve_tcp):
    """A client with small buffers that doesn't read; its neighbour gets everything meanwhile."""
    async with serve_tcp(send=8192) as tcp:
        page = await tcp.page()
        slow, quick = await tcp.peer(receive=4096), await tcp.peer()
        for peer in (slow, quick):
            await peer.attach(page)
        session = tcp.actor.find(page["session"]).context
        for number in range(40):
            await session.with_locked_document(fill, 50_000 + number)
            assert len((await quick.message())["operations"][0]["value"]) == 50_000 + number
        await slow.send("Add")
        answers, last = [], None
        while not answers:
            message = await slow.message()
            if message["type"] == "answer":
                answers.append(message)
            else:
                last = message
        assert last["type"] == "snapshot" or last["operations"][-1]["path"] == "/n"
        assert tcp.incidents == []


async def test_a_destroyed_session_does_not_wait_for_a_client_that_does_not_read_over_tcp(serve_tcp):
    async with serve_tcp(options_of(close_timeout=0.2), send=8192) as tcp:
        page = await tcp.page()
        peer = await tcp.peer(receive=4096)
        await peer.attach(page)
        session = tcp.actor.find(page["session"]).context
        for number in range(10):
            await session.with_locked_document(fill, 100_000 + number)
        session.destroy()
        with trio.fail_after(GRACE):
            await session.wait_destroyed()
        assert session.connections == ()
        assert tcp.incidents == []


@pytest.mark.parametrize("moment", ["before the first frame", "attached", "with a backlog"])
async def test_a_peer_that_resets_the_connection_is_no_incident(serve_tcp, moment):
    async with serve_tcp(send=8192) as tcp:
        page = await tcp.page()
        peer = await tcp.peer(receive=4096)
        session = tcp.actor.find(page["session"]).context
        if moment != "before the first frame":
            await peer.attach(page)
        if moment == "with a backlog":
            for number in range(10):
                await session.with_locked_document(fill, 100_000 + number)
        peer.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.stream.socket.close()
        while session.connections:
            await trio.lowlevel.checkpoint()
        assert (await get(await tcp.stream(), "/-/health")).status == 200
        assert tcp.incidents == []


async def test_a_peer_that_is_gone_before_its_handshake_is_read_is_no_incident(serve_tcp):
    """A reset socket has no peer's name any more."""
    async with serve_tcp() as tcp:
        head = b"GET /app/-/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        for _ in range(20):
            stream = await tcp.stream()
            await stream.send_all(head)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
        assert (await get(await tcp.stream(), "/-/health")).status == 200
        assert tcp.incidents == []


async def test_a_half_open_peer_is_served_until_it_is_missed(serve_tcp):
    """It has ended its side of TCP, which a websocket can't do: the connection is over."""
    async with serve_tcp() as tcp:
        page = await tcp.page()
        peer = await tcp.peer()
        await peer.attach(page)
        await peer.stream.send_eof()
        assert await peer.end() == []
        session = tcp.actor.find(page["session"])
        while session.connections:
            await trio.lowlevel.checkpoint()
        assert tcp.incidents == []
