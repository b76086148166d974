"""The soft end of a session: it takes nothing more, handles what waits, and then ends like any other."""

import pytest
import trio

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.errors import SessionGone
from supervisor.session.actor import RESTARTING
from supervisor.session.connection import Ending
from supervisor.session.lifecycle import State

from .apps import App, Call, Log


async def napping(doc):
    await trio.sleep(1)
    doc.data["log"].append("napped")


def finish(app, session, ending=RESTARTING):
    actor = app.actor.find(session.id)
    actor.finish(ending)
    return actor


async def test_what_is_in_hand_and_what_waits_is_handled_and_nothing_more(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Call(napping))
        session.tell_nowait(Log("waited"))
        await trio.testing.wait_all_tasks_blocked()
        actor = finish(app, session)
        assert actor.lifecycle.state is State.FINISHING
        assert not session.destroyed
        actor.finish(RESTARTING)
        session.tell_nowait(Log("too late"))
        with pytest.raises(SessionGone, match="takes nothing more, since the server goes down"):
            await session.ask(Log("too late"))
        with pytest.raises(SessionGone):
            async with session.locked_document():
                raise AssertionError("it was lent")
        await session.wait_destroyed()
        assert trio.current_time() == 1
    assert namespace.last == [["napped", "waited"]]
    assert len(app.recorder.dead_letters) == 3


async def test_who_waits_for_room_has_it(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace, mailbox_capacity=1) as app:
        session = await app.open()
        session.tell_nowait(Call(napping))
        await trio.testing.wait_all_tasks_blocked()
        session.tell_nowait(Log("waited"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.tell, Log("had no room"))
            nursery.start_soon(session.ask, Log("asked without room"))
            await trio.testing.wait_all_tasks_blocked()
            finish(app, session)
        await session.wait_destroyed()
    assert sorted(namespace.last[0]) == ["asked without room", "had no room", "napped", "waited"]
    assert app.recorder.dead_letters == []


async def test_connections_are_told_when_all_is_handled_and_see_it(run_app, connect, autojump_clock):
    heard = []

    class Audience:
        def committed(self, patch):
            heard.append((patch.revision, connection.ending))

    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        app.actor.find(session.id).audience = Audience()
        connection = connect(app, session)
        session.tell_nowait(Call(napping))
        session.tell_nowait(Log("waited"))
        await trio.testing.wait_all_tasks_blocked()
        ending = Ending(kind="replaced", reason="new code")
        actor = finish(app, session, ending)
        newcomer = connect(app, session, id="c2")  # was let in before
        await session.wait_destroyed()
        assert [told for _, told in heard] == [None, None]
        assert connection.ending == newcomer.ending == ending
        assert actor.ending == ending


async def test_a_session_without_connections_does_not_linger(run_app, connect, autojump_clock):
    async with run_app(App()) as app:
        session = await app.open()
        connection = connect(app, session)
        session.tell_nowait(Call(napping))
        await trio.testing.wait_all_tasks_blocked()
        finish(app, session)
        connection.end(None)
        await session.wait_destroyed()
        assert trio.current_time() == 1


async def test_next_ticks_and_listeners_are_part_of_the_work_and_timers_are_not(run_app, autojump_clock):
    log = []

    def work(doc):
        doc.data["log"].append("work")
        doc.add_next_tick_callback(log.append, "too late: it is new work")

    def modify_document(doc):
        doc.data["log"] = []
        doc.on_change("", lambda doc, change: log.append("changed"))
        doc.add_periodic_callback(log.append, "period", seconds=0.5)
        doc.add_timeout_callback(log.append, "timeout", seconds=0.5)

    namespace = App(modify_document=modify_document)
    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Call(napping))
        await trio.testing.wait_all_tasks_blocked()
        session.document.add_next_tick_callback(log.append, "next tick")
        session.tell_nowait(Call(work))
        finish(app, session)
        await session.wait_destroyed()
    assert log == ["next tick", "changed", "changed"]
    assert namespace.last == [["napped", "work"]]


RESTART = FailurePolicy(directive="restart", backoff=Backoff(first=0.5, longest=0.5, jitter=0.0))


async def test_instead_of_a_restart_that_was_due_it_ends(run_app, autojump_clock):
    """1. A handler is in hand. 2. A background task fails, so a restart waits. 3. The session is told to finish.

    The handler in hand is let finish. What waits is of a document that was not to be gone on with.
    """
    built = []

    async def fail():
        raise ValueError("mine")

    def modify_document(doc):
        built.append(trio.current_time())
        doc.data["log"] = []

    namespace = App(modify_document=modify_document, failure_policy=RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(napping))
        session.tell_nowait(Log("waited"))
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(fail)
        await trio.testing.wait_all_tasks_blocked()
        actor = finish(app, session)
        await session.wait_destroyed()
        assert trio.current_time() == 1
        assert actor.ending == RESTARTING
        assert len(app.recorder.dead_letters) == 1
    assert built == [0]
    assert namespace.last == [["napped"]]


async def test_after_a_restart_what_waits_is_handled_as_ever(run_app, autojump_clock):
    """1. A handler fails, and a restart follows. 2. A handler is in hand. 3. The session is told to finish."""

    def fail(doc):
        raise ValueError("mine")

    namespace = App(failure_policy=RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(fail))
        await trio.sleep(1)
        session.tell_nowait(Call(napping))
        session.tell_nowait(Log("waited"))
        await trio.testing.wait_all_tasks_blocked()
        finish(app, session)
        await session.wait_destroyed()
    assert namespace.last == [["napped", "waited"]]


