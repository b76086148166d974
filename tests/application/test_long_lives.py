"""What lives long keeps no growing list of past exceptions: ten thousand of each kind, and none of them is left."""

import gc

import pytest
import trio

from supervisor.actor.base import Runtime
from supervisor.actor.restart import Backoff
from supervisor.instruments import Instruments
from supervisor.session.receivers import receives

TIMES = 10_000
MANY = 20
"""Exceptions that may be alive, of ten thousand: those in hand."""


class Boom(Exception):
    """What the code of these tests raises."""


class Counting(Instruments):
    """Counts what fails, and keeps nothing of it; so does a log."""

    def __init__(self):
        self.failures = 0

    def failed(self, incident):
        assert isinstance(incident.error, Boom), incident
        self.failures += 1


class Fail:
    """A message."""


@pytest.fixture
def seen():
    return Counting()


@pytest.fixture
def long_lived(run_app, seen):
    @receives(Fail)
    async def on_fail(doc, message):
        await trio.lowlevel.checkpoint()
        raise Boom

    namespace = {"modify_document": lambda doc: None, "on_fail": on_fail}
    runtime = Runtime(instruments=seen, random=lambda: 0.5)
    return run_app(namespace, runtime=runtime, linger=1e9, first_attach=1e9)


def alive():
    gc.collect()
    return sum(isinstance(each, Boom) for each in gc.get_objects())


async def fail():
    async with trio.open_nursery() as nursery:  # so that it is a group, as of a producer with tasks of its own
        nursery.start_soon(fail_at_once)


async def fail_at_once():
    raise Boom


async def test_a_producer_that_fails_ten_thousand_times(long_lived, seen, autojump_clock):
    async with long_lived as app:
        producer = app.context.add_callback(fail, backoff=Backoff(first=1.0, factor=1.0))
        await trio.sleep(TIMES - 0.5)
        assert (producer.failures, seen.failures) == (TIMES, TIMES)
        assert alive() <= MANY


async def test_ten_thousand_producers_that_fail_for_good(long_lived, seen, autojump_clock):
    async with long_lived as app:
        for _ in range(TIMES):
            app.context.add_callback(fail_at_once, restart="temporary")
        await trio.sleep(1)
        assert seen.failures == TIMES
        assert app.context.statistics().failed_producers == 100
        assert alive() <= MANY


async def test_a_callback_that_fails_ten_thousand_times(long_lived, seen, autojump_clock):
    async with long_lived as app:
        app.context.add_periodic_callback(fail, seconds=1.0)
        await trio.sleep(TIMES + 0.5)
        assert seen.failures == TIMES
        assert alive() <= MANY


async def test_ten_thousand_handlers_that_fail(long_lived, seen, autojump_clock):
    async with long_lived as app:
        session = await app.open()
        for _ in range(TIMES // 2):
            await session.tell(Fail())
            with pytest.raises(Boom):
                await session.ask(Fail())
        assert seen.failures == TIMES
        assert alive() <= MANY


async def test_ten_thousand_background_tasks_that_fail(long_lived, seen, autojump_clock):
    async with long_lived as app:
        session = await app.open()
        for _ in range(TIMES // 100):
            for _ in range(100):
                session.start_soon(fail)
            await trio.testing.wait_all_tasks_blocked()
        assert seen.failures == TIMES
        assert alive() <= MANY
