"""A restart: what goes on, what ends, who waits, and how many there may be."""

import random

import pytest
import trio
import trio.testing

from supervisor.actor.base import Runtime
from supervisor.actor.guard import unwrap
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.handlers import Application
from supervisor.protocol.events import Restarting, Snapshotted
from supervisor.session.receivers import receives

from .failing import PAUSE, RESTART, App, Break, Call, Fail, Log, Restart, listen, log_of


async def test_a_restart_begins_with_what_the_created_hooks_left_and_shows_it_at_once_in_a_new_epoch(
    run_app, autojump_clock
):
    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        heard = listen(app, session)
        before = session.document
        session.tell_nowait(Call(lambda doc: doc.data["by hook"].append("more")))
        session.tell_nowait(Log("gone"))
        session.tell_nowait(Break())
        session.tell_nowait(Log("after"))
        await trio.sleep(2)
        new = ("epoch2", 5, b'{"by hook":["made"],"log":[]}', ())
        assert heard == [3, 4, ("restarting", 1.0), new, 6]
        assert await log_of(session) == ["after"]
        assert session.document is before
        assert before.revision == 6
        assert session.restarts == 1
        assert ("restarted", "s1", app.recorder.incidents[0].id) in app.recorder.events


async def test_an_application_that_builds_nothing_is_restarted_too(supervise):
    """The revision rises, since clients take a snapshot in another epoch that isn't above theirs for an error."""
    async with supervise(Application([], name="app", failure_policy=RESTART)) as app:
        session = await app.new_session()
        client = await session.connect()
        await session.crash()
        await app.settle()
        assert [type(event) for event in client.received[-2:]] == [Restarting, Snapshotted]
        assert (client.status, client.revision, app.sessions[0].restarts) == ("live", 1, 1)


async def test_nobody_sees_the_new_document_before_it_is_complete(run_app, autojump_clock):
    """Commits of `modify_document` too, and what clients may edit, come with the snapshot."""

    async def modify_document(doc):
        doc.allow_edits("/notes")
        doc.data["log"] = []
        doc.commit()
        await trio.sleep(1)
        doc.allow_edits("/more")

    async with run_app(App(RESTART, modify_document=modify_document), expect_failures=True) as app:
        session = await app.open()
        heard, actor = listen(app, session), app.actor.find("s1")
        session.tell_nowait(Call(lambda doc: doc.allow_edits("/by handler")))
        session.tell_nowait(Break())
        await trio.sleep(1.5)
        assert heard == [("/notes", "/more", "/by handler"), ("restarting", 1.0)]
        assert actor.stored.revision == session.document.revision == 2
        assert actor.epoch == "epoch1"
        await trio.sleep(1)
        assert heard[2:] == [("epoch2", 3, b'{"by hook":["made"],"log":[]}', ("/notes", "/more"))]


async def test_what_waits_in_the_mailbox_stays_in_order_and_nothing_is_handled_before(run_app, autojump_clock):
    """Messages, a borrow, an ask and a broadcast that waits for room, around a restart.

    1. A handler fails; behind it the mailbox is full, and a broadcast waits for room.
    2. During the pause nothing is handled, and the broadcast lags by its own deadline.
    3. After the restart all is handled in order.
    """
    order = []

    @receives(Log)
    def on_log(doc, message):
        order.append((message.text, trio.current_time()))

    async def borrow(session):
        async with session.locked_document():
            order.append(("borrow", trio.current_time()))

    policy = FailurePolicy(directive="restart", backoff=Backoff(first=10, jitter=0))
    async with run_app(App(policy, on_log=on_log), expect_failures=True, mailbox_capacity=4) as app:
        session, other = await app.open(), await app.open()
        async with trio.open_nursery() as nursery:
            session.tell_nowait(Break())
            session.tell_nowait(Log("first"))
            nursery.start_soon(borrow, session)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(session.ask, Log("second"))
            await trio.testing.wait_all_tasks_blocked()
            session.tell_nowait(Log("third"))
            await trio.testing.wait_all_tasks_blocked()
            report = await app.context.broadcast(Log("broadcast"))
            assert report.lagged == (session,)
            assert report.accepted == (other,)
            assert session.statistics().counted == 4
        await trio.testing.wait_all_tasks_blocked()
        assert order == [("broadcast", 0), ("first", 10), ("borrow", 10), ("second", 10), ("third", 10)]


