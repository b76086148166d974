"""Connections' hooks and presence, through a whole server, by the kit's clients; the rest is in `websocket/`."""

import attrs
import pytest
import trio
import trio.testing
from wsproto.frame_protocol import FrameProtocol

from supervisor.application.options import ApplicationOptions
from supervisor.errors import SessionRefused
from supervisor.protocol import events, presence
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.transport.websocket_options import WebSocketOptions


def app_of(**namespace):
    from supervisor.application.handlers import Application, NamespaceHandler

    namespace.setdefault("modify_document", lambda doc: doc.data.update(n=0))
    return Application(NamespaceHandler(namespace, where="app"), name="app")


@attrs.frozen
class Add:
    pass


def closings(client):
    return [(event.code, event.reason) for event in client.received if isinstance(event, events.Closing)]


def names_in(peers):
    return sorted(peer.name for peer in peers.values())


# Hooks.


async def test_an_opened_hook_sees_its_connections_own_request_before_the_client_is_attached(supervise):
    seen = []

    def on_connection_opened(session_context, connection):
        seen.append((connection.request.path, connection.peer, len(session_context.connections)))
        session_context.document.data["opened"] = True

    def on_connection_closed(session_context, connection):
        seen.append(("closed", connection.peer, len(session_context.connections)))

    app = app_of(on_connection_opened=on_connection_opened, on_connection_closed=on_connection_closed)
    async with supervise(app) as running:
        client = await (await running.new_session()).connect()
        assert client.data == {"n": 0, "opened": True}
        assert client.revision == 2
        assert seen == [("/app/-/websocket", client.peer, 0)]
        await client.close()
        await trio.testing.wait_all_tasks_blocked()
        assert seen[1:] == [("closed", client.peer, 0)]


async def test_a_client_that_comes_back_is_asked_again_and_is_the_same_peer(supervise):
    seen = []

    def on_connection_opened(session_context, connection):
        seen.append(connection)

    async with supervise(app_of(on_connection_opened=on_connection_opened)) as running:
        session = await running.new_session()
        client = await session.connect()
        peer = client.peer
        await client.drop()
        await client.reconnect()
        await trio.sleep(1)
        assert client.status == "live"
        assert [connection.peer for connection in seen] == [peer, peer] == [client.peer] * 2
        assert seen[0].id != seen[1].id
        assert [connection.id for connection in session.context.connections] == [seen[1].id]


async def test_a_client_is_not_forgotten_while_its_opened_hook_runs(supervise):
    """Though its linger time is over before the hook is: its send is known, and so it is done once."""
    waits = []

    @receives(int)
    def on_int(doc, message):
        doc.data["n"] += message

    async def on_connection_opened(session_context, connection):
        if waits:
            await trio.sleep(waits.pop())

    app = app_of(on_connection_opened=on_connection_opened)
    options = ServerOptions(application=ApplicationOptions(linger=1))
    async with supervise(app, options=options) as running:
        session = await running.new_session()
        keeper = await session.connect()
        client = await session.connect()
        peer = client.peer
        waits.append(5)
        await client.drop()
        await client.reconnect()
        await trio.sleep(10)
        assert client.status == keeper.status == "live"
        assert client.peer == peer
        assert [event.resumed for event in client.received if isinstance(event, events.Attached)] == [False, True]
        await client.drop()
        await trio.sleep(5)
        await keeper.present({})
        await client.reconnect()
        await trio.sleep(1)
        assert client.peer != peer  # it isn't remembered for ever, either


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SessionRefused("members only"), "members only"),
        (SessionRefused("\ud800"), "?"),
        (PermissionError(), "This application does not let you in."),
    ],
)
async def test_a_refused_connection_is_closed_with_4403_and_the_text(supervise, error, reason):
    def on_connection_opened(session_context, connection):
        raise error

    async with supervise(app_of(on_connection_opened=on_connection_opened)) as running:
        session = await running.new_session()
        client = session.client()
        ended = await client.until_ended()
        assert (ended.code, ended.reason) == (4403, reason)
        assert closings(client) == [(4403, reason)]
        assert session.context.connections == ()


async def test_identity_is_checked_again_on_each_attach(supervise):
    blocked = []

    def on_connection_opened(session_context, connection):
        if blocked:
            raise SessionRefused("you were blocked")

    async with supervise(app_of(on_connection_opened=on_connection_opened)) as running:
        client = await (await running.new_session()).connect()
        blocked.append(True)
        await client.drop()
        with pytest.raises(AssertionError, match="the client ended"):
            await client.reconnect()
        assert (await client.until_ended()).code == 4403


async def test_a_failed_opened_hook_closes_with_1011_and_the_client_comes_back(supervise):
    failures = [LookupError("swordfish")]

    def on_connection_opened(session_context, connection):
        session_context.document.data["n"] = 99
        if failures:
            raise failures.pop()

    async with supervise(app_of(on_connection_opened=on_connection_opened)) as running:
        session = await running.new_session()
        client = session.client()
        await client.until(lambda data: data == {"n": 99})
        [incident] = running.incidents
        assert closings(client) == [(1011, f"the connection could not be opened (incident {incident.id})")]
        assert client.revision == 2  # once, and not twice
        running.incidents.clear()


