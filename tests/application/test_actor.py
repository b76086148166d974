"""Loading, serving and ending an application."""

import math

import pytest
import trio

from supervisor.actor.guard import unwrap
from supervisor.actor.restart import FailurePolicy
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.errors import ApplicationError, MailboxFull, SessionGone
from supervisor.session.connection import Ending
from supervisor.session.receivers import receives


def lasting(seconds):
    async def hook(context):
        await trio.sleep(seconds)

    return hook


def raising(error):
    def hook(context):
        raise error

    return hook


async def forever(context=None):
    await trio.sleep_forever()


async def stubborn(context=None, seconds=4):
    """Is slow to unwind."""
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)


# Loading.


async def loading_error(app):
    """What an application that can't be loaded raises."""
    with pytest.raises(BaseException) as raised:
        async with app:
            raise AssertionError("it was loaded")
    error = unwrap(raised.value)
    assert isinstance(error, ApplicationError)
    return error


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit("mine"), GeneratorExit("mine")], ids=repr)
async def test_a_load_hook_that_fails_is_one_clear_sentence_and_unloads_what_had_loaded(
    step, run_app, autojump_clock, error, recorder
):
    log = []
    handlers = [step(log, "1"), step(log, "2", load=raising(error)), step(log, "3")]
    raised = await loading_error(run_app(handlers, expect_failures=True))
    (incident,) = recorder.incidents
    assert str(raised) == (
        f"application 'app' can't be served: its on_application_load raised {type(error).__name__}: mine "
        f"(incident {incident.id}, the log has the traceback)"
    )
    assert incident.error is error
    assert log == ["load 1", "load 2", "unload 1"]
    assert [name for name, *_ in recorder.events] == ["failed"]


async def test_a_load_hook_has_sixty_seconds(step, run_app, autojump_clock):
    log = []
    async with run_app([step(log, load=lasting(59))]):
        pass
    began = trio.current_time()
    error = await loading_error(run_app([step(log, load=forever)], expect_failures=True))
    assert "took longer than 60 s and was cancelled" in str(error)
    assert trio.current_time() - began == 60
    assert log == ["load", "unload", "load"]


