"""How a session lives and ends; the races open with their steps."""

import re
import sys

import pytest
import trio

from supervisor.actor.entry import Entry
from supervisor.actor.guard import unwrap
from supervisor.errors import DeadlockError, DocumentNotHeld, SessionGone

from .apps import App, Call, Log


async def test_destroy_is_a_plain_call_that_takes_effect_at_once(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        assert not session.destroyed
        assert session.destroy() is None
        assert session.destroyed
        assert session not in app.context.sessions
        session.destroy()
        await session.wait_destroyed()
        await session.wait_destroyed()
        assert namespace.last == [[]]
        assert [event for event in app.recorder.events if event[0] == "destroyed"] == [("destroyed", "s1", "")]


async def test_a_handler_in_hand_is_cancelled_and_rolled_back(run_app, autojump_clock):
    namespace = App()

    async def hang(doc):
        doc.data["log"].append("committed")
        doc.commit()
        doc.data["log"].append("lost")
        await trio.sleep_forever()

    async with run_app(namespace) as app:
        session = await app.open()
        async with trio.open_nursery() as nursery:

            async def ask():
                with pytest.raises(SessionGone):
                    await session.ask(Call(hang))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            session.destroy()
        await session.wait_destroyed()
        assert namespace.last == [["committed"]]


async def test_destroyed_by_its_own_handler_it_keeps_what_the_handler_changed(run_app, autojump_clock):
    """From the session's own handler.

    1. A handler changes the document, destroys its session, awaits, changes again.
    2. Messages were queued behind it, and more are sent meanwhile.
    3. It returns: all of its changes are kept and sent, its asker has the answer, and no message is handled.
    """
    namespace, heard = App(), []

    class Audience:
        def committed(self, patch):
            heard.append(patch.revision)

    async def destroy(doc):
        doc.data["log"].append("before")
        doc.session_context.destroy(reason="done")
        assert not doc.session_context.destroyed
        await trio.sleep(1)
        doc.data["log"].append("after")
        return "answer"

    async with run_app(namespace) as app:
        session = await app.open()
        app.actor.find("s1").audience = Audience()
        async with trio.open_nursery() as nursery:

            async def ask():
                assert await session.ask(Call(destroy)) == "answer"

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(100):
                session.tell_nowait(Log(number))
        await session.wait_destroyed()
        assert namespace.last == [["before", "after"]]
        assert heard == [2]
        assert len(app.recorder.dead_letters) == 100
        assert app.actor.statistics().sessions.dead_letters == 100
        assert app.recorder.events[-1] == ("destroyed", "s1", "done")


@pytest.mark.parametrize("plain", [True, False])
async def test_no_message_that_was_queued_behind_a_destroying_one_is_handled(run_app, autojump_clock, plain):
    namespace = App()

    def destroy(doc):
        doc.session_context.destroy()

    async def destroy_later(doc):
        doc.session_context.destroy()

    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Log("first"))
        session.tell_nowait(Call(destroy if plain else destroy_later))
        for number in range(200):
            session.tell_nowait(Log(number))
        session.document.add_next_tick_callback(namespace.last.append, "never")
        await session.wait_destroyed()
        assert namespace.last == [["first"]]


async def test_a_task_of_its_own_handler_counts_as_the_handler(run_app, autojump_clock):
    namespace = App()

    async def destroy_in_a_nursery(doc):
        async def destroy():
            doc.session_context.destroy()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(destroy)
        doc.data["log"].append("kept")

    async with run_app(namespace) as app:
        session = await app.open()
        await session.ask(Call(destroy_in_a_nursery))
        await session.wait_destroyed()
        assert namespace.last == [["kept"]]


async def test_its_background_task_does_not(run_app, autojump_clock):
    namespace = App()

    async def hang(doc):
        doc.data["log"].append("lost")
        doc.session_context.start_soon(doc.session_context.destroy)
        await trio.sleep_forever()

    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Call(hang))
        await session.wait_destroyed()
        assert namespace.last == [[]]


