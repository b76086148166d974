"""Producers: background work that is called again when it fails."""

import pytest
import trio
import trio.lowlevel

from supervisor.application.producers import Producer, next_delay


def test_the_pauses_double_to_a_minute_and_begin_anew_after_a_minute_of_running():
    delays, delay = [], 0.0
    for _ in range(10):
        delay = next_delay(delay, ran=0)
        delays.append(delay)
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert next_delay(60, ran=59.9) == 60
    assert next_delay(60, ran=60) == 0.5
    assert next_delay(4, ran=1000) == 0.5


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


async def test_one_with_a_yield_has_failed_since_nothing_of_it_runs(run_app, autojump_clock):
    async def produce():
        yield

    async with run_app({"modify_document": lambda doc: None}, expect_failures=True) as app:
        app.context.add_callback(produce)
        await trio.sleep(0.1)
        (incident,) = app.recorder.incidents
        assert "produce has a yield in it" in str(incident.error)


async def test_removing_one_cancels_it_and_twice_is_an_error(run_app, autojump_clock):
    unwound = []

    async def produce():
        try:
            await trio.sleep_forever()
        finally:
            unwound.append(True)

    async with run_app({"modify_document": lambda doc: None}) as app:
        producer = app.context.add_callback(produce)
        assert "running" in repr(producer)
        await trio.testing.wait_all_tasks_blocked()
        app.context.remove_callback(producer)
        await trio.testing.wait_all_tasks_blocked()
        assert unwound == [True]
        assert "over" in repr(producer)
        finished = app.context.add_callback(int)
        await trio.testing.wait_all_tasks_blocked()
        for over in (producer, finished, Producer(int, (), report=None)):
            with pytest.raises(ValueError, match="was removed already, has finished, or is another application's"):
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
        Producer(5, (), report=None)


async def test_alone_it_can_be_run_and_ended():
    reported = []
    producer = Producer(trio.sleep_forever, (), report=lambda what, error: reported.append(what))
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

    producer = Producer(fail, (), report=report)
    await producer.run()
    assert reported == ["ValueError('mine')", "RuntimeError('ours')"]
    assert producer.over