async def test_a_load_that_is_cancelled_unloads_what_had_loaded_and_reports_what_its_cleanup_raised(
    step, run_app, autojump_clock, recorder
):
    async def raise_in_cleanup(context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("mine")

    log = []
    with trio.move_on_after(1) as scope:
        async with run_app([step(log, "1"), step(log, "2", load=raise_in_cleanup)], expect_failures=True):
            raise AssertionError("never started")
    assert scope.cancelled_caught
    assert log == ["load 1", "load 2", "unload 1"]
    assert list(map(repr, recorder.errors)) == ["ValueError('mine')"]


async def test_stopped_while_it_loads_its_hook_has_until_two_seconds_before_the_deadline(step, run_app, autojump_clock):
    """1. A load hook hangs. 2. `stop(deadline=…)`. 3. The hook is cancelled in time, and what had loaded unloads."""
    log, contexts = [], []

    async def hang(context):
        contexts.append(context)
        await trio.sleep_forever()

    async def stop_it():
        await trio.sleep(1)
        contexts[0]._host.stop(deadline=trio.current_time() + 5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_it)
        error = await loading_error(run_app([step(log, "1"), step(log, "2", load=hang)], expect_failures=True))
    assert "took longer than 4 s" in str(error)
    assert trio.current_time() == 4
    assert log == ["load 1", "load 2", "unload 1"]


# Callbacks.


async def test_callbacks_added_while_loading_begin_when_all_load_hooks_are_done(step, run_app, autojump_clock):
    calls = []

    def note(name):
        calls.append((name, trio.current_time()))

    def load(context):
        context.add_callback(note, "producer")
        context.add_next_tick_callback(note, "next tick")
        context.add_timeout_callback(note, "timeout", seconds=1)
        context.add_periodic_callback(note, "periodic", seconds=2)
        removed = context.add_callback(note, "never")
        context.remove_callback(removed)
        with pytest.raises(ValueError, match="was already removed"):
            context.remove_callback(removed)
        context.remove_callback(context.add_timeout_callback(note, "never", seconds=0))

    handlers = [step([], load=load), step([], load=lasting(10))]
    async with run_app(handlers):
        await trio.sleep(4.5)
    assert sorted(calls) == [("next tick", 10), ("periodic", 12), ("periodic", 14), ("producer", 10), ("timeout", 11)]


async def test_application_callbacks_run_one_at_a_time_and_delay_no_hook(step, run_app, autojump_clock):
    running = []

    async def slow(name):
        running.append(name)
        assert len(running) == 1
        await trio.sleep(20)
        running.remove(name)

    async with run_app([step([])]) as app:
        for name in "abc":
            app.context.add_next_tick_callback(slow, name)
        await trio.sleep(1)
        session = await app.open()
        session.destroy()
        await session.wait_destroyed()
        assert trio.current_time() == 1
        await trio.sleep(100)
        assert running == []


async def test_a_thousand_next_ticks_may_wait(step, run_app, autojump_clock):
    async with run_app([step([])]) as app:
        for _ in range(1000):
            app.context.add_next_tick_callback(int)
        with pytest.raises(MailboxFull):
            app.context.add_next_tick_callback(int)


async def test_callbacks_that_come_after_the_stop_never_run(step, run_app, autojump_clock):
    calls = []

    def late(context):
        application.add_callback(calls.append, "producer")
        for handle in (
            application.add_next_tick_callback(calls.append, "next tick"),
            application.add_timeout_callback(calls.append, "timeout", seconds=0),
            application.add_periodic_callback(calls.append, "periodic", seconds=1),
        ):
            assert not handle.active
        return lasting(5)(context)

    async with run_app([step([], destroyed=late, unload=late)]) as app:
        application = app.context
        await app.open()
        await app.stop()
    assert calls == []


# Ending.


async def test_producers_end_first_then_sessions_then_the_unload_hooks(step, run_app, autojump_clock, connect):
    log = []

    async def produce():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                log.append(("producer", len(app.context.sessions)))

    async def tick():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1.5)
                log.append(("callback", len(app.context.sessions)))

    def note(name):
        return lambda context: log.append((name, len(app.context.sessions)))

    async with run_app([step([], destroyed=note("destroyed"), unload=note("unload"))]) as app:
        app.context.add_callback(produce)
        app.context.add_next_tick_callback(tick)
        for _ in range(2):
            connect(app, await app.open(), closing=1)
        assert await app.stop() == 2.5
    assert log == [("producer", 2), ("callback", 2), ("destroyed", 0), ("destroyed", 0), ("unload", 0)]
    assert app.actor.connection_nursery is None


async def test_a_producer_that_is_slow_to_unwind_delays_sessions_by_two_seconds_at_most(step, run_app, autojump_clock):
    """Nor does it delay the unload hooks: it is waited for last, since a blocked thread may hold it up."""
    times = {}

    def note(name):
        def hook(context):
            times[name] = trio.current_time()

        return hook

    async with run_app([step([], destroyed=note("destroyed"), unload=note("unload"))]) as app:
        app.context.add_callback(stubborn)
        await app.open()
        await trio.testing.wait_all_tasks_blocked()
        await app.stop()
    assert times == {"destroyed": 2, "unload": 2}


async def test_hooks_run_side_by_side_and_exactly_once_though_others_fail_or_hang(step, run_app, autojump_clock):
    log = []

    async def destroyed(context):
        log.append(context.id)
        if context.id == "s1":
            raise ValueError("mine")
        if context.id == "s2":
            raise SystemExit("mine")
        if context.id == "s3":
            await trio.sleep_forever()

    async def unload(context):
        await trio.sleep_forever()

    steps = []
    handlers = [step(steps, "1"), step([], destroyed=destroyed), step(steps, "2", unload=unload)]
    async with run_app(handlers, expect_failures=True) as app:
        for _ in range(5):
            await app.open()
        assert await app.stop() == 20
    assert sorted(log) == ["s1", "s2", "s3", "s4", "s5"]
    assert steps.count("destroyed 1") == steps.count("destroyed 2") == 5
    assert steps[-2:] == ["unload 2", "unload 1"]
    assert sorted((incident.session, incident.what, type(incident.error)) for incident in app.recorder.incidents) == [
        ("-", "on_application_unload", trio.TooSlowError),
        ("s1", "on_session_destroyed", ValueError),
        ("s2", "on_session_destroyed", SystemExit),
        ("s3", "on_session_destroyed", trio.TooSlowError),
    ]


