"""A connection that is lost, and comes back by itself; a page that is loaded anew."""

import itertools

import pytest
import trio
import trio.testing

from supervisor.application.handlers import FunctionHandler
from supervisor.protocol import events
from supervisor.testing.client import Client
from supervisor.transport.frames import text_frame

from .counter import VISIT, HandMade, add, modify_document


async def test_a_dropped_connection_misses_nothing(session):
    client = await session.connect()
    await client.drop()
    await trio.sleep(5)
    assert client.status == "reconnecting"
    for _ in range(3):
        await session.context.with_locked_document(add)
    assert client.data == {"n": 0}
    await client.reconnect()
    await client.until(lambda data: data["n"] == 3)
    assert client.status == "live"
    assert events.Attached(resumed=True, revision=4) in client.received


async def test_a_connection_that_is_lost_comes_back_by_itself(session):
    client = await session.connect()
    await client.drop()
    await client.reconnect()
    await session.context.with_locked_document(add)
    await client.until(lambda data: data["n"] == 1)


async def test_a_client_may_be_offline_from_the_start(session):
    client = session.client()
    await client.drop()
    await trio.sleep(1)
    assert client.status == "connecting"
    await client.reconnect()
    await client.until(lambda data: True)


async def test_without_a_network_it_tries_again_ever_more_slowly(nursery, autojump_clock):
    tries = []

    async def refuse():
        tries.append(trio.current_time())
        raise OSError("no network")

    client = Client(VISIT, refuse)
    nursery.start_soon(client.run)
    await trio.sleep(300)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 0.25 <= pauses[0] <= 0.5
    assert all(15 <= pause <= 30 for pause in pauses[7:])
    assert client.status == "connecting"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["closed", "silent", "refused"])
async def test_a_server_that_does_not_shake_hands_is_tried_again(nursery, autojump_clock, how):
    server = HandMade()
    client = Client(VISIT, server.connect)
    nursery.start_soon(client.run)
    await trio.testing.wait_all_tasks_blocked()
    [stream] = server.streams
    await stream.receive_some()
    if how == "closed":
        await stream.aclose()
    elif how == "refused":
        await stream.send_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    await trio.sleep(25)
    assert len(server.streams) > 1
    nursery.cancel_scope.cancel()


async def test_a_server_that_breaks_the_rules_is_left_and_tried_again(app, session):
    client = await session.connect()
    wire = app.actor.find(session.id).audience
    for viewer in list(wire._viewers):
        viewer.show(text_frame(b'{"type":"patch"}'))

    def attachments():
        return [event.resumed for event in client.received if isinstance(event, events.Attached)]

    await client.until(lambda data: len(attachments()) == 2)
    assert attachments() == [False, False]


async def test_a_client_whose_session_is_gone_loads_its_page_anew(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session()
        client, other = await session.connect(), await session.connect(follow_reload=False)
        for each in (client, other):
            await each.drop()
        session.context.destroy()
        await trio.testing.wait_all_tasks_blocked()
        await client.reconnect()
        assert client.session != session.id
        assert [each.id for each in app.sessions] == [client.session]
        with pytest.raises(AssertionError, match=r"the client ended \(code 4404"):
            await other.reconnect()


@pytest.mark.virtual_time("minutes pass")
async def test_a_page_whose_document_takes_long_is_waited_for_and_no_other_session_is_made(supervise):
    async def modify_document(doc):
        doc.data["n"] = 0
        await trio.sleep(50)

    async with supervise(FunctionHandler(modify_document)) as app:
        client = await (await app.new_session()).connect()
        await app.restart()
        await client.reconnect(timeout=100)
        assert [each.id for each in app.sessions] == [client.session]
