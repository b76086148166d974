"""A connection's entries in its session's mailbox; what the hooks do is tested with the porter."""

import pytest
import trio
import trio.testing

from supervisor.actor.ref import TIMEOUT
from supervisor.errors import HandlerFailed, MailboxFull, SessionGone
from supervisor.session.connection import ConnectionContext
from supervisor.session.opening import Departure, Opening
from supervisor.session.receivers import receives
from supervisor.session.request import Request


def connection(id="c1", **described):
    return ConnectionContext(id=id, request=Request(), **described)


class Visits:
    """An app whose opened hook waits, and writes into the document; all that happens is in the log."""

    def __init__(self, *, opened=0.0, closed=0.0):
        self.log = []

        async def on_connection_opened(session_context, connection):
            self.log.append(f"opening {connection.id}")
            session_context.document.data["here"] += 1
            await trio.sleep(opened)
            self.log.append(f"opened {connection.id}")

        async def on_connection_closed(session_context, connection):
            session_context.document.data["here"] -= 1
            await trio.sleep(closed)
            self.log.append(f"closed {connection.id}")

        @receives(float)
        async def on_wait(doc, seconds):
            await trio.sleep(seconds)
            self.log.append("waited")

        self.namespace = {
            "modify_document": lambda doc: doc.data.update(here=0),
            "on_connection_opened": on_connection_opened,
            "on_connection_closed": on_connection_closed,
            "on_session_destroyed": lambda session_context: self.log.append("destroyed"),
            "on_wait": on_wait,
        }

    async def open(self, app):
        """The actor of a new session."""
        return app.actor.find((await app.open()).id)


async def here(session):
    async with session.context.locked_document() as doc:
        return doc.data["here"]


async def test_a_connection_is_let_in_and_departs_in_the_sessions_turn(run_app, autojump_clock):
    visits = Visits(opened=1)
    async with run_app(visits.namespace, linger=3600) as app:
        session = await visits.open(app)
        await session.context.tell(5.0)
        assert await session.let_in(connection()) is None
        assert trio.current_time() == 6
        assert visits.log == ["waited", "opening c1", "opened c1"]
        assert await here(session) == 1
        session.depart(connection())
        assert await here(session) == 0
        assert visits.log[3:] == ["closed c1"]


async def test_an_app_without_such_hooks_asks_nobody(run_app, autojump_clock):
    async with run_app({"modify_document": lambda doc: None}) as app:
        session = app.actor.find((await app.open()).id)
        assert not session.asks_porter
    async with run_app(Visits().namespace) as app:
        assert (await Visits().open(app)).asks_porter


async def test_one_that_dies_in_the_queue_is_never_opened(run_app, autojump_clock):
    visits = Visits()
    async with run_app(visits.namespace, linger=3600) as app:
        session = await visits.open(app)
        await session.context.tell(5.0)
        with trio.move_on_after(1) as scope:
            await session.let_in(connection())
        assert scope.cancelled_caught
        assert trio.current_time() == 1
        assert await here(session) == 0
    assert visits.log == ["waited", "destroyed"]


async def test_one_that_dies_while_it_waits_for_room_is_never_opened(run_app, autojump_clock):
    visits = Visits()
    async with run_app(visits.namespace, linger=3600, mailbox_capacity=1) as app:
        session = await visits.open(app)
        await session.context.tell(5.0)
        await session.context.tell(0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.let_in, connection())
            await trio.testing.wait_all_tasks_blocked()
            assert session.context.statistics().waiting_for_room == 1
            nursery.cancel_scope.cancel()
        assert session.context.statistics().waiting_for_room == 0
        assert await here(session) == 0
        await session.context.tell(5.0)
        await session.context.tell(0.0)
        assert await session.let_in(connection("c2")) is None
        session.depart(connection("c2"))
    assert visits.log[-4:] == ["opening c2", "opened c2", "closed c2", "destroyed"]