async def test_a_hooks_child_that_raises_while_it_is_cancelled_is_reported(step, run_app, autojump_clock):
    """At its deadline: the scope takes its own `Cancelled`, and what is left is the hook's failure."""

    async def raise_in_cleanup():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("child")

    async def destroyed(context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raise_in_cleanup)
            nursery.start_soon(trio.sleep_forever)

    async with run_app([step([], destroyed=destroyed)], expect_failures=True) as app:
        await app.open()
        await app.stop()
        assert list(map(repr, app.recorder.errors)) == ["ValueError('child')"]


@pytest.mark.parametrize(
    ("limit", "destroyed", "unload"),
    [(math.inf, 10, 10), (20, 10, 10), (8, 6, 2), (3, 1, 2), (1, 0, 1), (0, 0, 0)],
)
async def test_hooks_get_the_lesser_of_their_timeout_and_what_the_stop_leaves(
    step, run_app, autojump_clock, limit, destroyed, unload
):
    async with run_app([step([], destroyed=forever, unload=forever)], expect_failures=True) as app:
        await app.open()
        took = await app.stop(deadline=trio.current_time() + limit)
        assert took == destroyed + unload
        for error, seconds in zip(app.recorder.errors, (destroyed, unload), strict=True):
            text = f"took longer than {seconds} s and was cancelled" if seconds else "there was no time left for "
            assert text in str(error)


async def test_a_hook_under_way_when_the_stop_comes_loses_what_is_too_much(step, run_app, autojump_clock):
    """1. A destroyed hook has 100 s, and hangs. 2. `stop()` leaves 7 s. 3. It is cancelled 2 s before these are over.

    4. A second stop with a nearer deadline, while the unload hook hangs: that loses as well.
    """
    async with run_app([step([], destroyed=forever, unload=forever)], hook_timeout=100, expect_failures=True) as app:
        session = await app.open()
        session.destroy()
        await trio.sleep(10)
        app.actor.stop(deadline=trio.current_time() + 7)
        await session.wait_destroyed()
        assert trio.current_time() == 15
        await trio.sleep(0.5)
        app.actor.stop(deadline=16)
        app.actor.stop(deadline=1000)
        await app.ended.wait()
        assert trio.current_time() == 16


async def test_stubborn_producers_borrowers_and_connections_take_no_time_from_the_unload_hooks(
    step, run_app, autojump_clock, connect
):
    times = []

    async def unload(context):
        times.append(trio.current_time())
        await trio.sleep(1.9)
        times.append("done")

    async with run_app([step([], unload=unload)]) as app:
        session = await app.open()
        connect(app, session, closing=60)

        app.context.add_callback(lambda: stubborn(seconds=2.5))
        async with trio.open_nursery() as nursery:

            async def borrow():
                with pytest.raises(SessionGone):
                    async with session.locked_document():
                        await trio.sleep_forever()

            nursery.start_soon(borrow)
            await trio.testing.wait_all_tasks_blocked()
            took = await app.stop(deadline=trio.current_time() + 5)
        assert times == [3, "done"]
        assert took == pytest.approx(4.9)


async def test_sessions_that_are_being_created_when_the_stop_comes(step, run_app, autojump_clock):
    """1. One creation hangs in its hook, one waits for its turn. 2. `stop()`. 3. Both visitors are to come back."""
    outcomes, log = [], []
    async with run_app([step(log, created=forever)], max_creating=1) as app:

        async def visit():
            outcomes.append(type(await app.outcome()).__name__)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit)
            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            assert await app.stop() == 0
        assert outcomes == ["Busy", "Busy"]
        assert log == ["load", "created", "unload"]


