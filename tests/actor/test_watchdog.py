"""A loop that doesn't turn is reported while it doesn't, and when it does again. These run in real time."""

import gc
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor.stalls import StackReader
from supervisor.actor.watchdog import COLLECTION, Watchdog
from supervisor.instruments import Instruments

LIMIT = 0.05
PATIENCE = 60.0
"""Seconds that a thread may take before a test fails: machines can be slow."""
STACKS = StackReader({}, lambda file: file == __file__)


class Reports(Instruments):
    """Keeps what was told, and in which thread."""

    def __init__(self):
        self.told = []
        self.first = threading.Event()

    def loop_blocked(self, **told):
        self.told.append({**told, "thread": threading.get_ident()})
        self.first.set()


@pytest.fixture
def reports():
    return Reports()


@pytest.fixture
async def watchdog(reports):
    dog = Watchdog(LIMIT, stacks=STACKS, instruments=reports)
    with dog.watching():
        yield dog
    assert "supervisor watchdog" not in {thread.name for thread in threading.enumerate()}


async def turn():
    """Let the loop turn: a turn is over when it waits, also for no time at all."""
    for _ in range(3):
        await trio.lowlevel.checkpoint()


def own(reports):
    """What was told of `reports.first.wait`: a machine that gives the test no time for so long is told of as well."""
    return [each for each in reports.told if "reports.first.wait(PATIENCE)" in each["stack"]]


async def over(reports):
    """Let the loop turn until each stall that was told is over; a busy machine takes some turns to tell that."""
    with trio.fail_after(PATIENCE):
        while [each["over"] for each in reports.told].count(True) < len(reports.told) / 2:
            await turn()


async def test_code_is_named_while_it_holds_the_loop_and_again_when_it_is_over(watchdog, reports):
    await turn()
    assert reports.first.wait(PATIENCE)  # this very line holds the loop
    await over(reports)
    first, last = own(reports)
    assert first["thread"] != threading.get_ident()
    assert not first["over"]
    assert first["what"].startswith("task ")
    assert re.search(r"test_code_is_named.*, line \d+ of .*test_watchdog.py", first["where"])
    assert first["seconds"] >= LIMIT
    assert last["thread"] == threading.get_ident()
    assert last["over"]
    assert last["seconds"] >= first["seconds"]
    assert (last["where"], last["stack"]) == (first["where"], first["stack"])


@pytest.fixture
def by_hand(reports, monkeypatch):
    """A watchdog without a thread: `dog, now`; time is `now[0]`, and nothing was computed in it."""
    now = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    dog = Watchdog(LIMIT, stacks=STACKS, instruments=reports, clock=lambda: now[0])
    dog._thread = threading.get_ident()
    return dog, now


async def test_each_stall_is_told_once_and_counted_with_the_worst_case(by_hand, reports):
    dog, now = by_hand
    for looks in (3, 9, 5):
        dog.after_io_wait(0)
        for _ in range(looks):
            now[0] += dog._look()
        dog.before_io_wait(0)
    assert [each["over"] for each in reports.told] == 3 * [False, True]
    statistics = dog.statistics()
    assert statistics.blocked == 3
    first, second, third = (each["seconds"] for each in reports.told if each["over"])
    assert statistics.longest == second > third > first > max(each["seconds"] for each in reports.told[::2])


async def test_a_loop_that_waits_or_turns_often_is_not_accused(by_hand, reports):
    dog, now = by_hand
    for _ in range(40):
        dog.after_io_wait(0)
        now[0] += dog._look() / 2
        dog.before_io_wait(0)
    for _ in range(40):
        now[0] += dog._look()
    assert reports.told == []
    dog.after_io_wait(0)
    for _ in range(5):
        now[0] += dog._look()
    assert [each["over"] for each in reports.told] == [False]


async def test_code_that_keeps_pythons_lock_is_named_as_soon_as_it_lets_go(watchdog, reports):
    await turn()
    size = 1_000_000
    while not any("sum(range(size))" in each["stack"] for each in reports.told):
        sum(range(size))  # one call of C
        size *= 2
        assert size < 10**10


async def test_many_pieces_of_work_in_one_turn_are_no_single_one(watchdog, reports):
    def spin():
        until = time.perf_counter() + LIMIT / 10
        while time.perf_counter() < until:
            pass

    def are_named():
        return any(
            each["what"].startswith("many pieces of work and no single one, task work ") for each in reports.told
        )

    async def work():
        await trio.lowlevel.checkpoint()
        while not are_named():
            spin()
            await trio.lowlevel.checkpoint()

    with trio.move_on_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(work, name=f"work {number}")
    assert are_named()


async def test_the_collector_is_named_when_it_is_what_held_the_loop(watchdog, reports):
    circles = []
    for _ in range(300_000):
        circle = []
        circle.append(circle)
        circles.append(circle)
    await turn()
    reports.told.clear()
    for _ in range(10):  # a busy machine may be told of first, and there is one report for each turn
        while not reports.told:
            gc.collect()
        if reports.told[0]["what"] == COLLECTION:
            return
        await over(reports)
        reports.told.clear()
    pytest.fail("the collector was not named")


