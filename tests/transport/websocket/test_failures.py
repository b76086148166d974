"""Cancellation at every step, and a failure of our own."""

import contextlib
import functools
import itertools

import pytest
import trio
import trio.testing

from supervisor.session.request import Request
from supervisor.testing import harness
from supervisor.transport.conversation import Conversation
from supervisor.transport.websocket import WebSocketConnection
from supervisor.transport.websocket_options import WebSocketOptions

from ..peers import Peer, all_blocked, app_of, options_of, page_in


async def test_cancelled_at_every_step_it_leaves_nothing_behind(autojump_clock):
    """Step by step through a whole life: handshake, attach, a message, the end of the session, goodbye."""
    completed = cancelled = 0
    for steps in itertools.count():
        async with harness.supervise(app_of()) as app:
            page = page_in((await app.get("/app")).text)
            session = app.actor.find(page["session"])
            theirs, ours = trio.testing.memory_stream_pair()
            [door] = app.server._doors.values()
            peer = Peer(theirs)
            connection = WebSocketConnection(ours, Request(), door, WebSocketOptions())

            async def live(session=session, peer=peer, page=page):
                with contextlib.suppress(EOFError, trio.BrokenResourceError, AssertionError):
                    await peer.shake_hands()
                    await peer.attach(page)
                    await peer.send("Add")
                    await peer.message()
                    await peer.message()
                    session.context.destroy(reason="over")
                    await peer.closed()

            async def cancel(scope, steps=steps):
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(live)
                with trio.CancelScope() as scope:
                    nursery.start_soon(cancel, scope)
                    await connection.run()
                    completed += 1
                cancelled += scope.cancelled_caught
                assert len(session.connections) == 0
                assert "0 attached" in repr(session.audience.feed)
                assert connection._heartbeat._alarm is None or connection._heartbeat._alarm.ring is None
                with pytest.raises(trio.ClosedResourceError):
                    await ours.send_all(b"x")
                await peer.end()
                nursery.cancel_scope.cancel()
            assert app.incidents == []
        if completed > 3:
            break
    assert cancelled > 15


@pytest.mark.parametrize("again", range(3))
async def test_cancelled_while_it_waits_for_room_it_is_answered_all_the_same(serve, again):
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, attached, session = await table.attached()
        for number in range(3):
            await peer.send("Wait", seconds=1, label=str(number))
        await all_blocked()
        [connection] = table.app.actor.find(session.id).connections
        connection.cancel()
        await trio.sleep(5)
        _, again = await table.returned(attached)
        assert again["received"] == 3
        assert again["revision"] == 4


async def test_a_failure_of_ours_is_an_incident_and_ends_one_connection(table, monkeypatch):
    neighbour, _, _ = await table.attached()
    peer, _, session = await table.attached()
    monkeypatch.setattr(Conversation, "_deliver", functools.partialmethod(_fail_here))
    await peer.send("Add")
    await peer.end()
    [incident] = table.app.incidents
    assert (incident.what, incident.application) == ("websocket connection", "app")
    table.app.incidents.clear()
    monkeypatch.undo()
    await all_blocked()
    assert session.connections == ()
    await neighbour.send("Add")
    assert (await neighbour.message())["type"] == "patch"


async def _fail_here(self, wire, send):
    raise RuntimeError("a bug")


def test_options_say_what_the_issue_says():
    options = WebSocketOptions()
    assert options.max_message_size == options.max_backlog == 1024 * 1024
    assert (options.merge_backlog, options.max_unanswered, options.slow_timeout) == (64 * 1024, 4 * 1024 * 1024, 40.0)
    assert (options.first_frame_timeout, options.room_timeout) == (10.0, 30.0)