async def test_destroyed_by_its_own_callback_it_keeps_what_that_changed(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()

        def tick():
            session.document.data["log"].append("tick")
            session.destroy()

        session.document.add_periodic_callback(tick, seconds=1)
        await session.wait_destroyed()
        assert namespace.last == [["tick"]]
        assert trio.current_time() == 1


async def test_a_handler_that_destroyed_its_session_and_goes_on_is_ended_by_the_next_who_wants_it(
    run_app, autojump_clock
):
    """A handler must not keep what it has destroyed alive.

    1. A handler destroys its session and then hangs, though the end waits for its return.
    2. Somebody else destroys the session: now the handler is cancelled.
    """
    namespace = App()

    async def destroy_and_hang(doc):
        doc.data["log"].append("lost")
        doc.session_context.destroy(reason="its own")
        await trio.sleep_forever()

    async with run_app(namespace, linger=3600) as app:
        session = await app.open()
        session.tell_nowait(Call(destroy_and_hang))
        await trio.sleep(100)
        assert not session.destroyed
        session.destroy(reason="another")
        await session.wait_destroyed()
        assert trio.current_time() == 100
        assert namespace.last == [[]]
        assert app.recorder.events[-1] == ("destroyed", "s1", "its own")


async def test_nor_does_it_hold_up_the_end_of_the_application_longer_than_any_other(run_app, autojump_clock):
    async def destroy_and_hang(doc):
        doc.session_context.destroy()
        await trio.sleep_forever()

    async with run_app(App()) as app:
        session = await app.open()
        session.tell_nowait(Call(destroy_and_hang))
        await trio.sleep(1)
        assert await app.stop() == app.actor.options.drain_timeout


async def test_a_handler_that_destroys_its_session_and_raises_is_rolled_back_and_the_session_ends(
    run_app, autojump_clock
):
    namespace = App()

    def destroy_and_raise(doc):
        doc.data["log"].append("lost")
        doc.session_context.destroy()
        raise ValueError("mine")

    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        with pytest.raises(ValueError, match="mine"):
            await session.ask(Call(destroy_and_raise))
        await session.wait_destroyed()
        assert namespace.last == [[]]


async def test_after_wait_destroyed_nothing_of_the_session_runs(run_app, autojump_clock, all_tasks, connect):
    """What a session can start, all at once; the proof walks trio's task tree, with no await in between."""

    async def sleep_stubbornly():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)

    async def hang_with_children(doc):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(sleep_stubbornly)

    async def on_session_destroyed(session_context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)

    async with run_app(App(on_session_destroyed=on_session_destroyed)) as app:
        other = await app.open()
        other.start_soon(sleep_stubbornly)
        await trio.testing.wait_all_tasks_blocked()
        before = all_tasks()
        session = await app.open()
        session.start_soon(sleep_stubbornly)
        session.start_soon(session.ask, Call(hang_with_children))
        session.document.add_periodic_callback(print, "never", seconds=10)
        session.document.add_timeout_callback(sleep_stubbornly, seconds=1)
        connect(app, session, closing=3)
        await trio.sleep(1)
        assert len(all_tasks()) > len(before) + 6
        session.destroy()
        await session.wait_destroyed()
        assert all_tasks() == before
        assert len(app.actor.runtime.timers) == 1  # the other's linger timer
        assert trio.current_time() == 4


async def test_a_child_that_raises_while_it_is_cancelled_ends_nobody_else(run_app, autojump_clock):
    """The second guard (FINDINGS, 9).

    1. A handler's child, and a background task, raise in their clean-up when the session is destroyed.
    2. Trio joins that with `Cancelled` to a group, which no `except Exception` catches.
    3. It is reported, with the session's name, and the neighbour and the application never notice.
    """

    async def raise_in_cleanup(error):
        try:
            await trio.sleep_forever()
        finally:
            raise error

    async def hang(doc):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raise_in_cleanup, ValueError("child"))
            await trio.sleep_forever()

    async with run_app(App(), expect_failures=True) as app:
        session, other = await app.open(), await app.open()
        session.start_soon(raise_in_cleanup, SystemExit("background"))
        session.tell_nowait(Call(hang))
        await trio.testing.wait_all_tasks_blocked()
        session.destroy()
        await session.wait_destroyed()
        assert sorted(map(repr, app.recorder.errors)) == ["SystemExit('background')", "ValueError('child')"]
        assert {incident.session for incident in app.recorder.incidents} == {"s1"}
        await other.ask(Call(lambda doc: doc.data["log"].append("alive")))
        assert not app.ended.is_set()


async def test_the_outer_guard_takes_what_is_left_outside_of_the_scope(run_app, autojump_clock):
    """A failure of the loop itself: reported, the session ends with its hooks, and the neighbours live on."""
    namespace = App()
    async with run_app(namespace, expect_failures=True) as app:
        session, other = await app.open(), await app.open()
        mailbox = app.actor.find("s1").mailbox

        class Broken:
            @property
            def counted(self):
                sys.exit("ours")

        mailbox._entries.append(Broken())
        session.tell_nowait(Log("lost"))
        await session.wait_destroyed()
        assert [(incident.what, repr(incident.error)) for incident in app.recorder.incidents] == [
            ("session", "SystemExit('ours')")
        ]
        assert namespace.last == [[]]
        assert not other.destroyed