async def test_what_fails_while_it_finishes_is_not_restarted(run_app, autojump_clock):
    """The report says so, the failed hook hears of it, and no restart is spent."""
    told = []

    def broken(doc):
        doc.data["log"].append("broken")
        raise ValueError("mine")

    namespace = App(failure_policy=RESTART, on_session_failed=lambda session_context, error: told.append(str(error)))
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(napping))
        session.tell_nowait(Call(broken))
        session.tell_nowait(Log("waited"))
        await trio.testing.wait_all_tasks_blocked()
        actor = finish(app, session)
        await session.wait_destroyed()
        assert trio.current_time() == 1
        assert actor.ending == RESTARTING
        assert [incident.decision for incident in app.recorder.incidents] == ["the session ends"]
        assert session.restarts == 0
    assert told == ["mine"]
    assert namespace.last == [["napped"]]


@pytest.mark.parametrize("building", [False, True])
async def test_a_restart_under_way_is_cut_short(run_app, autojump_clock, building):
    """In its pause, or while `modify_document` is awaited: the old document is what the destroyed hooks see."""

    async def modify_document(doc):
        doc.data["log"] = []
        if doc.session_context.last_incident is not None:
            await trio.sleep(100)

    def broken(doc):
        raise ValueError("mine")

    namespace = App(modify_document=modify_document, failure_policy=RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Log("kept"))
        session.tell_nowait(Call(broken))
        session.tell_nowait(Log("waited"))
        await trio.sleep(1 if building else 0.25)
        actor = finish(app, session)
        await session.wait_destroyed()
        assert trio.current_time() == (1 if building else 0.25)
        assert actor.ending == RESTARTING
    assert namespace.last == [["kept"]]


async def test_background_tasks_end_when_all_is_handled(run_app, autojump_clock):
    ended = []

    async def background():
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with run_app(App()) as app:
        session = await app.open()
        session.start_soon(background)
        session.tell_nowait(Call(napping))
        await trio.testing.wait_all_tasks_blocked()
        finish(app, session)
        await session.wait_destroyed()
    assert ended == [1]


async def test_a_borrower_in_hand_and_one_that_waits_have_their_turn(run_app, autojump_clock):
    namespace = App()

    async def borrow(session, text):
        async with session.locked_document() as doc:
            await trio.sleep(1)
            doc.data["log"].append(text)

    async with run_app(namespace) as app:
        session = await app.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow, session, "in hand")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(borrow, session, "waited")
            await trio.testing.wait_all_tasks_blocked()
            finish(app, session)
        await session.wait_destroyed()
        assert trio.current_time() == 2
    assert namespace.last == [["in hand", "waited"]]


async def test_ended_hard_meanwhile_it_drops_what_waits(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Call(napping))
        session.tell_nowait(Log("waited"))
        await trio.testing.wait_all_tasks_blocked()
        actor = finish(app, session)
        session.destroy(reason="no more patience")
        assert session.destroyed
        assert actor.ending.reason == "no more patience"
        await session.wait_destroyed()
        assert trio.current_time() == 0
    assert namespace.last == [[]]


async def test_a_handler_that_destroys_its_session_meanwhile_is_the_last(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Call(napping))
        session.tell_nowait(Call(lambda doc: doc.session_context.destroy(reason="enough")))
        session.tell_nowait(Log("too late"))
        await trio.testing.wait_all_tasks_blocked()
        actor = finish(app, session)
        await session.wait_destroyed()
        assert actor.ending.reason == "enough"
    assert namespace.last == [["napped"]]


async def test_one_that_was_told_to_end_in_its_own_handler_goes_on_with_that(run_app, autojump_clock):
    async def destroy(doc):
        doc.session_context.destroy(reason="enough")
        await trio.sleep(1)

    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Call(destroy))
        session.tell_nowait(Log("too late"))
        await trio.testing.wait_all_tasks_blocked()
        actor = finish(app, session)
        assert actor.lifecycle.state is State.WAITING
        await session.wait_destroyed()
        assert actor.ending.reason == "enough"
    assert namespace.last == [[]]


async def test_one_that_is_being_created_ends_at_once(run_app, autojump_clock):
    async def modify_document(doc):
        await trio.sleep(10)

    async with run_app({"modify_document": modify_document}) as app:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.outcome, "a")
            await trio.testing.wait_all_tasks_blocked()
            (actor,) = app.actor._registry._creations
            actor.finish(RESTARTING)
            assert actor.lifecycle.state is State.DRAINING
        assert trio.current_time() == 0
        actor.finish(RESTARTING)


@pytest.mark.parametrize("steps", range(12))
async def test_ended_after_each_number_of_steps_it_leaves_nothing(run_app, connect, autojump_clock, steps):
    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        connect(app, session, closing=1.0)
        session.tell_nowait(Call(napping))
        session.tell_nowait(Log("waited"))
        await trio.testing.wait_all_tasks_blocked()
        actor = finish(app, session)
        for _ in range(steps):
            await trio.sleep(0.26)
        actor.end(Ending(kind="destroyed"))
        await session.wait_destroyed()
        assert actor.ending.kind == ("destroyed" if steps < 4 else "restarting")
