"""A listener without a network."""

import pytest
import trio

from supervisor.testing.memory import MemoryListener


async def test_each_connect_is_one_accepted_connection():
    listener = MemoryListener()
    client = await listener.connect()
    other = await listener.connect()
    server = await listener.accept()
    await client.send_all(b"hello")
    assert await server.receive_some() == b"hello"
    await (await listener.accept()).send_all(b"other")
    assert await other.receive_some() == b"other"


async def test_closing_it_closes_what_nobody_accepted_and_refuses_the_rest(autojump_clock):
    listener = MemoryListener()
    client = await listener.connect()
    async with trio.open_nursery() as nursery:
        await listener.aclose()
        assert await client.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await listener.connect()
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()
        await listener.aclose()  # again
        nursery.cancel_scope.cancel()


async def test_cancelled_it_is_closed_at_once():
    listener = MemoryListener()
    client = await listener.connect()
    await trio.aclose_forcefully(listener)
    assert await client.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await listener.connect()
