"""Producers: background work that is called again when it fails."""

import functools
import itertools

import pytest
import trio
import trio.lowlevel

from supervisor.actor.restart import Backoff
from supervisor.application.producer_life import ProducerLife
from supervisor.application.producers import LONGEST_NAME, Producer
from supervisor.instruments import Incident


def make_producer(func, args=(), *, report=None, **options):
    """One that nobody has added to an application."""
    incidents = itertools.count(1)

    def reported(what, error, decision):
        if report is not None:
            report(what, error)
        return Incident(
            id=f"i{next(incidents)}", application="app", session="-", what=what, error=error, decision=decision
        )

    life = ProducerLife(**{key: options.pop(key) for key in ("restart", "max_restarts", "within") if key in options})
    return Producer(func, args, life=life, chance=lambda: 0.5, report=reported, **options)


async def test_one_that_fails_is_reported_and_called_again(run_app, autojump_clock):
    calls = []

    async def produce(name):
        calls.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(calls) < 10:
            raise [ValueError, SystemExit][len(calls) % 2](name)

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        producer = app.context.add_callback(produce, "feed")
        await trio.sleep(400)
        assert calls == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5, 123.5, 183.5]
        assert producer.over  # it returned at last
        assert producer.failures == 9
        assert len(app.recorder.incidents) == 9
        incident = app.recorder.incidents[0]
        assert (incident.application, incident.session) == ("app", "-")
        assert "produce" in incident.what


async def test_its_pause_begins_anew_after_a_minute_of_running(run_app, autojump_clock):
    calls = []

    async def produce():
        calls.append(trio.current_time())
        await trio.sleep(60 if len(calls) == 3 else 0)
        raise ValueError("mine")

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        app.context.add_callback(produce)
        await trio.sleep(64)
    assert calls == [0, 0.5, 1.5, 62, 63]


async def test_plain_functions_and_lambdas_that_return_coroutines_are_producers_too(run_app, autojump_clock):
    calls = []

    async def produce(text):
        await trio.sleep(1)
        calls.append(text)

    async with run_app({"modify_document": lambda doc: None}) as app:
        app.context.add_callback(calls.append, "plain")
        app.context.add_callback(lambda: produce("lambda"))
        await trio.sleep(2)
    assert calls == ["plain", "lambda"]


async def test_one_with_a_yield_is_refused_or_has_failed_since_nothing_of_it_runs(run_app, autojump_clock):
    async def produce():
        yield

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        with pytest.raises(TypeError, match="contains a yield"):
            app.context.add_callback(produce)
        app.context.add_callback(lambda: produce(), name="produce")
        await trio.sleep(0.1)
        (incident,) = app.recorder.incidents
        assert "produce contains a yield" in str(incident.error)


async def test_one_without_its_arguments_is_refused_and_not_called_again_and_again(run_app):
    async def produce(app_context):
        raise AssertionError("never called")

    async with run_app({"modify_document": lambda doc: None}) as app:
        with pytest.raises(TypeError, match=r"missing a required argument: 'app_context'"):
            app.context.add_callback(produce)
        with pytest.raises(TypeError, match="too many positional arguments"):
            app.context.add_periodic_callback(produce, 1, 2, seconds=1)
        assert not app.context.statistics().producers


async def test_removing_one_cancels_it_and_twice_is_an_error(run_app, autojump_clock):
    unwound = []

    async def produce():
        try:
            await trio.sleep_forever()
        finally:
            unwound.append(True)

    async with run_app({"modify_document": lambda doc: None}) as app:
        producer = app.context.add_callback(produce)
        assert "waiting" in repr(producer)
        await trio.testing.wait_all_tasks_blocked()
        assert "running" in repr(producer)
        app.context.remove_callback(producer)
        await trio.testing.wait_all_tasks_blocked()
        assert unwound == [True]
        assert "removed" in repr(producer)
        finished = app.context.add_callback(int)
        await trio.testing.wait_all_tasks_blocked()
        for over in (producer, finished, make_producer(int)):
            with pytest.raises(
                ValueError, match="was already removed, has finished, or belongs to another application"
            ):
                app.context.remove_callback(over)