async def test_a_session_that_is_too_busy_closes_with_1011(supervise):
    def on_connection_opened(session_context, connection):
        pass

    async def be_busy():
        await trio.sleep(40)

    options = ServerOptions(application=ApplicationOptions(first_attach=60))
    async with supervise(app_of(on_connection_opened=on_connection_opened), options=options) as running:
        session = await running.new_session()
        session.context.document.add_next_tick_callback(be_busy)
        client = session.client()
        await client.until(lambda data: True)
        assert closings(client) == [(1011, "the session was too busy to open a connection")]


async def test_a_client_waits_for_as_long_as_hooks_may_take_and_is_let_in_once(supervise):
    """One that gave up earlier would never get in: each new attempt calls the hook anew."""
    calls = []

    async def on_connection_opened(session_context, connection):
        calls.append(connection)
        await trio.sleep(29)

    options = ServerOptions(application=ApplicationOptions(hook_timeout=30))
    async with supervise(app_of(on_connection_opened=on_connection_opened), options=options) as running:
        session = await running.new_session()
        await session.connect()
        assert len(calls) == 1


async def test_a_session_that_ends_meanwhile_is_told_as_ever(supervise):
    async def on_connection_opened(session_context, connection):
        await trio.sleep(5)

    async with supervise(app_of(on_connection_opened=on_connection_opened)) as running:
        session = await running.new_session()
        client = session.client()
        await trio.sleep(1)
        session.context.destroy(reason="that's it")
        ended = await client.until_ended()
        assert (ended.code, ended.reason) == (4410, "that's it")
        assert closings(client) == [(4410, "that's it")]


async def test_a_hook_that_destroys_its_session_ends_the_connection_that_it_let_in(supervise):
    log = []

    def on_connection_opened(session_context, connection):
        session_context.destroy(reason="that's it")

    namespace = {
        "on_connection_opened": on_connection_opened,
        "on_connection_closed": lambda session_context, connection: log.append("closed"),
        "on_session_destroyed": lambda session_context: log.append("destroyed"),
    }
    async with supervise(app_of(**namespace)) as running:
        ended = await (await running.new_session()).client().until_ended()
        assert (ended.code, ended.reason) == (4410, "that's it")
        await trio.sleep(1)
        assert log == ["closed", "destroyed"]


@pytest.mark.parametrize("how", ["close", "drop"])
async def test_a_connection_that_dies_while_its_hook_runs_is_closed_once(supervise, how):
    log = []

    async def on_connection_opened(session_context, connection):
        log.append("opening")
        await trio.sleep(5)
        log.append("opened")

    namespace = {
        "on_connection_opened": on_connection_opened,
        "on_connection_closed": lambda session_context, connection: log.append("closed"),
    }
    async with supervise(app_of(**namespace)) as running:
        session = await running.new_session()
        client = session.client()
        await trio.sleep(1)
        with trio.move_on_after(1):
            await getattr(client, how)()
        await trio.sleep(10)
        assert log == ["opening", "opened", "closed"]
        assert session.context.connections == ()


@pytest.mark.parametrize("how", ["close", "drop"])
async def test_a_connection_that_dies_while_it_waits_for_its_turn_is_never_opened(supervise, how):
    log = []

    async def be_busy():
        await trio.sleep(20)

    namespace = {
        "on_connection_opened": lambda session_context, connection: log.append("opened"),
        "on_connection_closed": lambda session_context, connection: log.append("closed"),
    }
    async with supervise(app_of(**namespace)) as running:
        session = await running.new_session()
        session.context.document.add_next_tick_callback(be_busy)
        await trio.sleep(1)
        client = session.client()
        await trio.sleep(1)
        assert session.context.statistics().counted == 1
        await getattr(client, how)()
        await trio.testing.wait_all_tasks_blocked()
        assert session.context.statistics().counted == 0
        await trio.sleep(30)
        assert log == []


async def test_one_that_died_while_its_hook_ran_is_present_at_no_time(supervise):
    async def on_connection_opened(session_context, connection):
        await trio.sleep(5)

    async with supervise(app_of(on_connection_opened=on_connection_opened)) as running:
        session = await running.new_session()
        watcher = await session.connect()
        await watcher.watch()
        client = session.client()
        await trio.sleep(1)
        await client.close()
        before = len(watcher.received)
        await trio.sleep(10)
        assert watcher.received[before:] == []


async def test_closed_hooks_run_in_a_shutdown_before_the_destroyed_hooks(supervise):
    log = []
    namespace = {
        "on_connection_closed": lambda session_context, connection: log.append("closed"),
        "on_session_destroyed": lambda session_context: log.append("destroyed"),
        "on_application_unload": lambda app_context: log.append("unload"),
    }
    async with supervise(app_of(**namespace)) as running:
        session = await running.new_session()
        await session.connect()
        await session.connect()
    assert log == ["closed", "closed", "destroyed", "unload"]