async def test_a_failure_of_ours_at_the_end_is_reported_and_the_end_is_announced(run_app, autojump_clock):
    async with run_app(App(), expect_failures=True) as app:
        session = await app.open()

        async def fail(session):
            raise RuntimeError("ours")

        app.actor._registry.take_leave = fail
        session.destroy()
        await session.wait_destroyed()
        del app.actor._registry.take_leave
        assert app.recorder.failed_parts == ["end of the session"]


@pytest.mark.parametrize("error", [SystemExit("no"), GeneratorExit("no")], ids=repr)
@pytest.mark.parametrize("late", [False, True], ids=["plain", "async"])
async def test_what_would_end_more_is_a_failure_like_any_other(error, late, run_app, autojump_clock):
    async def fail(doc):
        await trio.sleep(1)
        raise error

    def fail_at_once(doc):
        raise error

    async with run_app(App(), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(fail if late else fail_at_once))
        assert await session.ask(Call(lambda doc: len(doc.data["log"]))) == 0
        assert app.recorder.errors == [error]
        assert app.recorder.incidents[0].what == "message Call"


async def test_asks_that_wait_fail_at_once_and_tells_are_dead_letters(run_app, autojump_clock):
    """The end of an actor with a full mailbox.

    1. A handler hangs; one ask and one tell are queued, one tell and one ask wait for room.
    2. The session is destroyed.
    3. The asks raise, the tell that waited returns, both tells are dead letters.
    """
    outcomes = []

    async def hang(doc):
        await trio.sleep_forever()

    async with run_app(App(), mailbox_capacity=2) as app:
        session = await app.open()
        session.tell_nowait(Call(hang))
        await trio.testing.wait_all_tasks_blocked()

        async def ask(name):
            with pytest.raises(SessionGone, match="session s1 has ended"):
                await session.ask(Log(name))
            outcomes.append(name)

        async def tell(name):
            await session.tell(Log(name))
            outcomes.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "queued ask")
            await trio.testing.wait_all_tasks_blocked()
            await session.tell(Log("queued tell"))
            nursery.start_soon(tell, "waiting tell")
            nursery.start_soon(ask, "waiting ask")
            await trio.testing.wait_all_tasks_blocked()
            assert session.statistics().waiting_for_room == 2
            session.destroy()
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(outcomes) == ["queued ask", "waiting ask", "waiting tell"]
        assert {message.text for message in app.recorder.dead_letters} == {"queued tell", "waiting tell"}


async def test_what_comes_for_a_session_that_has_ended_is_a_dead_letter(run_app, autojump_clock):
    async with run_app(App()) as app:
        session = await app.open()
        session.destroy()
        await session.wait_destroyed()
        await session.tell(Log(1))
        session.tell_nowait(Log(2))
        with pytest.raises(SessionGone):
            await session.ask(Log(3))
        session.document.add_callback(print)
        session.start_soon(print, "never")
        assert app.actor.statistics().sessions.dead_letters == 5
        assert len(app.recorder.dead_letters) == 5


async def test_the_destroyed_hook_holds_the_document_and_what_it_changes_goes_to_nobody(run_app, autojump_clock):
    heard = []

    class Audience:
        def committed(self, patch):
            heard.append(patch)

    def on_session_destroyed(session_context):
        session_context.document.data["log"].append("farewell")
        session_context.document.commit()

    async with run_app(App(on_session_destroyed=on_session_destroyed)) as app:
        session = await app.open()
        app.actor.find("s1").audience = Audience()
        session.destroy()
        await session.wait_destroyed()
        assert heard == []


async def test_waiting_for_ones_own_end_is_a_circle(run_app, autojump_clock):
    circle = "session s1 → session s1"

    async def wait(doc):
        with pytest.raises(DeadlockError, match=circle):
            await doc.session_context.wait_destroyed()
        doc.session_context.destroy()
        with pytest.raises(DeadlockError, match=circle):
            await doc.session_context.wait_destroyed()

    hooks = []

    async def on_session_created(session_context):
        with pytest.raises(DeadlockError, match=circle):
            await session_context.wait_destroyed()
        hooks.append("created")

    async def on_session_destroyed(session_context):
        with pytest.raises(DeadlockError, match=circle):
            await session_context.wait_destroyed()
        hooks.append("destroyed")

    async with run_app(
        App() | {"on_session_created": on_session_created, "on_session_destroyed": on_session_destroyed}
    ) as app:
        session = await app.open()
        async with session.locked_document():
            with pytest.raises(DeadlockError, match=circle):
                await session.wait_destroyed()
        await session.ask(Call(wait))
        await session.wait_destroyed()
        assert hooks == ["created", "destroyed"]


