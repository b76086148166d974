"""Presence, through a whole server: who is told of whom, and when somebody has left."""

import pytest
import trio
import trio.testing
from wsproto.frame_protocol import FrameProtocol

from supervisor.protocol import events, presence
from supervisor.server_options import ServerOptions
from supervisor.transport.websocket_options import WebSocketOptions

from .apps import app_of


async def test_those_who_watch_are_told_who_comes_changes_and_leaves(supervise):
    async with supervise(app_of()) as running:
        session = await running.new_session()
        first = await session.connect()
        await first.until_present(lambda peers: peers.keys() == {first.peer})
        second = await session.connect()
        await first.until_present(lambda peers: peers.keys() == {first.peer, second.peer})
        await second.present({"cursor": [3, 4]})
        await first.until_present(lambda peers: peers[second.peer].metadata == {"cursor": [3, 4]})
        assert [dict(connection.metadata) for connection in session.context.connections] == [{}, {"cursor": [3, 4]}]
        await second.close()
        await first.until_present(lambda peers: peers.keys() == {first.peer})
        assert second.presence == {"session": {}, "application": {}}


async def test_sessions_do_not_know_of_each_other_unless_the_app_shares_it(supervise):
    async with supervise(app_of()) as running:
        one, other = await running.new_session(), await running.new_session()
        first, second = await one.connect(), await other.connect()
        await first.until_present(len)
        await first.watch("application")
        await trio.sleep(1)
        assert first.presence["session"].keys() == {first.peer}
        assert first.presence["application"] == {}
        heard = [event.scope for event in first.received if isinstance(event, events.PresenceChanged)]
        assert heard == ["session", "application"]

        running.context.share_presence()
        await first.drop()
        await first.reconnect()
        await first.until_present(lambda peers: peers.keys() == {first.peer, second.peer}, scope="application")
        await second.close()
        await first.until_present(lambda peers: peers.keys() == {first.peer}, scope="application")


async def test_the_app_knows_of_all_its_connections(supervise):
    async with supervise(app_of()) as running:
        sessions = [await running.new_session(), await running.new_session()]
        clients = [await sessions[0].connect(), await sessions[0].connect(), await sessions[1].connect()]
        assert [connection.peer for connection in running.context.connections] == [client.peer for client in clients]
        assert sessions[0].context.application is running.context
        await clients[0].close()
        await trio.testing.wait_all_tasks_blocked()
        assert len(running.context.connections) == 2


async def test_what_a_client_wants_and_says_is_written_again_when_it_comes_back(supervise):
    async with supervise(app_of()) as running:
        session = await running.new_session()
        watcher, client = await session.connect(), await session.connect()
        await watcher.watch()
        await client.present({"colour": "red"})
        await client.watch()
        await trio.sleep(1)
        await client.drop()
        await watcher.until_present(lambda peers: peers.keys() == {watcher.peer})
        await client.reconnect()
        await watcher.until_present(lambda peers: client.peer in peers)
        await watcher.until_present(lambda peers: peers[client.peer].metadata == {"colour": "red"})
        third = await session.connect()
        await client.until_present(lambda peers: third.peer in peers)


async def test_a_connection_that_goes_silent_has_left_at_the_pong_deadline(supervise, silence):
    """No ghosts: a ping goes unanswered, and at the next one the connection counts no more."""
    options = ServerOptions(websocket=WebSocketOptions(ping_interval=20.0))
    async with supervise(app_of(), options=options) as running:
        session = await running.new_session()
        watcher = await session.connect()
        link = silence(running)
        lost = await session.connect()
        await watcher.until_present(lambda peers: lost.peer in peers)
        link.cut()
        began = trio.current_time()
        await watcher.until_present(lambda peers: lost.peer not in peers)
        assert 20 < trio.current_time() - began <= 40.1
        assert watcher.presence["session"].keys() == {watcher.peer}


@pytest.mark.parametrize("says_it_again", [True, False])
async def test_who_comes_back_before_its_old_connection_is_missed_has_never_been_away(
    supervise, silence, says_it_again
):
    """1. A client's link goes silent; the server doesn't know yet.
    2. It comes back on another one: it takes its own place, with what it had said of itself.
    3. Nobody is told anything, now or when the old connection is gone.
    """
    async with supervise(app_of()) as running:
        session = await running.new_session()
        watcher = await session.connect()
        link = silence(running)
        client = await session.connect()
        await client.present({"colour": "red"})
        await watcher.until_present(lambda peers: peers.get(client.peer) and peers[client.peer].metadata)
        heard = len(watcher.received)
        link.cut()
        await client.drop()
        assert len(session.context.connections) == 2
        if not says_it_again:
            client._record.protocol._peers._metadata = None
        await client.reconnect()
        await trio.sleep(60)
        assert client.status == "live"
        assert watcher.received[heard:] == []
        assert watcher.presence["session"][client.peer].metadata == {"colour": "red"}
        assert len(session.context.connections) == 2