async def test_cancelling_it_is_a_hard_stop_and_hooks_run_all_the_same(step, run_app, autojump_clock, all_tasks):
    log = []
    before = all_tasks()
    with trio.move_on_after(1) as scope:
        handlers = [step(log, destroyed=lasting(1), unload=lasting(1))]
        async with run_app(handlers) as app:
            app.context.add_callback(forever)
            for _ in range(2):
                await app.open()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 3
    assert log == ["load", "created", "modify", "created", "modify", "destroyed", "destroyed", "unload"]
    assert all_tasks() == before
    app.check_nothing_is_left()


async def test_a_neighbours_failure_ends_neither_the_application_nor_its_sessions(run_app, autojump_clock):
    class Fail:
        pass

    @receives(Fail)
    def on_fail(doc, message):
        raise ValueError("mine")

    async with run_app({"on_fail": on_fail}, expect_failures=True) as app:
        sessions = [await app.open() for _ in range(3)]
        report = await app.context.broadcast(Fail())
        assert len(report.accepted) == 3
        await trio.testing.wait_all_tasks_blocked()
        assert [session.destroyed for session in sessions] == [False] * 3
        assert sorted(incident.session for incident in app.recorder.incidents) == ["s1", "s2", "s3"]


async def test_it_shows_its_state(step, run_app, autojump_clock):
    async with run_app([step([])]) as app:
        session = await app.open("a")
        assert app.actor.find("a").context is session
        assert app.actor.find("b") is None
        assert "sessions=1" in repr(app.actor)
        statistics = app.actor.statistics().sessions
        assert (statistics.sessions, statistics.unattached, statistics.draining) == (1, 1, 0)
        assert app.context.destroy_session("b") is False
        session.destroy()
        assert app.actor.find("a") is None
        statistics = app.actor.statistics().sessions
        assert (statistics.sessions, statistics.unattached, statistics.draining) == (0, 0, 1)


async def test_a_later_deadline_takes_nothing_back(step, run_app, autojump_clock):
    async with run_app([step([], destroyed=forever, unload=forever)], expect_failures=True) as app:
        await app.open()
        app.actor.stop(deadline=5)
        assert await app.stop(deadline=1000) == 5


async def test_a_near_deadline_leaves_slow_producers_less_than_their_two_seconds(step, run_app, autojump_clock):
    times = []
    async with run_app([step([], destroyed=lambda context: times.append(trio.current_time()))]) as app:
        app.context.add_callback(stubborn)
        await app.open()
        await trio.testing.wait_all_tasks_blocked()
        await app.stop(deadline=3)
    assert times == [1]


async def test_what_a_destroyed_hook_changes_is_not_seen_by_the_next(step, run_app, autojump_clock):
    seen = []

    def write(context):
        context.document.data["farewell"] = True

    handlers = [step([], destroyed=lambda context: seen.append(dict(context.document.data))), step([], destroyed=write)]
    async with run_app(handlers) as app:
        await app.open()
    assert seen == [{}]


@pytest.mark.parametrize("again", [False, True])
async def test_a_stop_says_what_the_connections_are_told_and_the_first_one_counts(
    run_app, connect, autojump_clock, again
):
    async with run_app({}) as app:
        connection = connect(app, await app.open())
        ending = Ending(kind="replaced", reason="new code")
        app.actor.stop(ending=ending)
        if again:
            app.actor.stop(deadline=trio.current_time() + 5)
        assert not app.actor.has_unloaded
        await app.actor.wait_unloaded()
        assert app.actor.has_unloaded
        assert connection.ending == ending


async def test_a_session_whose_policy_escalates_ends_its_application_and_not_what_surrounds_it(run_app, autojump_clock):
    def fail(doc):
        raise ValueError("mine")

    handler = NamespaceHandler({"modify_document": lambda doc: None}, where="app")
    application = Application([handler], name="app", failure_policy=FailurePolicy(directive="escalate"))
    async with run_app(application, expect_failures=True) as app:
        first, second = await app.open(), await app.open()
        first.document.add_next_tick_callback(fail, None)
        await app.ended.wait()  # without an exception
        assert (first.destroyed, second.destroyed, app.actor.status) == (True, True, "failed")
        assert app.actor.failure is app.recorder.incidents[0]
