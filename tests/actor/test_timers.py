import math
import weakref

import pytest
import trio

from supervisor.actor.timers import TimerQueue


@pytest.fixture
async def timers():
    timers = TimerQueue()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.testing.wait_all_tasks_blocked()
        yield timers
        nursery.cancel_scope.cancel()


@pytest.fixture
def rung():
    """The names of the alarms that have rung, with their times since the start."""
    return []


@pytest.fixture
def ring(autojump_clock, rung):
    start = autojump_clock.current_time()
    return lambda name: lambda: rung.append((name, trio.current_time() - start))


async def test_alarms_ring_in_order_of_their_times_and_then_of_their_setting(autojump_clock, timers, ring, rung):
    timers.call_after(2, ring("second"))
    timers.call_after(1, ring("first"))
    timers.call_after(2, ring("third"))
    await trio.sleep(5)
    assert rung == [("first", 1), ("second", 2), ("third", 2)]
    assert len(timers) == 0


async def test_an_alarm_that_is_due_before_all_others_moves_the_queue_s_sleep(autojump_clock, timers, ring, rung):
    timers.call_after(10, ring("late"))
    await trio.testing.wait_all_tasks_blocked()
    timers.call_after(1, ring("early"))
    await trio.sleep(2)
    assert rung == [("early", 1)]
    await trio.sleep(20)
    assert rung[1:] == [("late", 10)]


async def test_a_time_that_has_passed_rings_at_once(autojump_clock, timers, ring, rung):
    timers.call_at(-math.inf, ring("past"))
    assert rung == []  # in the queue's own turn
    await trio.testing.wait_all_tasks_blocked()
    assert rung == [("past", 0)]


async def test_a_cancelled_alarm_does_not_ring_and_may_be_cancelled_again(autojump_clock, timers, ring, rung):
    alarm = timers.call_after(1, ring("cancelled"))
    timers.call_after(1, ring("kept"))
    alarm.cancel()
    alarm.cancel()
    assert len(timers) == 1
    await trio.sleep(2)
    assert rung == [("kept", 1)]


async def test_an_alarm_can_cancel_another_of_the_same_time_and_itself(autojump_clock, timers, ring, rung):
    def first():
        own.cancel()
        other.cancel()
        rung.append("first")

    own = timers.call_after(1, first)
    other = timers.call_after(1, ring("other"))
    timers.call_after(1, ring("third"))
    timers.call_after(2, ring("fourth"))
    await trio.sleep(3)
    assert rung == ["first", ("third", 1), ("fourth", 2)]
    assert len(timers) == 0


async def test_cancelling_after_it_rang_does_nothing(autojump_clock, timers, ring, rung):
    alarm = timers.call_after(1, ring("rung"))
    timers.call_after(3, ring("waiting"))
    await trio.sleep(2)
    alarm.cancel()
    assert len(timers) == 1
    await trio.sleep(2)
    assert [name for name, _ in rung] == ["rung", "waiting"]


async def test_an_alarm_set_while_another_rings_rings(autojump_clock, timers, ring, rung):
    timers.call_after(1, lambda: timers.call_after(1, ring("set by the first")))
    await trio.sleep(3)
    assert [name for name, _ in rung] == ["set by the first"]


async def test_cancelled_alarms_do_not_heap_up(autojump_clock, timers, ring):
    kept = [timers.call_after(1_000 + number, ring(number)) for number in range(10)]
    for _ in range(10_000):
        timers.call_after(500, ring("never")).cancel()
        assert len(timers._heap) <= 2 * len(kept) + 1
    assert len(timers) == len(kept)


async def test_cancelled_alarms_below_the_bound_are_swept_when_their_time_comes(autojump_clock, timers, ring, rung):
    early = timers.call_after(1, ring("cancelled"))
    for number in range(5):
        timers.call_after(2, ring(number))
    early.cancel()
    assert len(timers) == 5
    await trio.sleep(1.5)
    assert len(timers) == len(timers._heap) == 5
    await trio.sleep(1)
    assert [name for name, _ in rung] == [0, 1, 2, 3, 4]


async def test_its_run_can_be_cancelled_and_begun_again(autojump_clock, ring, rung):
    timers = TimerQueue()
    began = trio.current_time()
    with trio.move_on_after(1):
        await timers.run()
    timers.call_after(10, ring("set between"))
    await trio.sleep(9)  # which the alarm doesn't wake: nobody is parked in the queue
    assert trio.current_time() - began == 10
    with trio.move_on_after(5):
        await timers.run()
    assert rung == [("set between", 11)]


async def test_what_has_rung_is_let_go_of_at_once_and_not_when_the_next_alarm_rings(autojump_clock, timers):
    class Session:
        def expire(self):
            pass

    session = Session()
    gone = weakref.ref(session)
    timers.call_after(1, session.expire)
    del session
    await trio.sleep(2)
    assert gone() is None


async def test_by_hand_it_rings_what_is_due_by_a_time_of_its_own():
    """Whoever rings by hand says what time it is, and asks when something is due next; no task runs."""
    time, rung = [100.0], []
    timers = TimerQueue(lambda: time[0])
    assert timers.next_at == math.inf
    first = timers.call_after(1.0, lambda: rung.append(1))
    timers.call_after(2.0, lambda: rung.append(2))
    assert timers.next_at == 101.0
    first.cancel()
    assert timers.next_at == 102.0
    assert len(timers) == 1
    timers.ring_due(101.5)
    assert rung == []
    time[0] = 102.0
    timers.ring_due(time[0])
    assert rung == [2]
    assert timers.next_at == math.inf