async def test_one_that_is_removed_before_it_began_is_never_called(run_app, autojump_clock):
    calls = []
    async with run_app({"modify_document": lambda doc: None}) as app:
        app.context.remove_callback(app.context.add_callback(calls.append, "never"))
        await trio.sleep(1)
    assert calls == []


async def test_one_that_is_removed_between_two_tries_is_not_called_again(run_app, autojump_clock):
    calls = []

    def fail():
        calls.append(True)
        raise ValueError("mine")

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        producer = app.context.add_callback(fail)
        await trio.sleep(0.25)
        app.context.remove_callback(producer)
        await trio.sleep(10)
    assert calls == [True]


async def test_one_that_raises_while_it_is_cancelled_is_reported_and_ends_nobody_else(run_app, autojump_clock):
    """A producer's child raises in its clean-up: with trio's `Cancelled` that is a group (FINDINGS, 9)."""

    async def raise_in_cleanup():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("child")

    async def produce():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raise_in_cleanup)
            nursery.start_soon(trio.sleep_forever)

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        session = await app.open()
        producer = app.context.add_callback(produce)
        app.context.add_callback(produce)
        await trio.testing.wait_all_tasks_blocked()
        app.context.remove_callback(producer)
        await trio.testing.wait_all_tasks_blocked()
        assert not session.destroyed
        assert not app.ended.is_set()
        await app.stop()
        assert list(map(repr, app.recorder.errors)) == ["ValueError('child')"] * 2


async def test_its_group_of_failures_after_its_scope_took_the_cancellation(run_app, autojump_clock):
    """The outer guard: what the scope lets through is reported there."""

    async def swallow_and_raise():
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise SystemExit("mine") from None

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        producer = app.context.add_callback(swallow_and_raise)
        await trio.testing.wait_all_tasks_blocked()
        app.context.remove_callback(producer)
        await trio.testing.wait_all_tasks_blocked()
        assert list(map(repr, app.recorder.errors)) == ["SystemExit('mine')"]


def test_only_callables_are_producers():
    with pytest.raises(TypeError, match="a callback must be callable, not 5"):
        make_producer(5)


async def test_alone_it_can_be_run_and_ended():
    reported = []
    producer = make_producer(trio.sleep_forever, report=lambda what, error: reported.append(what))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(producer.run)
        await trio.testing.wait_all_tasks_blocked()
        producer.cancel()
        producer.cancel()
    assert (producer.over, producer.name, reported) == (True, "sleep_forever", [])


async def test_the_outer_guard_takes_what_the_inner_one_lets_through():
    """Here the inner guard's own report fails."""
    reported = []

    def report(what, error):
        reported.append(repr(error))
        if len(reported) == 1:
            raise RuntimeError("ours")

    def fail():
        raise ValueError("mine")

    producer = make_producer(fail, report=report)
    await producer.run()
    assert reported == ["ValueError('mine')", "RuntimeError('ours')"]
    assert (producer.state, producer.over) == ("failed", True)


# Its policy, its state, and who hears of it.


def failing_for_ever(calls=None):
    async def produce():
        if calls is not None:
            calls.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        raise ValueError("mine")

    return produce


class Hooked:
    """An app whose hook notes what it is told, and then does what a test says."""

    def __init__(self, then=None):
        self.told = []
        self._then = then

    def namespace(self):
        async def on_callback_failed(app_context, callback, error):
            self.told.append((trio.current_time(), callback, repr(error)))
            if self._then is not None:
                await self._then(app_context, callback)

        return {"modify_document": lambda doc: None, "on_callback_failed": on_callback_failed}


