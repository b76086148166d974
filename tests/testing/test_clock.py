"""Virtual time that waits for threads, and the wall clock."""

import math
import threading
import time
from functools import partial

import pytest
import trio
import trio.testing

from supervisor.actor.tasks import all_tasks, frames_of
from supervisor.application.handlers import NamespaceHandler
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing.clock import EPOCH, LOOK_AGAIN, Clock, threads_at_work, waiting_for_threads

PATIENCE = 20.0
"""Real seconds after which a test that hangs is over."""


class Work:
    """What a thread does until the clock has wanted to jump a few times meanwhile: an eternity, if it did.

    Its method `asked` stands where a clock asks for threads, of which this tells none.
    """

    def __init__(self):
        self._began = False
        self._times = 0
        self._over = threading.Event()

    def __call__(self):
        self._began = True
        assert self._over.wait(PATIENCE)

    def asked(self):
        self._times += self._began
        if self._times == 3:
            self._over.set()
        return 0


class Stopwatch:
    pass


def app_of(ticks, **handlers):
    """It ticks each second."""

    def modify_document(doc):
        doc.add_periodic_callback(lambda: ticks.append(trio.current_time()), seconds=1.0)

    return NamespaceHandler({"modify_document": modify_document, **handlers}, where="app")


def in_a_thread_of_trio(work):
    """Under a limiter of its own."""

    @receives(Stopwatch)
    async def on_stopwatch(doc, message):
        await trio.to_thread.run_sync(work, limiter=trio.CapacityLimiter(1))
        return "stopped"

    return on_stopwatch


def in_a_worker(work):
    @receives(Stopwatch, thread=True)
    def on_stopwatch(doc, message):
        work()
        return "stopped"

    return on_stopwatch


@pytest.mark.virtual_time("it would be a thousand ticks too many")
@pytest.mark.parametrize("handler", [in_a_thread_of_trio, in_a_worker])
async def test_no_time_passes_while_a_thread_works(supervise, handler):
    """Left alone, the clock would jump from tick to tick until the thread is back: thousands of times."""
    ticks, work = [], Work()
    async with supervise(app_of(ticks, on_stopwatch=handler(work))) as app:
        session = await app.new_session()
        await session.connect()
        began = trio.current_time()
        with waiting_for_threads(work.asked):
            assert await session.context.ask(Stopwatch(), timeout=0.01) == "stopped"
        assert trio.current_time() == began
        assert len(ticks) < 3
        before = len(ticks)
        await trio.sleep(60.5)  # and afterwards it jumps as before
        assert len(ticks) - before == 60


@pytest.mark.virtual_time("an hour passes")
async def test_an_hour_passes_at_once(supervise):
    """Heartbeats, lingering and periodic callbacks of an hour: real seconds would be 3600."""
    ticks = []
    began = time.perf_counter()
    async with supervise(app_of(ticks)) as app:
        watched, left = await app.new_session(), await app.new_session()
        client = await watched.connect()
        away = await left.connect()
        await away.close()
        await trio.sleep(3600)
        assert client.status == "live"
        assert list(app.sessions) == [watched.context]
        assert len(ticks) >= 3600
    assert time.perf_counter() - began < PATIENCE


@pytest.mark.parametrize("abandon", [False, True])
async def test_a_thread_that_waits_for_the_loop_is_not_at_work(autojump_clock, abandon):
    """Else time would stand still for ever: the thread waits for the loop, and the loop for the thread."""
    began = trio.current_time()
    work = Work()

    def call():
        trio.from_thread.run(trio.sleep, 1_000)
        work()

    with waiting_for_threads(work.asked), trio.move_on_after(5_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_sleep_long)
            await trio.to_thread.run_sync(call, abandon_on_cancel=abandon)
            assert trio.current_time() - began == 1_000
            nursery.cancel_scope.cancel()
    assert trio.current_time() - began == 1_000


async def _sleep_long():
    await trio.sleep(3_000)


async def test_a_thread_that_works_while_another_waits_is_at_work(autojump_clock):
    work = Work()
    with waiting_for_threads(work.asked), trio.fail_after(0.01):
        await trio.to_thread.run_sync(trio.from_thread.run, trio.to_thread.run_sync, work)


async def test_a_call_of_the_apps_own_is_no_work_of_the_thread(supervise):
    def modify_document(doc):
        doc.data["n"] = 1

    async with supervise(modify_document) as app:
        began = trio.current_time()
        await trio.to_thread.run_sync(app.context.call_from_thread, trio.sleep, 2.0)
        assert 2.0 <= trio.current_time() - began < 2.0 + PATIENCE


