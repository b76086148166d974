"""What a session does about its failures. The races open with their steps."""

import random

import pytest
import trio
import trio.testing

from supervisor.actor.base import Runtime
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.errors import Rejected
from supervisor.instruments import Incident
from supervisor.session.actor import RESTARTING
from supervisor.session.connection import ConnectionContext
from supervisor.session.receivers import receives
from supervisor.session.request import Request
from supervisor.session.restarting import MAX_UNTOLD

PAUSE = Backoff(first=1, longest=60, jitter=0)
RESTART = FailurePolicy(directive="restart", backoff=PAUSE)


class Call:
    """Makes the handler call `func(doc)`, plain or async."""

    def __init__(self, func):
        self.func = func

    def __repr__(self):
        return "Call(…)"


class Fail(Exception):
    pass


class Log:
    def __init__(self, text):
        self.text = text


class Break:
    """Its handler raises."""


class Stop(Break):
    pass


class Restart(Break):
    pass


@receives(Call)
def on_call(doc, message):
    return message.func(doc)


@receives(Log)
def on_log(doc, message):
    doc.data["log"].append(message.text)


@receives(Break)
@receives(Stop, on_failure="stop")
@receives(Restart, on_failure="restart")
def on_break(doc, message):
    doc.data["log"].append("lost")
    raise Fail(type(message).__name__)


class App(dict):
    """A namespace that tells the story of its session."""

    def __init__(self, policy=None, **more):
        super().__init__(on_call=on_call, on_log=on_log, on_break=on_break, failure_policy=policy)
        self.story = story = []

        def on_session_created(session_context):
            story.append("created")
            session_context.document.data["by hook"] = ["made"]

        def modify_document(doc):
            story.append("modify")
            doc.data["log"] = []

        def on_session_failed(session_context, error):
            story.append(f"failed {error}")

        def on_session_destroyed(session_context):
            story.append("destroyed")

        self.update(
            on_session_created=on_session_created,
            modify_document=modify_document,
            on_session_failed=on_session_failed,
            on_session_destroyed=on_session_destroyed,
        )
        self.update(more)


class Audience:
    """Hears what a session shows."""

    def __init__(self, session):
        self.session = session
        self.heard = []

    def committed(self, patch):
        self.heard.append(patch.revision)

    def editable(self, patterns):
        self.heard.append(patterns)

    def renewed(self, patterns):
        self.heard.append((self.session.epoch, self.session.stored.revision, self.session.stored.snapshot(), patterns))


def listen(app, session):
    actor = app.actor.find(session.id)
    actor.audience = Audience(actor)
    return actor.audience.heard


async def log_of(session):
    async with session.locked_document() as doc:
        return list(doc.data["log"])


# Directives.