async def test_its_state_can_be_seen_at_each_step(run_app, autojump_clock):
    release = trio.Event()

    async def produce():
        await release.wait()
        raise ValueError("mine")

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        producer = app.context.add_callback(produce, name="feed")
        assert (producer.state, producer.over, producer.last_incident) == ("waiting", False, None)
        await trio.testing.wait_all_tasks_blocked()
        assert producer.state == "running"
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (producer.state, producer.failures, producer.next_call_at) == (
            "backing off",
            1,
            trio.current_time() + 0.5,
        )
        assert producer.last_incident == app.recorder.incidents[0].id
        assert app.recorder.failed_parts == ["producer feed"]
        assert app.recorder.incidents[0].decision == "called again in 0.5 s"
        statistics = app.context.statistics()
        assert (statistics.status, statistics.producers, statistics.failed_producers) == ("serving", 1, 0)
        (shown,) = statistics.producer_states
        assert (shown.name, shown.restart, shown.state, shown.failures) == ("feed", "transient", "backing off", 1)
        assert (shown.restarts, shown.last_incident, shown.next_call_after) == (1, producer.last_incident, 0.5)
        app.context.remove_callback(producer)
        assert (producer.state, producer.next_call_at) == ("removed", None)
        assert app.context.statistics().producer_states == ()


async def test_a_permanent_one_is_called_again_when_it_returns(run_app, autojump_clock):
    calls = []
    async with run_app({"modify_document": lambda doc: None}) as app:
        producer = app.context.add_callback(
            lambda: calls.append(trio.current_time()), restart="permanent", backoff=Backoff(first=2.0, longest=4.0)
        )
        await trio.sleep(11)
        assert calls == [0, 2, 6, 10]
        assert (producer.failures, producer.state) == (0, "backing off")


async def test_a_temporary_one_that_fails_has_failed_for_good_and_ends_nobody_else(run_app, autojump_clock):
    calls = []
    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        session = await app.open()
        producer = app.context.add_callback(failing_for_ever(), restart="temporary", name="once")
        other = app.context.add_callback(failing_for_ever(calls))
        await trio.sleep(10)
        assert (producer.state, producer.over) == ("failed", True)
        assert len(calls) == 5
        assert other.state == "backing off"
        assert not session.destroyed
        (last,) = [each for each in app.recorder.incidents if each.what == "producer once"]
        assert last.decision == "failed for good"
        assert last.path == "application app → producer once → ValueError: mine"
        statistics = app.context.statistics()
        assert (statistics.status, statistics.producers, statistics.failed_producers) == ("serving", 1, 1)
        assert [shown.state for shown in statistics.producer_states] == ["failed", "backing off"]
        assert app.actor.is_degraded
        app.context.remove_callback(producer)  # the app has dealt with it
        assert (producer.state, app.actor.is_degraded) == ("removed", False)
        with pytest.raises(ValueError, match="was already removed"):
            app.context.remove_callback(producer)


async def test_one_restart_too_many_is_a_failure_for_good(run_app, autojump_clock):
    calls = []
    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        producer = app.context.add_callback(failing_for_ever(calls), max_restarts=2, within=30.0)
        await trio.sleep(1000)
        assert calls == [0, 0.5, 1.5]
        assert producer.state == "failed"
        assert app.actor.status == "serving"


async def test_a_permanent_one_that_returns_too_often_is_reported(run_app, autojump_clock):
    hooked = Hooked()
    async with run_app(hooked.namespace(), expect_failures=True) as app:
        producer = app.context.add_callback(int, restart="permanent", max_restarts=1)
        await trio.sleep(10)
        assert (producer.state, producer.failures) == ("failed", 0)
        (error,) = app.recorder.errors
        assert str(error) == "int returned once more than its max_restarts allow"
        assert [repr(error)] == [told for _, _, told in hooked.told]


