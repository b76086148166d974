"""Background tasks: in scopes of their own, which a restart cancels."""

import pytest
import trio
import trio.testing

from supervisor.session.background import GRACE, Background


@pytest.fixture
def reports():
    return []


@pytest.fixture
def background(reports):
    def report(what, error):
        reports.append((what, error))

    return Background(report)


async def test_they_run_and_are_forgotten(nursery, background, reports):
    done = []

    async def asynchronous(value):
        await trio.lowlevel.checkpoint()
        done.append(value)

    background.start(nursery, done.append, ("plain",))
    background.start(nursery, asynchronous, ("asynchronous",))
    assert len(background) == 2
    await trio.testing.wait_all_tasks_blocked()
    assert done == ["plain", "asynchronous"]
    assert len(background) == 0
    assert reports == []


async def test_a_failure_is_reported_with_the_functions_name(nursery, background, reports):
    def fail():
        raise ValueError("mine")

    background.start(nursery, fail, ())
    await trio.testing.wait_all_tasks_blocked()
    ((what, error),) = reports
    assert what.startswith("background task test_a_failure_is_reported")
    assert isinstance(error, ValueError)


async def test_all_but_some_are_ended_and_waited_for(nursery, background, autojump_clock):
    ended = []

    async def run(name, seconds):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)
            ended.append(name)

    background.start(nursery, run, ("kept", 0))
    kept = background.running()
    background.start(nursery, run, ("quick", 1))
    background.start(nursery, run, ("slow", 3))
    await trio.testing.wait_all_tasks_blocked()
    background.start(nursery, run, ("never begun", 0))
    assert await background.end(but=kept) == []
    assert ended == ["quick", "slow"]
    assert trio.current_time() == 3
    assert background.running() == kept
    nursery.cancel_scope.cancel()


async def test_those_that_take_too_long_are_named_and_not_waited_for(nursery, background, autojump_clock):
    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    background.start(nursery, stubborn, ())
    await trio.testing.wait_all_tasks_blocked()
    (late,) = await background.end()
    assert "stubborn" in late
    assert trio.current_time() == GRACE


def test_without_a_nursery_none_is_started(background, reports):
    assert not background.start(None, print, ())
    assert len(background) == 0
