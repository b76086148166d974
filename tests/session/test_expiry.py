"""The end of a session that nobody is attached to."""

import pytest
import trio

from supervisor.actor.timers import TimerQueue
from supervisor.session.expiry import Expiry


@pytest.fixture
def ended():
    """Why the session was ended, with the times since the start."""
    return []


@pytest.fixture
async def expiry(ended):
    timers, start = TimerQueue(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.testing.wait_all_tasks_blocked()
        yield Expiry(timers, lambda reason: ended.append((reason, trio.current_time() - start)))
        nursery.cancel_scope.cancel()


async def test_it_ends_the_session_at_its_time(expiry, ended, autojump_clock):
    expiry.start(5, "alone")
    await trio.sleep(100)
    assert ended == [("alone", 5)]


async def test_stopped_it_does_not(expiry, ended, autojump_clock):
    expiry.start(5, "alone")
    await trio.sleep(4)
    expiry.stop()
    await trio.sleep(100)
    assert ended == []


async def test_who_waits_to_be_let_in_puts_it_off_until_all_have_gone(expiry, ended, autojump_clock):
    expiry.start(5, "alone")
    with expiry.put_off():
        await trio.sleep(7)
        with expiry.put_off():
            await trio.sleep(1)
        await trio.sleep(2)
        assert ended == []
    await trio.sleep(100)
    assert ended == [("alone", 10)]


async def test_who_is_let_in_and_attaches_at_once_keeps_the_session(expiry, ended, autojump_clock):
    expiry.start(5, "alone")
    with expiry.put_off():
        await trio.sleep(7)
    expiry.stop()
    await trio.sleep(100)
    assert ended == []


async def test_an_end_that_was_put_off_is_not_made_up_for_once_it_was_stopped(expiry, ended, autojump_clock):
    """The session ended for another reason meanwhile."""
    expiry.start(5, "alone")
    with expiry.put_off():
        await trio.sleep(7)
        expiry.stop()
    await trio.sleep(100)
    assert ended == []