async def test_the_hook_hears_of_each_failure_once_and_sees_what_follows(run_app, autojump_clock):
    states = []

    async def look(app_context, callback):
        states.append((callback.state, callback.failures))

    hooked = Hooked(look)
    async with run_app(hooked.namespace(), expect_failures=True) as app:
        producer = app.context.add_callback(failing_for_ever(), max_restarts=2)
        await trio.sleep(100)
        assert hooked.told == [(at, producer, "ValueError('mine')") for at in (0, 0.5, 1.5)]
        assert states == [("backing off", 1), ("backing off", 2), ("failed", 3)]
        assert len(app.recorder.incidents) == 3


async def test_a_hook_that_hangs_delays_no_other_producer_and_its_own_no_further_than_its_deadline(
    run_app, autojump_clock
):
    async def hang(app_context, callback):
        if callback.name == "mine":
            await trio.sleep_forever()

    mine, others = [], []
    async with run_app(Hooked(hang).namespace(), expect_failures=True, hook_timeout=3.0) as app:
        app.context.add_callback(failing_for_ever(mine), name="mine", backoff=Backoff(first=4.0, factor=1.0))
        app.context.add_callback(failing_for_ever(others), name="other", backoff=Backoff(first=1.0, factor=1.0))
        await trio.sleep(8.5)
        assert mine == [0, 4, 8]  # the pause counts from the failure
        assert others == list(range(9))
        assert app.recorder.failed_parts.count("on_callback_failed") == 2


async def test_a_hook_that_fails_is_reported_and_told_to_nobody(run_app, autojump_clock):
    async def fail(app_context, callback):
        raise SystemExit("in the hook")

    hooked = Hooked(fail)
    async with run_app(hooked.namespace(), expect_failures=True) as app:
        app.context.add_callback(failing_for_ever(), restart="temporary")
        await trio.sleep(1)
        assert [repr(error) for error in app.recorder.errors] == ["ValueError('mine')", "SystemExit('in the hook')"]
        assert len(hooked.told) == 1


async def test_a_hook_may_put_another_one_in_the_place_of_what_failed(run_app, autojump_clock):
    async def replace(app_context, callback):
        app_context.remove_callback(callback)
        app_context.add_callback(trio.sleep_forever, name="second")

    async with run_app(Hooked(replace).namespace(), expect_failures=True) as app:
        app.context.add_callback(failing_for_ever(), restart="temporary")
        await trio.sleep(1)
        assert [shown.name for shown in app.context.statistics().producer_states] == ["second"]
        assert not app.actor.is_degraded


async def test_removed_while_its_hook_runs_it_lets_the_hook_finish(run_app, autojump_clock):
    ended = []

    async def take_long(app_context, callback):
        await trio.sleep(2)
        ended.append(trio.current_time())

    calls = []
    async with run_app(Hooked(take_long).namespace(), expect_failures=True) as app:
        producer = app.context.add_callback(failing_for_ever(calls))
        await trio.sleep(1)
        app.context.remove_callback(producer)
        await trio.sleep(100)
    assert (ended, calls) == ([2], [0])


async def test_a_failure_at_the_end_reaches_the_hook_within_the_producers_grace(run_app, autojump_clock):
    """Before the sessions end; a hook that hangs then costs no more than these two seconds."""

    async def produce():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in cleanup")

    async def hang(app_context, callback):
        await trio.sleep_forever()

    hooked = Hooked(hang)
    async with run_app(hooked.namespace(), expect_failures=True) as app:
        app.context.add_callback(produce)
        await trio.sleep(1)
        assert await app.stop() == pytest.approx(2)
        assert [(at, error) for at, _, error in hooked.told] == [(1, "ValueError('in cleanup')")]
        assert app.recorder.failed_parts[-1] == "on_callback_failed"


async def test_one_that_is_slow_to_unwind_at_the_end_meets_no_hook_any_more(run_app, autojump_clock):
    async def produce():
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        raise ValueError("late")

    hooked = Hooked()
    async with run_app(hooked.namespace(), expect_failures=True) as app:
        app.context.add_callback(produce)
        await trio.sleep(1)
        await app.stop()
        assert (hooked.told, list(map(str, app.recorder.errors))) == ([], ["late"])