async def test_a_client_with_a_false_resume_is_closed_too(supervise):
    """It was let in, and then the feed finds that it confirms what it can't have."""
    log = []
    namespace = {
        "on_connection_opened": lambda session_context, connection: log.append("opened"),
        "on_connection_closed": lambda session_context, connection: log.append("closed"),
    }
    async with supervise(app_of(**namespace)) as running:
        client = await (await running.new_session()).connect()
        client._record.protocol._sends._confirmed = 7
        await client.drop()
        with pytest.raises(AssertionError, match="the client ended"):
            await client.reconnect()
        assert (await client.until_ended()).code == 4400
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["opened", "closed", "opened", "closed"]


async def test_a_session_does_not_end_for_want_of_a_connection_that_is_being_let_in(supervise):
    waits = [15]

    async def on_connection_opened(session_context, connection):
        await trio.sleep(waits[-1])

    options = ServerOptions(application=ApplicationOptions(linger=0, first_attach=5, hook_timeout=60))
    async with supervise(app_of(on_connection_opened=on_connection_opened), options=options) as running:
        session = await running.new_session()
        first = session.client()
        await trio.sleep(1)
        second = session.client()
        await first.until(lambda data: True)
        assert trio.current_time() >= 15
        await first.close()
        await trio.sleep(10)
        assert not session.context.destroyed
        await second.until(lambda data: True)
        await trio.sleep(105)
        assert not session.context.destroyed
        await second.close()
        await trio.sleep(1)
        assert len(running.sessions) == 0


async def test_one_that_attached_meanwhile_keeps_it_though_another_one_is_refused_after_its_time(supervise):
    refused = []

    async def on_connection_opened(session_context, connection):
        await trio.sleep(8)
        if len(session_context.connections) == 1:
            refused.append(connection)
            raise SessionRefused("no")

    options = ServerOptions(application=ApplicationOptions(linger=0, first_attach=5, hook_timeout=60))
    async with supervise(app_of(on_connection_opened=on_connection_opened), options=options) as running:
        session = await running.new_session()
        clients = [session.client(), session.client()]
        await trio.sleep(50)
        assert len(refused) == 1
        assert sorted(client.status for client in clients) == ["ended", "live"]
        assert not session.context.destroyed


async def test_but_it_ends_if_that_one_is_refused(supervise):
    async def on_connection_opened(session_context, connection):
        await trio.sleep(15)
        raise SessionRefused("no")

    options = ServerOptions(application=ApplicationOptions(linger=0, first_attach=5, hook_timeout=60))
    async with supervise(app_of(on_connection_opened=on_connection_opened), options=options) as running:
        session = await running.new_session()
        first = session.client()
        await trio.sleep(1)
        second = session.client()
        assert (await first.until_ended()).code == 4403
        await trio.sleep(15)
        assert not session.context.destroyed
        assert (await second.until_ended()).code == 4403
        await trio.sleep(1)
        assert len(running.sessions) == 0


# Names.


async def test_a_connection_is_named_by_its_request(supervise):
    seen = []

    def name_connection(request):
        return request.headers.get("host") + "\ud800"

    def on_connection_opened(session_context, connection):
        seen.append(connection.name)

    async with supervise(app_of(name_connection=name_connection, on_connection_opened=on_connection_opened)) as running:
        session = await running.new_session()
        client = await session.connect()
        await client.until_present(len)
        assert seen == names_in(client.presence["session"]) == [session.context.connections[0].name] == ["localhost?"]


async def test_a_connection_whose_name_fails_has_none(supervise):
    def name_connection(request):
        raise LookupError("swordfish")

    async with supervise(app_of(name_connection=name_connection)) as running:
        session = await running.new_session()
        await session.connect()
        assert session.context.connections[0].name is None
        assert [incident.what for incident in running.incidents] == ["name_connection"]
        running.incidents.clear()


# Presence.


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


class Silence:
    """Between the server and those who connect from now on: once cut, nothing gets through, not even an end."""

    def __init__(self, listener, nursery):
        self._connect = listener.connect
        self._nursery = nursery
        self._cuts = []
        listener.connect = self.connect

    async def connect(self):
        inside = await self._connect()
        client, outside = trio.testing.memory_stream_pair()
        cut = trio.Event()
        self._cuts.append(cut)
        self._nursery.start_soon(self._pump, inside, outside, cut)
        self._nursery.start_soon(self._pump, outside, inside, cut)
        return client

    def cut(self):
        for cut in self._cuts:
            cut.set()

    async def _pump(self, source, target, cut):
        try:
            while data := await source.receive_some():
                if not cut.is_set():
                    await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        if not cut.is_set():
            await trio.aclose_forcefully(target)


@pytest.fixture
def silence(nursery):
    return lambda running: Silence(running.transport, nursery)


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


# Too many messages.


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