async def test_a_circle_of_asks_is_refused_in_words(run_app, autojump_clock):
    """s1 asks s2, whose handler asks s1."""
    async with run_app(App(), expect_failures=True) as app:
        one, two = await app.open(), await app.open()
        with pytest.raises(DeadlockError, match="session s2 → session s1 → session s2"):
            await one.ask(Call(lambda doc: two.ask(Call(lambda doc: one.ask(Log("never"))))))
        assert trio.current_time() == 0


async def test_two_destroyed_hooks_that_wait_for_each_others_end(run_app, autojump_clock):
    """A circle of ends.

    1. Both sessions are destroyed; the first one's hook waits for the second's end.
    2. The second one's hook would wait for the first's: refused, reported, and both end.
    """
    sessions = []

    async def on_session_destroyed(session_context):
        (other,) = [session for session in sessions if session is not session_context]
        await other.wait_destroyed()

    async with run_app(App(on_session_destroyed=on_session_destroyed), expect_failures=True) as app:
        sessions += [await app.open(), await app.open()]
        for session in list(sessions):
            session.destroy()
        for session in sessions:
            await session.wait_destroyed()
        assert trio.current_time() == 0
        (error,) = app.recorder.errors
        assert re.search(r"session (s\d) → session s\d → session \1", str(error))


async def test_a_full_mailbox_told_by_its_own_handler_is_a_circle(run_app, autojump_clock):
    async def tell_itself(doc):
        session = doc.session_context
        session.tell_nowait(Log("fills it"))
        with pytest.raises(DeadlockError, match="session s1 → session s1"):
            await session.tell(Log("no room"))

    async with run_app(App(), mailbox_capacity=1) as app:
        session = await app.open()
        await session.ask(Call(tell_itself))


async def test_background_tasks_are_accused_of_nothing(run_app, autojump_clock):
    """Everything that would be a circle from a handler is none from a background task that the handler started."""
    done = []

    async def everything(session):
        await session.ask(Log("asked"))
        async with session.locked_document() as doc:
            doc.data["log"].append("borrowed")
        await session.tell(Log("told"))
        await application.update_sessions(lambda doc: doc.data["log"].append("updated"))
        await application.broadcast(Log("broadcast"))
        done.append(await session.ask(Call(lambda doc: list(doc.data["log"]))))

    async def start(doc):
        doc.session_context.start_soon(everything, doc.session_context)
        await trio.sleep(1)

    async with run_app(App()) as app:
        application = app.context
        session = await app.open()
        await session.ask(Call(start))
        await trio.testing.wait_all_tasks_blocked()
        assert done == [["asked", "borrowed", "told", "updated", "broadcast"]]


async def test_background_tasks_are_plain_or_async_and_their_failures_end_nothing(run_app, autojump_clock):
    calls = []

    async def fail():
        await trio.sleep(1)
        raise ValueError("mine")

    async with run_app(App(), expect_failures=True) as app:
        session = await app.open()
        session.start_soon(calls.append, "plain")
        session.start_soon(lambda: fail())
        await trio.sleep(2)
        assert calls == ["plain"]
        (incident,) = app.recorder.incidents
        assert "background task" in incident.what
        assert (incident.session, repr(incident.error)) == ("s1", "ValueError('mine')")
        assert not session.destroyed


async def test_a_background_task_that_had_not_begun_at_the_end_never_begins(run_app, autojump_clock):
    calls = []
    async with run_app(App()) as app:
        session = await app.open()
        session.start_soon(calls.append, "never")
        session.destroy()
        await session.wait_destroyed()
        assert calls == []


async def test_a_failure_leaves_the_document_as_it_was_and_the_session_goes_on(run_app, autojump_clock):
    def fail(doc):
        doc.data["log"].append("lost")
        doc.data["new"] = {}
        raise ValueError("mine")

    async with run_app(App(), expect_failures=True) as app:
        session = await app.open()
        revision = session.document.revision
        for _ in range(3):
            with pytest.raises(ValueError, match="mine"):
                await session.ask(Call(fail))
        async with session.locked_document() as doc:
            assert doc.data == {"log": []}
        assert session.document.revision == revision
        assert app.actor.find("s1").statistics().failures == 3