async def test_by_default_a_session_goes_on_from_the_document_before_the_message(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        await session.ask(Log("kept"))
        with pytest.raises(Fail):
            await session.ask(Break())
        assert await log_of(session) == ["kept"]
        assert namespace.story == ["created", "modify", "failed Break"]
        assert session.restarts == 0
        assert trio.current_time() == 0


async def test_stop_destroys_the_session_after_the_asker_has_its_error(run_app, autojump_clock, connect):
    namespace = App()
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        connection = connect(app, session)
        with pytest.raises(Fail):
            await session.ask(Stop())
        await session.wait_destroyed()
        (incident,) = app.recorder.incidents
        assert namespace.story == ["created", "modify", "failed Stop", "destroyed"]
        assert connection.ending.kind == "destroyed"
        assert connection.ending.reason == f"The session has failed and was stopped (incident {incident.id})."
        assert incident.decision == "stopped"


async def test_the_policy_is_the_applications_and_a_type_of_message_may_have_its_own(run_app, autojump_clock):
    async with run_app(App(FailurePolicy(directive="stop")), expect_failures=True) as app:
        session, other = await app.open(), await app.open()
        with pytest.raises(Fail):
            await session.ask(Restart())
        await trio.sleep(1)
        assert session.restarts == 1
        with pytest.raises(Fail):
            await other.ask(Break())
        await other.wait_destroyed()
        assert not session.destroyed


async def test_escalation_goes_to_the_application_and_the_session_ends(run_app, autojump_clock):
    escalated = []
    async with run_app(App(FailurePolicy(directive="escalate")), expect_failures=True) as app:
        app.actor._registry._on_escalation = escalated.append
        session, other = await app.open(), await app.open()
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert escalated == app.recorder.incidents
        assert escalated[0].decision == "escalated"
        assert not other.destroyed


async def test_an_escalation_that_fails_leaves_nothing_undone(run_app, autojump_clock):
    def fail(incident):
        raise RuntimeError("ours")

    async with run_app(App(FailurePolicy(directive="escalate")), expect_failures=True) as app:
        app.actor._registry._on_escalation = fail
        session = await app.open()
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert [incident.what for incident in app.recorder.incidents] == ["message Break", "restart"]


async def test_a_no_is_no_failure(run_app, autojump_clock):
    def refuse(doc):
        raise Rejected("no")

    namespace = App(RESTART)
    async with run_app(namespace) as app:
        session = await app.open()
        with pytest.raises(Rejected):
            await session.ask(Call(refuse))
        assert namespace.story == ["created", "modify"]
        assert session.last_incident is None


async def test_the_failure_of_a_borrow_or_an_update_is_its_callers(run_app, autojump_clock):
    """Always resumed, and the failed hook doesn't hear of it; of an update the log does."""

    def fail(doc):
        raise Fail

    namespace = App(FailurePolicy(directive="stop"))
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        with pytest.raises(Fail):
            await session.with_locked_document(fail)
        report = await app.context.update_sessions(fail)
        assert list(report.failed) == [session]
        (incident,) = app.recorder.incidents
        assert incident.decision == ""
        assert not session.destroyed
        assert namespace.story == ["created", "modify"]


def by_callback(session, fail):
    session.document.add_next_tick_callback(fail)


def by_timer(session, fail):
    session.document.add_timeout_callback(fail, seconds=1)


def by_listener(session, fail):
    session.document.on_change("/log", lambda doc, change: fail())
    session.tell_nowait(Log("changed"))


def by_task(session, fail):
    session.start_soon(fail)


@pytest.mark.parametrize("cause", [by_callback, by_timer, by_listener, by_task])
async def test_whatever_of_the_sessions_code_fails_the_policy_counts(run_app, autojump_clock, cause):
    def fail():
        raise Fail("it")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        cause(session, fail)
        await trio.sleep(3)
        assert session.restarts == 1
        assert namespace.story == ["created", "modify", "failed it", "modify"]


@pytest.mark.parametrize("hook", ["on_connection_opened", "on_connection_closed"])
async def test_the_hooks_of_connections_too(run_app, autojump_clock, hook):
    def fail(session_context, connection):
        raise Fail("it")

    namespace = App(RESTART, **{hook: fail})
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        connection = ConnectionContext(id="c", request=Request())
        actor = app.actor.find("s1")
        try:
            await actor.let_in(connection)
        except Exception:
            assert hook == "on_connection_opened"
        else:
            actor.depart(connection)
        await trio.sleep(3)
        assert session.restarts == 1
        assert namespace.story == ["created", "modify", "failed it", "modify"]


# A restart.


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
        assert heard == [3, 4, ("epoch2", 5, b'{"by hook":["made"],"log":[]}', ()), 6]
        assert await log_of(session) == ["after"]
        assert session.document is before
        assert before.revision == 6
        assert session.restarts == 1
        assert ("restarted", "s1", app.recorder.incidents[0].id) in app.recorder.events


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
        assert heard == [("/notes", "/more", "/by handler")]
        assert actor.stored.revision == session.document.revision == 2
        assert actor.epoch == "epoch1"
        await trio.sleep(1)
        assert heard[1:] == [("epoch2", 3, b'{"by hook":["made"],"log":[]}', ("/notes", "/more"))]


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


# The failed hook.


async def test_the_failed_hook_is_a_transaction_of_its_own_after_the_rollback(run_app, autojump_clock):
    def on_session_failed(session_context, error):
        session_context.document.data["log"].append(f"told of {error}")

    async with run_app(App(on_session_failed=on_session_failed), expect_failures=True) as app:
        session = await app.open()
        heard = listen(app, session)
        session.tell_nowait(Break())
        session.tell_nowait(Log("next"))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [3, 4]
        assert await log_of(session) == ["told of Break", "next"]


async def test_what_the_failed_hook_raises_is_only_reported(run_app, autojump_clock):
    def on_session_failed(session_context, error):
        session_context.document.data["log"].append("lost")
        raise Fail("hook")

    async with run_app(App(RESTART, on_session_failed=on_session_failed), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await trio.sleep(3)
        assert session.restarts == 1
        assert [(incident.what, incident.decision) for incident in app.recorder.incidents] == [
            ("message Break", "restarted 1 of 3 within 60 s"),
            ("on_session_failed", ""),
        ]
        assert session.last_incident is app.recorder.incidents[0]


async def test_a_failed_hook_has_a_deadline(run_app, autojump_clock):
    async def on_session_failed(session_context, error):
        await trio.sleep_forever()

    namespace = App(on_session_failed=on_session_failed)
    async with run_app(namespace, expect_failures=True, hook_timeout=4) as app:
        session = await app.open()
        session.tell_nowait(Break())
        assert await log_of(session) == []
        assert trio.current_time() == 4
        assert isinstance(app.recorder.errors[1], trio.TooSlowError)


async def test_it_hears_of_each_failure_once_also_if_the_session_ends_first(run_app, autojump_clock):
    """A failure whose hook had no turn yet.

    1. A handler hangs; a background task fails meanwhile, so its failed hook has to wait.
    2. The session is destroyed.
    3. The failed hook runs, and then the destroyed hook.
    """

    async def hang(doc):
        await trio.sleep_forever()

    def fail():
        raise Fail("task")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(hang))
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(fail)
        await trio.testing.wait_all_tasks_blocked()
        session.destroy()
        await session.wait_destroyed()
        assert namespace.story == ["created", "modify", "failed task", "destroyed"]


async def test_it_hears_of_what_fails_while_the_session_ends(run_app, autojump_clock):
    async def fail_at_the_end():
        try:
            await trio.sleep_forever()
        finally:
            raise Fail("cleanup")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.start_soon(fail_at_the_end)
        await trio.testing.wait_all_tasks_blocked()
        session.destroy()
        await session.wait_destroyed()
        assert namespace.story == ["created", "modify", "failed cleanup", "destroyed"]
        assert app.recorder.incidents[0].decision == "the session ends"


async def test_the_failures_that_wait_for_it_are_bounded(run_app, autojump_clock):
    async def hang(doc):
        await trio.sleep(1)

    def fail():
        raise Fail("task")

    namespace = App()
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(hang))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(MAX_UNTOLD + 50):
            session.start_soon(fail)
        await trio.sleep(2)
        assert namespace.story.count("failed task") == MAX_UNTOLD
        assert len(app.recorder.incidents) == MAX_UNTOLD + 50


