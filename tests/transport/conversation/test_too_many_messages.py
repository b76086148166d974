"""More messages than a client may send in the time: none is lost."""

import trio
import trio.testing

from supervisor.application.options import ApplicationOptions
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.transport.websocket_options import WebSocketOptions

from .apps import Add, app_of, closings


async def test_our_client_loses_nothing_however_fast_it_is_told_to_be(supervise):
    """It is slowed down, closed at last, comes back after the delay that it was given, and goes on."""

    @receives(Add, from_client=True)
    def on_add(doc, message):
        doc.data["n"] += 1
        return doc.data["n"]

    websocket = WebSocketOptions(max_message_rate=10, message_burst=80, flood_timeout=20, return_later=8)
    async with supervise(app_of(on_add=on_add), options=ServerOptions(websocket=websocket)) as running:
        client = await (await running.new_session()).connect()
        answers = []

        async def send():
            answers.append(await client.send("Add"))

        with trio.fail_after(200):
            async with trio.open_nursery() as nursery:
                for _ in range(500):
                    nursery.start_soon(send)
        assert sorted(answers) == list(range(1, 501))
        assert (4429, "too many messages") in closings(client)
        assert client.status == "live"


async def test_what_a_client_sends_again_when_it_comes_back_is_taken_at_once(supervise):
    @receives(Add, from_client=True)
    async def on_add(doc, message):
        await released.wait()

    released = trio.Event()
    async with supervise(app_of(on_add=on_add)) as running:
        session = await running.new_session()
        client = await session.connect()
        async with trio.open_nursery() as nursery:
            for _ in range(64):
                nursery.start_soon(client.send, "Add")
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(3):
                await client.drop()
                await client.reconnect()
                await trio.sleep(1)
            began = trio.current_time()
            released.set()
        assert trio.current_time() == began
        assert closings(client) == []


async def test_all_who_are_cut_at_once_come_back_as_themselves_and_have_their_answers(supervise):
    """As many as may be attached: a proxy that restarts cuts all of them."""

    @receives(Add, from_client=True)
    async def on_add(doc, message):
        await released.wait()
        doc.data["n"] += 1
        return doc.data["n"]

    released = trio.Event()
    options = ServerOptions(application=ApplicationOptions(max_connections_per_session=100))
    async with supervise(app_of(on_add=on_add), options=options) as running:
        session = await running.new_session()
        clients = [await session.connect() for _ in range(100)]
        peers = [client.peer for client in clients]
        answers = []

        async def send(client):
            answers.append(await client.send("Add"))

        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(send, client)
            await trio.testing.wait_all_tasks_blocked()
            for client in clients:
                await client.drop()
            await trio.testing.wait_all_tasks_blocked()
            released.set()
            for client in clients:
                nursery.start_soon(client.reconnect)
        assert sorted(answers) == list(range(1, 101))
        assert [client.peer for client in clients] == peers
