"""Connections that the test drops."""

import pytest
import trio
import trio.testing

from supervisor.protocol import events
from supervisor.testing.client import Client

from .counter import VISIT, Codes, HandMade, add, modify_document


async def test_a_drop_is_seen_by_the_server_with_the_code_that_was_given_and_the_client_stays_offline(supervise):
    async with supervise(modify_document) as app:
        codes = Codes(app)
        session = await app.new_session()
        client = await session.connect()
        for code in (None, 1000, 1001, 4999):
            await client.drop(code=code)
            assert client.status == "reconnecting"
            await trio.sleep(1)  # by itself it would be back
            assert session.context.connections == ()
            assert client.status == "reconnecting"
            await client.reconnect()
        assert codes == [1006, 1000, 1001, 4999]


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000, "1001"])
async def test_a_code_that_no_frame_carries_is_refused(session, code):
    client = await session.connect()
    with pytest.raises(ValueError, match=f"a close frame carries a code from 1000 to 4999, such as 1001, not {code!r}"):
        await client.drop(code=code)
    assert client.status == "live"


async def test_a_client_that_is_online_comes_back_by_a_fresh_connection_and_has_all(session):
    client = await session.connect()
    [before] = session.context.connections
    for number in range(1, 4):
        await session.context.with_locked_document(add)
        await client.reconnect()
        assert client.data == {"n": number}
    [after] = session.context.connections
    assert after.id != before.id
    assert [event.resumed for event in client.received if isinstance(event, events.Attached)] == [False, *[True] * 3]


@pytest.mark.parametrize("steps", range(0, 20, 2))
async def test_a_client_that_is_dropped_while_it_connects_stays_offline(supervise, steps):
    async with supervise(modify_document) as app:
        session = await app.new_session()
        client = session.client()
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        await client.drop()
        await trio.sleep(1)  # by itself it would be back
        assert client.status in ("connecting", "reconnecting")
        assert session.context.connections == ()
        await client.reconnect()
        assert client.data == {"n": 0}


async def test_a_client_that_is_dropped_while_it_dials_stays_offline(nursery, autojump_clock):
    server = HandMade()

    async def dial():
        await trio.sleep(1)
        return await server.connect()

    client = Client(VISIT, dial)
    nursery.start_soon(client.run)
    await trio.testing.wait_all_tasks_blocked()
    await client.drop()
    await trio.sleep(5)
    [stream] = server.streams
    assert await stream.receive_some() == b""
    assert client.status == "connecting"
    nursery.cancel_scope.cancel()