async def test_without_such_a_hook_nothing_is_queued_for_what_is_resumed(run_app, autojump_clock):
    namespace = App()
    del namespace["on_session_failed"]
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        actor = app.actor.find("s1")
        actor.report_supervised("it", Fail())
        assert actor.mailbox.is_empty()
        assert session.last_incident.what == "it"


# Reports.


async def test_an_incident_tells_where_it_was_what_waited_and_what_follows(run_app, autojump_clock):
    async with run_app(App(), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        for text in range(7):
            session.tell_nowait(Log(text))
        session.document.add_next_tick_callback(print)
        await trio.testing.wait_all_tasks_blocked()
        (incident,) = app.recorder.incidents
        assert isinstance(incident, Incident)
        assert incident.path == "application app → session s1 → message Break → Fail: Break"
        assert incident.mailbox == (*["message Log"] * 4, "next tick callback print")
        assert incident.message.startswith("<")
        assert incident.decision == "resumed"
        assert session.last_incident is incident


async def test_modify_document_can_tell_what_happened(run_app, autojump_clock):
    def modify_document(doc):
        incident = doc.session_context.last_incident
        doc.data["log"] = [] if incident is None else [str(incident.error)]

    async with run_app(App(RESTART, modify_document=modify_document), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        assert await log_of(session) == ["Break"]


# The end.


async def test_destroyed_during_the_pause_nothing_is_built_and_the_old_document_is_read(run_app, autojump_clock):
    last = []
    namespace = App(RESTART, on_session_destroyed=lambda session: last.append(list(session.document.data["log"])))
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Log("old"))
        session.tell_nowait(Break())
        session.tell_nowait(Log("never"))
        await trio.sleep(0.5)
        session.destroy()
        session.destroy()
        await session.wait_destroyed()
        assert trio.current_time() == 0.5
        assert last == [["old"]]
        assert namespace.story == ["created", "modify", "failed Break"]
        assert len(app.recorder.dead_letters) == 1


@pytest.mark.parametrize("end", ["destroy", "stop"])
async def test_destroyed_while_it_is_built_anew_the_old_document_is_read(run_app, autojump_clock, end):
    last, builds = [], []

    async def modify_document(doc):
        doc.data["log"] = []
        builds.append(1)
        if len(builds) > 1:
            doc.commit()
            await trio.sleep_forever()

    def on_session_destroyed(session_context):
        last.append(list(session_context.document.data["log"]))
        session_context.document.data["log"] = "seen by nobody"
        session_context.document.commit()

    namespace = App(RESTART, modify_document=modify_document, on_session_destroyed=on_session_destroyed)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        heard = listen(app, session)
        session.tell_nowait(Log("old"))
        session.tell_nowait(Break())
        await trio.sleep(2)
        if end == "destroy":
            session.destroy()
        else:
            app.actor.stop()
        await session.wait_destroyed()
        assert last == [["old"]]
        assert heard == [3]


async def test_destroyed_by_its_failed_hook_nothing_else_follows(run_app, autojump_clock):
    def on_session_failed(session_context, error):
        session_context.document.data["log"].append("last")
        session_context.destroy(reason="by hook")

    last = []
    namespace = App(
        RESTART,
        on_session_failed=on_session_failed,
        on_session_destroyed=lambda session: last.append(list(session.document.data["log"])),
    )
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        session.tell_nowait(Log("never"))
        await session.wait_destroyed()
        assert session.restarts == 0
        assert last == [["last"]]
        assert app.recorder.events[-1] == ("destroyed", "s1", "by hook")
        assert trio.current_time() == 0


async def test_destroyed_by_modify_document_of_a_restart_the_old_document_stays(run_app, autojump_clock):
    last, builds = [], []

    def modify_document(doc):
        doc.data["log"] = [len(builds)]
        builds.append(1)
        if len(builds) > 1:
            doc.session_context.destroy(reason="enough")

    namespace = App(
        RESTART,
        modify_document=modify_document,
        on_session_destroyed=lambda session: last.append(list(session.document.data["log"])),
    )
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert last == [[0]]
        assert session.restarts == 0


async def test_a_borrower_keeps_its_place_and_its_own_deadline(run_app, autojump_clock):
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=10, jitter=0))
    async with run_app(App(policy), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        with pytest.raises(trio.TooSlowError):
            async with session.locked_document(timeout=2):
                raise AssertionError
        async with session.locked_document() as doc:
            assert doc.data["log"] == []
        assert trio.current_time() == 10
        assert session.restarts == 1


async def test_a_borrower_that_waits_gets_the_old_document_if_the_session_is_destroyed_first(run_app, autojump_clock):
    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Log("old"))
        session.tell_nowait(Break())
        seen = []

        async def borrow():
            seen.extend(await log_of(session))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow)
            await trio.sleep(0.5)
            session.destroy()
        assert seen == ["old"]