async def test_the_collector_in_another_thread_or_for_a_short_time_is_not(watchdog, reports):
    await turn()
    watchdog._note_collection("start", {})
    watchdog._note_collection("stop", {})
    await trio.to_thread.run_sync(gc.collect)
    await turn()
    assert reports.first.wait(PATIENCE)
    assert reports.told[0]["what"].startswith("task ")


async def test_what_ends_while_the_watchdog_looks_is_told_whole(reports):
    """1. The watchdog finds that a turn lasts too long; 2. the turn ends before the watchdog has opened the stall."""
    dog = Watchdog(LIMIT, stacks=STACKS, instruments=reports)
    with dog.watching():
        dog._ended.set()
        await turn()
        sample = STACKS.sample(threading.get_ident())
        dog._report(began=-1.0, seconds=2 * LIMIT, sample=sample, before=None)
        await turn()
    assert [each["over"] for each in reports.told] == [False, True]
    assert {each["seconds"] for each in reports.told} == {2 * LIMIT}


class Calling(Reports):
    """Calls the loop for each first report, and waits for that."""

    def __init__(self, token):
        super().__init__()
        self.token = token
        self.called = []
        self.over = trio.Event()

    def loop_blocked(self, **told):
        if "reports.first.wait" not in told["stack"]:  # another one, of a slow machine
            return
        if not told["over"]:
            self.first.set()
            trio.from_thread.run_sync(self.called.append, told, trio_token=self.token)
        self.told.append({**told, "thread": threading.get_ident()})
        if told["over"]:
            self.over.set()


async def test_who_hears_of_a_stall_may_call_the_loop_which_does_not_wait_for_it():
    """1. The first report is under way; 2. the stall ends; 3. only then the report is made, and then the second one."""
    reports = Calling(trio.lowlevel.current_trio_token())
    with Watchdog(LIMIT, stacks=STACKS, instruments=reports).watching():
        await turn()
        assert reports.first.wait(PATIENCE)
        with trio.fail_after(PATIENCE):
            await reports.over.wait()
    first, last = reports.told
    assert len(reports.called) == 1
    assert [first["over"], last["over"]] == [False, True]
    assert last["seconds"] >= first["seconds"]
    assert last["thread"] == threading.get_ident() != first["thread"]


async def test_a_suspension_at_the_end_of_a_stall_is_no_part_of_it(by_hand, reports):
    """1. A stall is reported; 2. the process is suspended; 3. the turn ends before the watchdog looks again."""
    dog, now = by_hand
    dog.after_io_wait(0)
    for _ in range(3):
        now[0] += dog._look()
    assert [each["over"] for each in reports.told] == [False]
    now[0] += 1000.0
    dog.before_io_wait(0)
    assert reports.told[1]["over"]
    assert reports.told[1]["seconds"] < 4 * LIMIT


async def test_a_stall_that_lasts_to_the_end_of_the_watch_is_told_whole(reports):
    dog = Watchdog(LIMIT, stacks=STACKS, instruments=reports)
    with dog.watching():
        await turn()
        assert reports.first.wait(PATIENCE)
    assert [each["over"] for each in own(reports)] == [False, True]


SUSPENDED = textwrap.dedent("""
    import time, trio
    from supervisor.actor.stalls import StackReader
    from supervisor.actor.watchdog import Watchdog
    from supervisor.instruments import Instruments

    class Told(Instruments):
        def loop_blocked(self, **told):
            print("blocked", told["seconds"], flush=True)

    async def main():
        with Watchdog(0.5, stacks=StackReader({}, bool), instruments=Told()).watching():
            for turn in range(10):
                for piece in range(10):  # most of the time it is in the midst of a turn, of 0.2 s
                    time.sleep(0.02)
                    if (turn, piece) == (1, 5):  # the watch began in the midst of the first turn
                        print("ready", flush=True)
                await trio.sleep(0)
        print("over", flush=True)

    trio.run(main)
""")


def test_a_process_that_was_suspended_accuses_nobody():
    process = subprocess.Popen(
        [sys.executable, "-c", SUSPENDED], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # three times the limit
        process.send_signal(signal.SIGCONT)
        *told, last = process.stdout.read().splitlines()
    assert last == "over"
    # On a busy machine the turns themselves may be longer than the limit; those that are told of lack the suspension.
    assert all(float(each.removeprefix("blocked ")) < 1.5 for each in told), told


def test_numbers_are_frozen(reports):
    dog = Watchdog(LIMIT, stacks=STACKS, instruments=reports)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        dog.statistics().blocked = 1
    assert repr(dog) == "<Watchdog limit=0.05 s LoopStatistics(blocked=0, longest=0.0)>"