async def test_the_newest_of_a_clients_connections_is_the_one_that_waits(supervise, silence):
    """1. A client comes back to a session that is busy, and its new link goes silent; the server doesn't know.
    2. It comes back once more, so two of its connections would wait for their turn.
    3. The session would let in both in one step; then the order of their tasks is chance, and the last one stays.
    """
    seen = []

    async def be_busy():
        await trio.sleep(15)

    async with supervise(app_of(on_connection_opened=lambda _, connection: seen.append(connection.id))) as running:
        session = await running.new_session()
        link = silence(running)
        client = await session.connect()
        session.context.document.add_next_tick_callback(be_busy)
        async with trio.open_nursery() as nursery:
            await client.drop()
            nursery.start_soon(client.reconnect)
            await trio.sleep(1)
            link.cut()
            await client.drop()
            nursery.start_soon(client.reconnect)
        await trio.sleep(15)
        assert client.status == "live"
        assert len(seen) == 2  # the silent one waited no longer
        assert [connection.id for connection in session.context.connections] == [seen[-1]]


async def test_a_destroyed_sessions_connections_leave_at_once(supervise, silence):
    """Though its client doesn't answer the close frame."""
    async with supervise(app_of()) as running:
        running.context.share_presence()
        one, other = await running.new_session(), await running.new_session()
        watcher = await one.connect()
        link = silence(running)
        lost = await other.connect()
        await watcher.until_present(lambda peers: lost.peer in peers, scope="application")
        link.cut()
        began = trio.current_time()
        other.context.destroy()
        await watcher.until_present(lambda peers: lost.peer not in peers, scope="application")
        assert trio.current_time() - began < 0.2


async def test_who_watches_no_more_is_told_nothing_and_nothing_is_left(supervise):
    async with supervise(app_of()) as running:
        running.context.share_presence()
        session = await running.new_session()
        client = await session.connect()
        await client.watch("session")
        await client.watch("application")
        await trio.sleep(1)
        wire = running.actor.find(session.id).audience
        assert "1 there, 0 changed>, 1 watch" in repr(wire.presence)
        await client.close()
        await trio.testing.wait_all_tasks_blocked()
        assert "0 there, unwatched>, 0 watch" in repr(wire.presence)


async def say(client, text):
    """Have it send a frame that it would not send by itself."""
    await client._stream.send_all(FrameProtocol(client=True, extensions=[]).send_data(text, fin=True))


async def test_asked_again_it_is_answered_anew(supervise):
    async with supervise(app_of()) as running:
        client = await (await running.new_session()).connect()
        await client.until_present(len)
        for _ in range(3):
            await say(client, '{"type":"watch","scope":"session"}')
            await trio.sleep(1)
        heard = [event for event in client.received if isinstance(event, events.PresenceChanged)]
        assert len(heard) == 4
        await client.present({"n": 1})
        await trio.sleep(1)
        assert len([event for event in client.received if isinstance(event, events.PresenceChanged)]) == 5


async def test_asking_again_costs_no_more_than_a_look_at_the_clock(supervise, monkeypatch):
    """Else one client that asks on and on has all who are there described anew, each time."""
    described = []
    describe = presence._describe
    monkeypatch.setattr(presence, "_describe", lambda attendant: [described.append(attendant), describe(attendant)][1])
    async with supervise(app_of()) as running:
        client = await (await running.new_session()).connect()
        await client.until_present(len)
        described.clear()
        for _ in range(3):
            await say(client, '{"type":"watch","scope":"session"}')
        await trio.sleep(1)
        assert described == []


async def test_metadata_that_break_the_rules_close_the_connection(supervise):
    async with supervise(app_of()) as running:
        client = await (await running.new_session()).connect()
        await say(client, '{"type":"present","metadata":{"n":1e999}}')
        ended = await client.until_ended()
        assert ended.code == 4400
        assert "Number out of range" in ended.reason


async def test_a_watcher_that_reads_slowly_is_told_anew(supervise):
    """What there is no room for isn't queued; once it has read what was, it is told all."""
    options = ServerOptions(websocket=WebSocketOptions(max_backlog=2_000))
    async with supervise(app_of(), options=options) as running:
        running.context.share_presence()
        session = await running.new_session()
        slow = await session.connect()
        await slow.watch("session")
        await slow.watch("application")
        await trio.sleep(1)
        slow.stall()
        others = [await session.connect() for _ in range(5)]
        for number in range(60):
            for other in others:
                await other.present({"number": number, "text": "x" * 500})
            await trio.sleep(0.1)
        await others[0].close()
        await trio.sleep(1)
        [link] = [each for each in running.actor.find(session.id).connections if each.context.peer == slow.peer]
        assert 2_000 < link._outbox.statistics().queued_bytes < 8_000
        expected = {slow.peer, *(other.peer for other in others[1:])}
        slow.resume()
        for scope in ("session", "application"):
            await slow.until_present(lambda peers: peers.keys() == expected, scope=scope, timeout=10)
            assert all(peer.metadata["number"] == 59 for peer in slow.presence[scope].values() if peer.metadata)