async def test_a_failure_of_the_background_while_somebody_borrows_waits_for_the_return(run_app, autojump_clock):
    def fail():
        raise Fail("task")

    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        async with session.locked_document() as doc:
            session.start_soon(fail)
            await trio.sleep(5)
            doc.data["log"].append("mine")
        assert session.restarts == 0
        assert await log_of(session) == []
        assert session.restarts == 1


# A soft end.


async def test_a_soft_end_forgets_no_failure_that_had_no_turn_yet(run_app, autojump_clock):
    """What restarts the session while it lives is told in its turn, and then ends it; see `test_finishing`.

    1. A handler takes a second; a background task fails meanwhile, so a restart is due.
    2. The session is told to end softly: it takes no more.
    3. The handler returns, the failed hook runs, and the session ends.
    """

    async def be_slow(doc):
        await trio.sleep(1)
        namespace.story.append("was slow")

    def fail():
        raise Fail("task")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(be_slow))
        session.tell_nowait(Call(lambda doc: namespace.story.append("waited")))
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(fail)
        await trio.testing.wait_all_tasks_blocked()
        app.actor.find("s1").finish(RESTARTING)
        await session.wait_destroyed()
        assert namespace.story == ["created", "modify", "was slow", "failed task", "destroyed"]
        assert session.restarts == 0


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