async def test_a_cancelled_ask_cancels_its_handler_and_rolls_back_but_for_what_was_committed(run_app, autojump_clock):
    async def commit_and_hang(doc):
        doc.data["log"].append("kept")
        doc.commit()
        doc.data["log"].append("lost")
        await trio.sleep_forever()

    async with run_app(App()) as app:
        session = await app.open()
        with pytest.raises(trio.TooSlowError):
            await session.ask(Call(commit_and_hang), timeout=1)
        async with session.locked_document() as doc:
            assert doc.data["log"] == ["kept"]


async def test_a_commit_is_for_who_holds_the_document(run_app, autojump_clock):
    async with run_app(App()) as app:
        session = await app.open()
        with pytest.raises(DocumentNotHeld):
            session.document.commit()


async def test_destroying_many_sessions_from_one_hook(run_app, autojump_clock):
    """One session's destroyed hook destroys all others; each has its own hook exactly once."""
    ended = []

    def on_session_destroyed(session_context):
        ended.append(session_context.id)
        for other in application.sessions:
            other.destroy()

    async with run_app(App(on_session_destroyed=on_session_destroyed)) as app:
        application = app.context
        sessions = [await app.open() for _ in range(5)]
        sessions[2].destroy()
        for session in sessions:
            await session.wait_destroyed()
        assert sorted(ended) == ["s1", "s2", "s3", "s4", "s5"]
        assert ended[0] == "s3"


async def test_what_is_delivered_for_a_connection_waits_for_room_and_is_dropped_at_the_end(run_app, autojump_clock):
    """An entry that is put into the mailbox by hand.

    1. The mailbox is full: the delivery waits for room, and gets it; it is handled like any other.
    2. A delivery that is cancelled while it waits was not made.
    3. The session ends while one waits, and one comes later: both are dropped.
    """
    calls = []

    class Delivery(Entry):
        def __init__(self, name):
            self.name = name

        def start(self, actor):
            calls.append(("handled", self.name))

        def dropped(self):
            calls.append(("dropped", self.name))

    async with run_app(App(), mailbox_capacity=1) as app:
        session = await app.open()
        actor = app.actor.find("s1")
        async with trio.open_nursery() as nursery:
            async with session.locked_document():
                await actor.deliver(Delivery("with room"))
                nursery.start_soon(actor.deliver, Delivery("without room"))
                await trio.testing.wait_all_tasks_blocked()
                with trio.move_on_after(1) as scope:
                    await actor.deliver(Delivery("cancelled"))
                assert scope.cancelled_caught
                assert session.statistics().waiting_for_room == 1
        await trio.testing.wait_all_tasks_blocked()
        assert calls == [("handled", "with room"), ("handled", "without room")]
        async with trio.open_nursery() as nursery:
            async with session.locked_document():
                session.tell_nowait(Log("filler"))
                nursery.start_soon(actor.deliver, Delivery("at the end"))
                await trio.testing.wait_all_tasks_blocked()
                session.destroy()
        await actor.deliver(Delivery("after it"))
        assert calls[2:] == [("dropped", "at the end"), ("dropped", "after it")]


async def test_a_keyboard_interrupt_passes_every_guard_and_other_sessions_end_in_order(run_app, autojump_clock):
    """It belongs to whoever runs trio: here it ends the application, and the other hooks still run exactly once."""
    ended = []

    def on_session_destroyed(session_context):
        ended.append(session_context.id)
        if session_context.id == "s1":
            raise KeyboardInterrupt

    with pytest.raises(BaseExceptionGroup) as raised:
        async with run_app(App(on_session_destroyed=on_session_destroyed)) as app:
            session, _ = await app.open(), await app.open()
            session.destroy()
            await trio.sleep_forever()
    assert isinstance(unwrap(raised.value), KeyboardInterrupt)
    assert ended == ["s1", "s2"]
    assert app.recorder.incidents == []


async def test_a_handler_that_waits_for_several_is_found_through_each_of_its_children(run_app, autojump_clock):
    """One handler, two waits at once, one of which closes a circle.

    1. The handler of s1 asks s2 and s3, each in a child task.
    2. The handler of s3 asks s1, which waits for it through the second child: refused at once.
    3. The handler of s2, which asks nobody, answers.
    """
    answers = []

    async def ask(session, func):
        answers.append(await session.ask(Call(func)))

    async def ask_back(doc):
        with pytest.raises(DeadlockError, match="session s3 → session s1 → session s3"):
            await one.ask(Log("never"))
        return "refused"

    async def wait(doc):
        await trio.sleep(1)
        return "answered"

    async def ask_both(doc):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, two, wait)
            nursery.start_soon(ask, three, ask_back)

    async with run_app(App()) as app:
        one, two, three = [await app.open() for _ in range(3)]
        await one.ask(Call(ask_both))
    assert answers == ["refused", "answered"]