async def test_a_broadcast_that_waits_for_room_gets_it_after_a_short_restart(run_app, autojump_clock):
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=0.5, jitter=0))
    async with run_app(App(policy), expect_failures=True, mailbox_capacity=1) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await trio.testing.wait_all_tasks_blocked()
        session.tell_nowait(Log("first"))
        report = await app.context.broadcast(Log("second"))
        assert report.accepted == (session,)
        assert await log_of(session) == ["first", "second"]
        assert trio.current_time() == 0.5


async def test_what_came_after_the_created_hooks_ends_and_what_they_began_goes_on(run_app, autojump_clock):
    told = []

    def tell(text):
        told.append((text, trio.current_time()))

    async def tick(name):
        try:
            while True:
                await trio.sleep(1)
                tell(name)
        finally:
            tell(f"{name} ended")

    def on_session_created(session_context):
        document = session_context.document
        document.data["log"] = []
        document.add_periodic_callback(tell, "hook's timer", seconds=10)
        document.on_change("", lambda doc, change: tell(("hook's listener", change.operations)))
        document.allow_edits("/by hook")
        session_context.start_soon(tick, "hook's task")

    def modify_document(doc):
        doc.add_periodic_callback(tell, "timer", seconds=10)
        doc.session_context.start_soon(tick, "task")

    namespace = App(RESTART, on_session_created=on_session_created, modify_document=modify_document)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        heard = listen(app, session)
        session.document.add_periodic_callback(tell, "other timer", seconds=0.3)
        session.document.add_timeout_callback(tell, "timeout", seconds=1.2)
        session.document.on_change("/log", lambda doc, change: tell("listener"))
        session.document.allow_edits("/later")
        session.tell_nowait(Break())
        await trio.testing.wait_all_tasks_blocked()
        session.document.add_next_tick_callback(tell, "of the new life")
        await trio.sleep(2.5)
        texts = [text for text, _ in told]
        assert "task ended" in texts
        assert "hook's task ended" not in texts
        assert not {"other timer", "timeout", "listener"} & set(texts)
        assert ("hook's listener", ()) in texts
        assert "of the new life" in texts
        assert heard[-1][-1] == ("/by hook",)
        told.clear()
        await trio.sleep(11)
        counts = {name: [text for text, _ in told].count(name) for name in ("timer", "hook's timer", "task")}
        assert counts == {"timer": 1, "hook's timer": 1, "task": 11}


async def test_a_callback_whose_tick_was_queued_behind_the_failure_never_fires(run_app, autojump_clock):
    fired = []

    def fail_with_a_tick_behind(doc):
        doc.add_next_tick_callback(fired.append, "never")
        raise Fail

    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(fail_with_a_tick_behind))
        await trio.sleep(5)
        assert fired == []
        assert session.restarts == 1


async def test_a_task_that_does_not_end_holds_a_restart_up_for_five_seconds_and_is_reported(run_app, autojump_clock):
    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        session.start_soon(stubborn)
        await trio.testing.wait_all_tasks_blocked()
        session.tell_nowait(Break())
        await trio.sleep(5.9)
        assert session.restarts == 0
        await trio.sleep(0.2)
        assert session.restarts == 1
        assert "stubborn" in str(app.recorder.errors[-1])
        session.destroy()


async def test_connections_stay_attached_and_closed_hooks_dont_run(run_app, autojump_clock, connect):
    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        connection = connect(app, session)
        session.tell_nowait(Break())
        await trio.sleep(2)
        assert session.restarts == 1
        assert session.connections == (connection.context,)
        assert connection.ending is None
        connection.end(None)
        await trio.sleep(1)