async def test_blocks_may_overlap_and_each_is_asked(autojump_clock):
    counts = [0, 0]
    asked, woken = [], trio.Event()

    def count(index):
        asked.append(index)
        if asked.count(1) == 3:
            woken.set()
        return counts[index]

    first, second = (waiting_for_threads(partial(count, index)) for index in (0, 1))
    with first:
        with second:
            counts[1] = 1
            with trio.fail_after(10):
                await woken.wait()
            assert trio.current_time() == 0.0
        await trio.sleep(10)  # a block that was left doesn't count
        counts[0] = 1
    await trio.sleep(10)
    assert trio.current_time() == 20.0
    assert autojump_clock.autojump_threshold == 0.0


async def test_a_threshold_of_the_tests_own_comes_back():
    clock = trio.lowlevel.current_clock()
    assert not isinstance(clock, trio.testing.MockClock)
    with waiting_for_threads():  # nothing to do
        pass

    async def main():
        work = Work()
        with waiting_for_threads(work.asked):
            await trio.to_thread.run_sync(work)
            assert mock.autojump_threshold == LOOK_AGAIN
            await trio.sleep(5)
        return mock.autojump_threshold

    mock = trio.testing.MockClock(autojump_threshold=0.002)
    assert await trio.to_thread.run_sync(lambda: trio.run(main, clock=mock)) == 0.002
    assert LOOK_AGAIN != 0.002


async def test_without_threads_nothing_is_searched(autojump_clock, monkeypatch):
    monkeypatch.setattr("supervisor.testing.clock.all_tasks", None)
    with waiting_for_threads():
        await trio.sleep(5)
    assert trio.current_time() == 5


# What of trio this stands on.

ADVICE = "trio has changed: see how its run loop and its threads work now, and mend supervisor/testing/clock.py"


def test_trios_clock_is_asked_to_jump_by_the_name_that_we_replace():
    """`MockClock` has no public way to be kept from jumping."""
    clock, jumps = trio.testing.MockClock(autojump_threshold=0), []
    jump = clock._autojump

    def noted():
        jumps.append(1)
        jump()

    clock._autojump = noted
    trio.run(trio.sleep, 1, clock=clock)
    assert jumps, ADVICE


@pytest.mark.parametrize(("abandon", "name"), [(False, "run"), (True, "run_system")])
async def test_what_serves_a_thread_in_the_loop_has_the_frames_that_we_look_for(abandon, name):
    seen = []

    async def look():
        await trio.lowlevel.checkpoint()
        seen.append(await _names_in_threads_module())

    await trio.to_thread.run_sync(trio.from_thread.run, look, abandon_on_cancel=abandon)
    assert name in seen[0], ADVICE


async def _names_in_threads_module():
    here = trio.lowlevel.current_task()
    names = []

    async def watch():
        names.extend(
            frame.f_code.co_name
            for frame in frames_of(here)
            if frame.f_code.co_filename == trio.to_thread.run_sync.__code__.co_filename
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
    return names


async def test_trio_counts_its_threads_at_work():
    gate = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, gate.wait, PATIENCE)
        await trio.testing.wait_all_tasks_blocked()
        assert threads_at_work() == 1, ADVICE
        assert threads_at_work(2) == 3
        gate.set()
    assert threads_at_work() == 0, ADVICE
    assert len(list(all_tasks(trio.lowlevel.current_root_task()))) > 1


# The test's own hand on time.


async def test_a_jump_rings_what_is_due_once(autojump_clock):
    rung = []

    async def tick():
        while True:
            await trio.sleep(10)
            rung.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await trio.testing.wait_all_tasks_blocked()
        Clock().jump(3600)
        assert rung == []
        await trio.testing.wait_all_tasks_blocked()
        assert rung == [3600]
        nursery.cancel_scope.cancel()


async def test_a_real_clock_cannot_jump():
    clock = Clock()
    assert not clock.is_virtual
    with pytest.raises(RuntimeError, match="a real clock can't jump: give the test virtual time"):
        clock.jump(1)


async def test_the_wall_clock_is_set_alone(mock_clock):
    clock = Clock()
    assert clock.is_virtual
    assert clock.wall() == EPOCH
    clock.shift_wall(-60)
    mock_clock.jump(10)
    assert (clock.wall(), trio.current_time()) == (EPOCH - 50, 10)
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match="seconds must be a number"):
            clock.shift_wall(wrong)


async def test_tokens_age_by_the_wall_clock(supervise):
    async with supervise(lambda doc: None, options=ServerOptions(token_max_age=30.0)) as app:
        session, other = await app.new_session(), await app.new_session()
        app.clock.shift_wall(29)
        await other.connect()
        app.clock.shift_wall(2.5)
        client = session.client(follow_reload=False)
        assert "too old" in (await client.until_ended()).reason
