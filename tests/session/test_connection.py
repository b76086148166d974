import pytest
import trio

from supervisor.session.connection import Ending, NoAudience


def modify_document(doc):
    doc.data["n"] = 0


@pytest.mark.parametrize(("options", "wait"), [({}, 15), ({"linger": 0}, 15), ({"linger": 40}, 40)])
async def test_a_session_waits_for_its_first_connection_at_least_as_long_as_it_lingers(
    run_app, autojump_clock, options, wait
):
    async with run_app({"modify_document": modify_document}, **options) as app:
        session = await app.open()
        await trio.sleep(wait - 0.1)
        assert not session.destroyed
        await trio.sleep(0.2)
        assert session.destroyed
        await session.wait_destroyed()
        assert app.recorder.events[-1] == ("destroyed", "s1", "nobody attached")


async def test_the_wait_for_the_first_connection_can_be_set(run_app, autojump_clock):
    async with run_app({"modify_document": modify_document}, linger=0, first_attach=2) as app:
        session = await app.open()
        await trio.sleep(1.9)
        assert not session.destroyed
        await trio.sleep(0.2)
        assert session.destroyed


async def test_a_session_that_does_not_linger_ends_with_its_last_connection(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}, linger=0) as app:
        session = await app.open()
        await trio.sleep(14)
        connection = connect(app, session)
        await trio.sleep(100)
        assert not session.destroyed
        connection.cancel()
        await session.wait_destroyed()
        assert trio.current_time() == 114
        assert app.recorder.events[-1] == ("destroyed", "s1", "nobody was attached any more")


async def test_it_lingers_anew_after_the_last_connection_left(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}, linger=15) as app:
        session = await app.open()
        await trio.sleep(14)
        assert not app.actor.find("s1").lifecycle.was_attached
        first, second = connect(app, session, id="a"), connect(app, session, id="b")
        assert [connection.id for connection in session.connections] == ["a", "b"]
        await trio.sleep(100)
        assert app.actor.find("s1").lifecycle.was_attached
        first.cancel()
        await trio.sleep(100)
        assert not session.destroyed
        second.cancel()
        await trio.sleep(14)
        assert not session.destroyed
        third = connect(app, session, id="c")
        await trio.sleep(100)
        third.cancel()
        await trio.sleep(14.9)
        assert not session.destroyed
        await trio.sleep(0.2)
        assert session.destroyed


async def test_a_session_that_is_used_has_no_age_limit_unless_one_is_set(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}) as app:
        session = await app.open()
        connect(app, session)
        await trio.sleep(86_000)
        assert not session.destroyed


async def test_the_greatest_age_ends_a_session_that_is_used(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}, max_age=3600) as app:
        session = await app.open()
        connection = connect(app, session)
        await trio.sleep(3599)
        assert not session.destroyed
        await trio.sleep(2)
        assert connection.ending == Ending(kind="destroyed", reason="the session reached its greatest age")
        await session.wait_destroyed()


async def test_destroying_tells_connections_why_and_waits_for_them(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}) as app:
        session = await app.open()
        connection = connect(app, session, closing=3)
        began = trio.current_time()
        session.destroy(reason="enough")
        assert connection.ending == Ending(kind="destroyed", reason="enough")
        await session.wait_destroyed()
        assert trio.current_time() - began == 3
        assert session.connections == ()
        assert not connection.was_cancelled


async def test_connections_that_do_not_close_are_cancelled_after_five_seconds(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}) as app:
        session = await app.open()
        slow, quick = connect(app, session, closing=60), connect(app, session, closing=1)
        began = trio.current_time()
        session.destroy()
        await session.wait_destroyed()
        assert trio.current_time() - began == 5
        assert (slow.was_cancelled, quick.was_cancelled) == (True, False)


async def test_their_five_seconds_count_from_when_they_were_told(run_app, autojump_clock, connect):
    async def on_session_destroyed(session_context):
        await trio.sleep(6)

    async with run_app(locals()) as app:
        session = await app.open()
        connection = connect(app, session, closing=60)
        began = trio.current_time()
        session.destroy()
        await session.wait_destroyed()
        assert connection.was_cancelled
        assert trio.current_time() - began == 6


async def test_when_the_server_stops_connections_are_told_to_come_back(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}) as app:
        connection = connect(app, await app.open())
        await app.stop()
        assert connection.ending.kind == "restarting"


async def test_when_the_application_is_cancelled_they_are_told_to_come_back_too(run_app, autojump_clock, connect):
    async with run_app({"modify_document": modify_document}) as app:
        session = await app.open()
        endings = []
        connection = connect(app, session)
        connection.end = endings.append
        # Only the sessions, so that the connection's own task doesn't end first.
        app.actor._registry._nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert [ending.kind for ending in endings] == ["restarting"]


async def test_the_audience_hears_of_each_kept_transaction_once_and_in_order(run_app, autojump_clock):
    heard = []

    class Audience:
        def committed(self, patch):
            heard.append((patch.base, patch.revision))

    async with run_app({"modify_document": modify_document}) as app:
        session = await app.open()
        app.actor.find(session.id).audience = Audience()
        for number in range(3):
            async with session.locked_document() as doc:
                doc.data["n"] = number + 10
        async with session.locked_document():
            pass  # nothing changed, so there is nothing to hear
        assert heard == [(1, 2), (2, 3), (3, 4)]


def test_no_audience_shows_nothing():
    NoAudience().committed(None)