async def test_a_connection_may_come_and_go_during_the_pause(run_app, autojump_clock, connect):
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=10, jitter=0))
    async with run_app(App(policy), expect_failures=True, linger=5, first_attach=5) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await trio.sleep(1)
        connection = connect(app, session)
        await trio.sleep(1)
        connection.end(None)
        await trio.sleep(4)
        assert not session.destroyed
        await session.wait_destroyed()
        assert trio.current_time() == 7
        assert session.restarts == 0


async def test_the_pause_grows_and_the_last_one_is_one_too_many(run_app, autojump_clock):
    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True, linger=100, first_attach=100) as app:
        session = await app.open()
        for restarts, at in ((1, 1), (2, 3), (3, 7)):
            session.tell_nowait(Break())
            assert await log_of(session) == []
            assert (session.restarts, trio.current_time()) == (restarts, at)
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert trio.current_time() == 7
        assert [incident.decision for incident in app.recorder.incidents] == [
            "restarted 1 of 3 within 60 s",
            "restarted 2 of 3 within 60 s",
            "restarted 3 of 3 within 60 s",
            "stopped after 3 restarts within 60 s",
        ]
        assert namespace.story[-2:] == ["failed Break", "destroyed"]


async def test_the_budget_of_one_session_is_no_others(run_app, autojump_clock):
    policy = FailurePolicy(directive="restart", max_restarts=1, backoff=Backoff(first=0, jitter=0))
    async with run_app(App(policy), expect_failures=True) as app:
        sessions = [await app.open() for _ in range(10)]
        for session in sessions:
            session.tell_nowait(Break())
            assert await log_of(session) == []
        assert [session.restarts for session in sessions] == [1] * 10


async def test_chance_comes_from_the_runtime(run_app, autojump_clock, recorder):
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=1, jitter=0.5))
    runtime = Runtime(instruments=recorder, random=lambda: 1.0)
    async with run_app(App(policy), runtime=runtime, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await log_of(session)
        assert trio.current_time() == 1.5
    assert Runtime().random is random.random


async def test_a_failing_modify_document_is_one_more_failure(run_app, autojump_clock):
    """The old document is shown still; the next restart builds anew; the failed hook hears of each."""
    attempts = []

    def modify_document(doc):
        doc.data["log"] = []
        attempts.append(trio.current_time())
        if len(attempts) in (2, 3):
            doc.data["half"] = "made"
            doc.commit()
            raise Fail("built")

    namespace = App(modify_document=modify_document)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Log("old"))
        session.tell_nowait(Restart())
        await trio.sleep(0.11)
        actor = app.actor.find("s1")
        assert b"half" not in actor.stored.snapshot()
        assert b"old" in actor.stored.snapshot()
        assert await log_of(session) == []
        assert session.restarts == 1
        assert len(attempts) == 4
        assert [incident.decision for incident in app.recorder.incidents] == [
            f"restarted {count} of 3 within 60 s" for count in (1, 2, 3)
        ]
        assert [incident.what for incident in app.recorder.incidents] == [
            "message Restart",
            *["modify_document of a restart"] * 2,
        ]
        assert namespace.story == ["created", "failed Restart", "failed built", "failed built"]


async def test_an_interrupt_while_it_builds_passes_and_what_failed_with_it_restarts_nothing(
    run_app, autojump_clock, recorder
):
    attempts = []

    def modify_document(doc):
        attempts.append(doc)
        if len(attempts) > 1:
            raise BaseExceptionGroup("both", [Fail("built"), KeyboardInterrupt()])

    with pytest.raises(BaseExceptionGroup) as raised:
        async with run_app(App(RESTART, modify_document=modify_document), expect_failures=True) as app:
            (await app.open()).tell_nowait(Break())
            await trio.sleep(5)
    assert isinstance(unwrap(raised.value), KeyboardInterrupt)
    first, second = recorder.incidents
    assert (first.decision, second.decision) == ("restarted 1 of 3 within 60 s", "the session ends")


async def test_a_modify_document_that_always_fails_stops_the_session(run_app, autojump_clock):
    attempts = []

    def modify_document(doc):
        attempts.append(1)
        if len(attempts) > 1:
            raise Fail("built")

    namespace = App(RESTART, modify_document=modify_document)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(lambda doc: doc.data.clear()))
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert len(attempts) == 1 + 3
        assert namespace.story[-1] == "destroyed"


