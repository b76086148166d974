"""Clients that read nothing for a while."""

import trio

from supervisor.protocol import events
from supervisor.server_options import ServerOptions
from supervisor.transport.websocket_options import WebSocketOptions

from .counter import Codes, grow, modify_document


def patient(**options):
    """How long a server waits, in less time than in production."""
    return ServerOptions(websocket=WebSocketOptions(**options))


async def test_a_stalled_client_gets_what_it_missed_merged_and_neighbours_do_not_notice(supervise):
    async with supervise(modify_document, options=patient(ping_interval=2)) as app:
        session = await app.new_session()
        client, neighbour = await session.connect(), await session.connect()
        client.stall()
        revision = client.revision
        for number in range(1, 101):
            await session.context.with_locked_document(grow)
            await neighbour.until(lambda data, number=number: data["n"] == number, timeout=10)
        assert not client.is_following  # nobody waits for it to have what the document is
        await trio.sleep(4.5)  # the server pings, in vain, and has patience with who has a backlog
        assert (client.status, client.revision, client.data) == ("live", revision, {"n": 0})
        client.resume()
        await client.until(lambda data: data == neighbour.data)
        assert sum(isinstance(event, events.Patched) for event in client.received) < 50
        assert sum(isinstance(event, events.Attached) for event in client.received) == 1


async def test_a_stalled_client_with_too_much_to_read_gets_a_snapshot(supervise):
    async with supervise(modify_document, options=patient(max_backlog=100_000)) as app:
        session = await app.new_session()
        client = await session.connect()
        client.stall()

        def scatter(doc):
            doc.data[f"key {len(doc.data)}"] = "x" * 20_000

        for _ in range(30):
            await session.context.with_locked_document(scatter)
        client.resume()
        await client.until(lambda data: len(data) == 31)
        assert sum(isinstance(event, events.Snapshotted) for event in client.received) >= 2
        assert sum(isinstance(event, events.Patched) for event in client.received) < 30


async def test_a_client_that_stays_stalled_is_closed_with_1013_never_hears_it_and_comes_back(supervise):
    """What waits for it in its connection is in the way of the close frame, and then the connection is gone."""
    async with supervise(modify_document, options=patient(slow_timeout=0.5, close_timeout=0.5)) as app:
        codes, session = Codes(app), await app.new_session()
        client, neighbour = await session.connect(), await session.connect()
        client.stall()
        for _ in range(30):
            await session.context.with_locked_document(grow)
        await codes.wait()
        assert codes == [1013]
        assert client.status == "live"  # as far as it knows
        assert len(session.context.connections) == 1
        assert neighbour.status == "live"
        client.resume()
        await client.until(lambda data: data["n"] == 30)
        assert not any(isinstance(event, events.Closing) for event in client.received)
        assert [event.resumed for event in client.received if isinstance(event, events.Attached)] == [False, True]


async def test_a_stalled_client_that_reads_on_while_it_is_closed_hears_the_1013_and_comes_back(supervise):
    async with supervise(modify_document, options=patient(slow_timeout=0.5, close_timeout=10)) as app:
        codes, session = Codes(app), await app.new_session()
        client = await session.connect()
        client.stall()
        for _ in range(30):
            await session.context.with_locked_document(grow)
        await trio.sleep(1)  # the server's patience is over, and the goodbye may take long
        assert codes == []
        client.resume()
        await codes.wait()
        assert codes == [1013]
        await client.until(lambda data: isinstance(client.received[-1], events.Attached) and data["n"] == 30)
        [closing] = [event for event in client.received if isinstance(event, events.Closing)]
        assert (closing.code, closing.reason) == (1013, "the client does not read what it is sent")
        assert [event.resumed for event in client.received if isinstance(event, events.Attached)] == [False, True]


async def test_a_stalled_client_does_not_answer_pings(supervise):
    async with supervise(modify_document, options=patient(ping_interval=0.5)) as app:
        codes, session = Codes(app), await app.new_session()
        client = await session.connect()
        client.stall()
        await codes.wait()
        assert session.context.connections == ()
        assert client.status == "live"
        await client.reconnect()
        assert len(session.context.connections) == 1


async def test_a_stalled_client_may_be_dropped_or_leave(session):
    client = await session.connect()
    client.stall()
    await client.drop()
    client.stall()
    await client.reconnect()
    client.stall()
    await client.drop(code=1001)
    await client.reconnect()
    client.stall()
    await client.close()
    assert client.status == "ended"
