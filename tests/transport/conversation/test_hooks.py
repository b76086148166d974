"""Opened and closed hooks, through a whole server, by the kit's clients."""

import pytest
import trio
import trio.testing

from supervisor.application.options import ApplicationOptions
from supervisor.errors import SessionRefused
from supervisor.protocol import events
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives

from .apps import app_of, closings


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