async def test_one_that_escalates_ends_its_application_with_its_sessions_and_hooks(run_app, step, autojump_clock):
    log, failed = [], []
    async with run_app([step(log)], expect_failures=True) as app:
        app.actor._on_failed = failed.append
        session = await app.open()
        app.context.add_callback(failing_for_ever(), max_restarts=1, escalate=True, name="feed")
        await app.ended.wait()  # without an exception
        assert session.destroyed
        assert log == ["load", "created", "modify", "destroyed", "unload"]
        assert (app.actor.status, failed) == ("failed", [app.actor])
        assert app.actor.failure is app.recorder.incidents[-1]
        incident = app.actor.failure.id
        assert app.recorder.events[-3:] == [
            (
                "failed",
                "app",
                "application 'app' has failed, and its sessions end: producer feed raised "
                f"ValueError: mine (incident {incident}, the log has the traceback)",
                incident,
            ),
            ("destroyed", "s1", f"The application has failed (incident {incident})."),
            ("unloaded", "app"),
        ]


async def test_the_first_escalation_counts_and_none_during_the_end(run_app, autojump_clock):
    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        first, second = (app.actor.incident(what, ValueError(what)) for what in ("first", "second"))
        app.actor.escalate(first)
        app.actor.escalate(second)
        assert app.actor.failure is first
    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        app.actor.stop()
        app.actor.escalate(first)
        assert (app.actor.failure, app.actor.status) == (None, "stopping")
        await app.ended.wait()
        assert app.actor.status == "unloaded"


@pytest.mark.parametrize("name", ["escalate", "thread"])
async def test_what_is_true_or_false_is_no_word(run_app, name):
    async with run_app({"modify_document": lambda doc: None}) as app:
        with pytest.raises(TypeError, match=f"^{name} must be True or False, not 'no'$"):
            app.context.add_callback(list, **{name: "no"})
        assert app.context.statistics().producer_states == ()


async def test_names_are_short_and_must_be_texts(run_app):
    assert len(make_producer(functools.partial(int, "1" * 1000)).name) == LONGEST_NAME
    for name in ("", 5):
        with pytest.raises(TypeError, match="a producer's name must be a str"):
            make_producer(int, name=name)


# Cancelled at each step.


@pytest.mark.parametrize("how", ["remove", "stop", "stop at once", "cancel"])
@pytest.mark.parametrize("at", [0.25, 1.25, 2.25, 3.25, 4.25, 8.25])
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_ended_at_each_step_of_its_life_in_every_way_nothing_of_it_is_left(
    run_app, autojump_clock, nursery, restart, at, how
):
    """It works for a second, its hook for one, and its pause takes another: it is ended in each of them.

    `run_app` looks at what is left.
    """
    open_calls, told, told_to_the_end = [], [], []

    async def produce():
        open_calls.append(None)
        try:
            await trio.sleep(1)
        finally:
            open_calls.pop()
        raise ValueError("mine")

    async def take_long(app_context, callback):
        told.append(trio.current_time())
        await trio.sleep(1)
        told_to_the_end.append(trio.current_time())

    async with run_app(Hooked(take_long).namespace(), expect_failures=True) as app:
        producer = app.context.add_callback(produce, restart=restart, backoff=Backoff(first=2.0, factor=1.0))
        await trio.sleep(at)
        match how:
            case "remove" if not producer.over:
                app.context.remove_callback(producer)
            case "stop":
                app.actor.stop()
            case "stop at once":
                app.actor.stop(deadline=trio.current_time())
            case "cancel":
                app.actor.connection_nursery.cancel_scope.cancel()
        failures = len([what for what in app.recorder.failed_parts if "produce" in what])
        await trio.sleep(3)
        assert producer.over
        assert producer.state == ("failed" if restart == "temporary" and at > 1 else "removed")
        assert open_calls == []
        assert len(told) == producer.failures == failures  # each once, and none is begun after the end
        if how != "stop at once":
            assert told_to_the_end == [moment + 1 for moment in told]