async def test_a_restart_waits_for_its_turn_to_build_and_never_fails_by_others_slowness(run_app, autojump_clock):
    """Many sessions that restart together build no more documents at once than many visitors would have built."""
    at_once, most = 0, 0

    async def modify_document(doc):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(1)
        at_once -= 1
        doc.data["log"] = []

    policy = FailurePolicy(directive="restart", backoff=Backoff(first=0, jitter=0))
    namespace = App(policy, modify_document=modify_document)
    options = {"max_creating": 2, "creating_timeout": 3.5, "linger": 100, "first_attach": 100}
    async with run_app(namespace, expect_failures=True, **options) as app:
        sessions = [await app.open() for _ in range(10)]
        for session in sessions:
            session.tell_nowait(Break())
        await trio.sleep(0.5)
        assert [wait.doing for wait in app.context.waits] == ["its turn to build a document"] * 8
        await trio.sleep(20)
        assert most == 2
        assert [session.restarts for session in sessions] == [1] * 10
        assert {type(error) for error in app.recorder.errors} == {Fail}


async def test_failures_that_come_together_cost_one_restart(run_app, autojump_clock):
    def fail():
        raise Fail("task")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        for _ in range(3):
            session.start_soon(fail)
        await trio.sleep(5)
        assert session.restarts == 1
        assert namespace.story == ["created", "modify", *["failed task"] * 3, "modify"]
        assert [event for event in app.recorder.events if event[0] == "restarted"] == [
            ("restarted", "s1", app.recorder.incidents[0].id)
        ]


async def test_a_restart_names_the_failure_that_led_to_it_and_not_one_that_is_resumed(run_app, autojump_clock):
    """1. A restart is due. 2. The failed hook is told first, and takes its time. 3. What fails meanwhile is resumed."""

    async def fail():
        await trio.sleep(0.5)
        raise Fail("task")

    async def on_session_failed(session_context, error):
        await trio.sleep(1)

    async with run_app(App(on_session_failed=on_session_failed), expect_failures=True) as app:
        session = await app.open()
        session.start_soon(fail)
        session.tell_nowait(Restart())
        await trio.sleep(5)
        first, second = app.recorder.incidents
        assert (str(first.error), str(second.error)) == ("Restart", "task")
        assert ("restarted", "s1", first.id) in app.recorder.events


async def test_however_many_failures_wait_they_take_one_place_in_the_mailbox(run_app, autojump_clock):
    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        mailbox = app.actor.find("s1").mailbox
        for restarts in range(2):
            for _ in range(3):
                app.actor.find("s1").report_supervised("it", Fail())
            turn = mailbox.take()
            assert mailbox.is_empty()
            mailbox.put_system(turn)
            await trio.sleep(5)
            assert session.restarts == restarts + 1


async def test_an_app_without_a_failed_hook_is_restarted_too(run_app, autojump_clock):
    namespace = App(RESTART)
    del namespace["on_session_failed"]
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        assert await log_of(session) == []
        assert session.restarts == 1


async def test_what_is_worse_counts_though_a_restart_is_under_way(run_app, autojump_clock):
    def fail():
        raise Fail("task")

    namespace = App(FailurePolicy(directive="stop", backoff=PAUSE))
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Restart())
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(fail)
        await session.wait_destroyed()
        assert session.restarts == 0
        assert namespace.story == ["created", "modify", "failed Restart", "failed task", "destroyed"]


async def test_a_document_that_a_restart_makes_too_large_is_one_more_failure(run_app, autojump_clock):
    builds = []

    def modify_document(doc):
        doc.data["log"] = []
        builds.append(1)
        if len(builds) == 2:
            doc.data["text"] = "x" * 2000

    namespace = App(RESTART, modify_document=modify_document)
    async with run_app(namespace, expect_failures=True, max_document_size=1024) as app:
        session = await app.open()
        session.tell_nowait(Break())
        assert await log_of(session) == []
        assert session.restarts == 1
        assert len(builds) == 3
        assert app.recorder.incidents[1].what == "modify_document of a restart"