async def test_the_turn_must_come_in_time(run_app, autojump_clock):
    visits = Visits()
    async with run_app(visits.namespace, linger=3600) as app:
        session = await visits.open(app)
        await session.context.tell(TIMEOUT + 5)
        with pytest.raises(trio.TooSlowError, match=r"^opening a connection to session s1 took longer than 30 s$"):
            await session.let_in(connection())
        assert await here(session) == 0
    assert visits.log == ["waited", "destroyed"]


async def test_a_hook_in_hand_is_let_finish_when_the_connection_dies(run_app, autojump_clock):
    """So the caller gets its result although it was cancelled, and must say that the connection has left.

    1. The opened hook is in hand, for three seconds; the connection dies after one.
    2. The hook goes on; when it is done, `let_in` returns as if nothing had happened.
    3. The connection departs: its closed hook runs.
    """
    visits = Visits(opened=3)
    async with run_app(visits.namespace, linger=3600) as app:
        session = await visits.open(app)
        with trio.move_on_after(1) as scope:
            refusal = await session.let_in(connection())
            assert trio.current_time() == 3
            session.depart(connection())
            await trio.lowlevel.checkpoint()
            raise AssertionError("it was cancelled")
        assert scope.cancelled_caught
        assert refusal is None
        assert await here(session) == 0
    assert visits.log == ["opening c1", "opened c1", "closed c1", "destroyed"]


async def test_who_died_and_is_not_let_in_learns_only_of_its_death(run_app, autojump_clock):
    async def on_connection_opened(session_context, connection):
        await trio.sleep(3)
        raise LookupError("swordfish")

    async with run_app({"on_connection_opened": on_connection_opened}, expect_failures=True) as app:
        session = app.actor.find((await app.open()).id)
        with trio.move_on_after(1) as scope:
            await session.let_in(connection())
        assert scope.cancelled_caught
        assert trio.current_time() == 3
        assert [str(error) for error in app.recorder.errors] == ["swordfish"]


async def test_a_failure_reaches_the_connection_as_an_incident(run_app, autojump_clock):
    def on_connection_opened(session_context, connection):
        session_context.document.data["n"] = 1
        raise SystemExit("swordfish")

    async with run_app({"on_connection_opened": on_connection_opened}, expect_failures=True) as app:
        session = app.actor.find((await app.open()).id)
        with pytest.raises(HandlerFailed) as raised:
            await session.let_in(connection())
        [incident] = app.recorder.incidents
        assert str(raised.value) == f"the connection could not be opened (incident {incident.id})"
        assert (incident.what, incident.session) == ("on_connection_opened", "s1")
        async with session.context.locked_document() as doc:
            assert doc.data == {}


async def test_the_sessions_end_ends_the_wait(run_app, autojump_clock):
    visits = Visits(opened=5)
    async with run_app(visits.namespace, linger=3600) as app:
        session = await visits.open(app)
        gone = []

        async def enter(id):
            with pytest.raises(SessionGone):
                await session.let_in(connection(id))
            gone.append((id, trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter, "c1")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(enter, "c2")
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(1)
            session.context.destroy()
        assert sorted(gone) == [("c1", 1), ("c2", 1)]
        await enter("c3")
        session.depart(connection("c3"))
        assert visits.log == ["opening c1", "destroyed"]


async def test_a_departure_takes_no_room(run_app, autojump_clock):
    visits = Visits()
    async with run_app(visits.namespace, linger=3600, mailbox_capacity=1) as app:
        session = await visits.open(app)
        for number in range(5):
            await session.let_in(connection(f"c{number}"))
        await session.context.tell(1.0)
        await session.context.tell(0.0)
        for number in range(5):
            session.depart(connection(f"c{number}"))
        assert session.context.statistics().uncounted == 5
        assert await here(session) == 0
        await session.context.tell(1.0)
        await session.context.tell(0.0)
        with pytest.raises(MailboxFull):
            session.context.tell_nowait(0.0)


def test_entries_say_what_they_are():
    assert Opening(None, connection(), SessionGone).describe() == "on_connection_opened"
    assert Departure(None, connection()).describe() == "on_connection_closed"
