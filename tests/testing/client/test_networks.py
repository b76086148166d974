"""Bad networks: cuts, delays, slow lines."""

import functools

import pytest
import trio

from supervisor.application.handlers import Application, FunctionHandler
from supervisor.client.address import page_address
from supervisor.client.dialing import Dialer
from supervisor.client.visit import Visitor
from supervisor.protocol import events
from supervisor.server import Server
from supervisor.testing.client import Client
from supervisor.testing.network import Conditions, Network

from .counter import add, grow, modify_document


async def converse(session, client, *, direction, cut_after):
    """Sends and changes of both sides, with one cut in between; returns the answers."""
    answers = []

    async def send():
        answers.append(await client.send("Add"))

    async with trio.open_nursery() as nursery:
        getattr(client.network, direction).cut_after = cut_after
        for _ in range(5):
            nursery.start_soon(send)
        for _ in range(5):
            await session.context.with_locked_document(add)
            await trio.sleep(0.01)
    return answers


@pytest.mark.virtual_time("it comes back sixty times, half a second later each time")
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("offset", range(10))
async def test_wherever_a_connection_is_cut_nothing_is_lost_and_nothing_done_twice(session, direction, offset):
    """At each byte of a conversation: in the middle of frames, of their heads, and between them."""
    client = await session.connect()
    expected = 0
    for cut_after in range(offset, 600, 10):
        answers = await converse(session, client, direction=direction, cut_after=cut_after)
        expected += 10
        await client.until(lambda data, expected=expected: data["n"] == expected)
        assert len(set(answers)) == 5
        getattr(client.network, direction).cut_after = None
    assert sum(isinstance(event, events.Attached) for event in client.received) > 10


@pytest.mark.parametrize("cut_after", range(0, 2000, 97))
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_connection_may_be_cut_before_it_is_live(session, direction, cut_after):
    client = await session.connect(network=Network(**{direction: Conditions(cut_after=cut_after)}))
    assert await client.send("Add") == 1


@pytest.mark.virtual_time("times are compared")
async def test_delay_and_jitter_pass_in_virtual_time_and_change_nothing_but_when(session):
    network = Network(seed=3, up=Conditions(delay=0.2), down=Conditions(delay=0.3, jitter=0.2))
    client = await session.connect(network=network)
    began = trio.current_time()
    assert await client.send("Add") == 1
    assert 0.5 <= trio.current_time() - began <= 0.7
    for _ in range(20):
        await session.context.with_locked_document(add)
    assert client.data == {"n": 1}
    await client.until(lambda data: data["n"] == 21)
    patched = [event for event in client.received if isinstance(event, events.Patched)]
    assert [event.operations[0].value for event in patched] == list(range(1, 22))
    client.network.down.delay = client.network.down.jitter = client.network.up.delay = 0
    began = trio.current_time()
    await client.send("Add")
    assert trio.current_time() == began


async def test_over_a_slow_line_a_client_gets_merged_changes_and_stays_attached(session):
    client = await session.connect()
    client.network.down.rate = 200_000
    for _ in range(60):
        await session.context.with_locked_document(grow)
        await trio.sleep(0.01)
    await client.until(lambda data: data["n"] == 60)
    assert sum(isinstance(event, events.Attached) for event in client.received) == 1
    assert sum(isinstance(event, events.Patched) for event in client.received) < 60


async def test_all_of_it_works_over_tcp(nursery):
    """On the real clock: the client asks for no more than a stream."""
    async with Server(Application(FunctionHandler(modify_document), name="app"), port=0) as server:
        address = page_address(server.urls["app"])
        visit = await Visitor(Dialer()).visit(address)
        client = Client(visit, functools.partial(trio.open_tcp_stream, address.host, address.port))
        nursery.start_soon(client.run)
        await client.until(lambda data: data == {"n": 0})
        [session] = server.applications["app"].context.sessions
        await client.drop()
        await session.with_locked_document(add)
        await client.reconnect()
        assert client.data == {"n": 1}
        client.network.down.cut_after = 10
        await session.with_locked_document(add)
        await client.until(lambda data: data["n"] == 2)
        await client.drop(code=1001)
        await client.reconnect()
        client.stall()
        await session.with_locked_document(add)
        client.resume()
        await client.until(lambda data: data["n"] == 3)
        await client.close()
