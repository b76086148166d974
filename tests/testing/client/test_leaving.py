"""The end of a client: polite, at any time, and final."""

import pytest
import trio
import trio.testing

from supervisor.errors import SendUnknown

from .counter import Codes, modify_document


async def test_closing_is_polite_and_final(app, session):
    client = await session.connect()
    codes = Codes(app)
    await client.close()
    await codes.wait()
    assert client.status == "ended"
    assert client.ended.reason == "This client has left."
    assert session.context.connections == ()
    assert codes == [1000]
    await client.close()
    with pytest.raises(AssertionError, match="This client has left"):
        await client.until(lambda data: False)


async def test_a_send_under_way_fails_when_the_client_is_closed(session):
    client = await session.connect()
    async with trio.open_nursery() as nursery:

        async def send():
            with pytest.raises(SendUnknown):
                await client.send("Wait", seconds=100)

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await client.close()


@pytest.mark.parametrize("steps", range(0, 40, 2))
async def test_a_client_can_be_closed_while_it_connects(session, steps):
    client = session.client()
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    with trio.fail_after(5):
        await client.close()
    await trio.sleep(0.5)
    assert session.context.connections == ()


@pytest.mark.parametrize("moment", ["offline", "about to reconnect", "connecting"])
async def test_a_client_can_be_closed_at_any_time(session, moment):
    if moment == "connecting":
        client = session.client()
    else:
        client = await session.connect()
        await client.drop()
    if moment == "about to reconnect":
        client._is_online = True
        await trio.testing.wait_all_tasks_blocked()
    elif moment == "offline":
        await trio.sleep(1)
    with trio.fail_after(5):
        await client.close()
    assert client.status == "ended"


async def test_a_client_that_was_ended_by_the_server_keeps_its_reason(session):
    client = await session.connect()
    session.context.destroy(reason="over")
    await client.until_ended()
    await client.close()
    assert client.ended.code == 4410


@pytest.mark.virtual_time("it leaves at the very moment")
@pytest.mark.parametrize("pings", [1, 2, 3])
async def test_a_ping_that_comes_while_a_client_leaves_harms_nothing(session, pings):
    """Trap: trio-websocket answers it after the close frame, and raises LocalProtocolError."""
    client = await session.connect()
    await trio.sleep(20 * pings)
    await client.close()
    assert client.status == "ended"


async def test_after_its_block_a_client_does_nothing_and_keeps_what_it_had(supervise):
    async with supervise(modify_document) as app:
        client = await (await app.new_session()).connect()
    began = trio.current_time()
    for act in (
        lambda: client.until(lambda data: False),
        lambda: client.until_ended(),
        lambda: client.until_present(lambda peers: False),
        lambda: client.watch(),
        lambda: client.present({"colour": "teal"}),
        lambda: client.next_patch(),
        lambda: client.send("Add", by=1),
        lambda: client.edit("/n", 1),
        lambda: client.reconnect(),
    ):
        with pytest.raises(RuntimeError, match=r"^the client's block has ended, and its connection with it: do th"):
            await act()
    assert trio.current_time() < began + 5
    assert client.data == {"n": 0}
