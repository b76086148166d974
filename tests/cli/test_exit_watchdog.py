"""The exit watchdog in this process; that it ends a real one is in serve/."""

import contextlib
import math
import os
import signal
import threading
import time

import pytest
import trio
import trio.testing

from supervisor.actor.stalls import StackReader
from supervisor.cli import exit_watchdog
from supervisor.cli.exit_watchdog import ExitWatchdog

STACKS = StackReader({}, is_own=lambda file: file == __file__)
PATIENCE = 30.0


class Given:
    """Notes when it was given up, and by whom it was held."""

    def __init__(self):
        self.event = threading.Event()
        self.holders = None
        self.at = None

    def up(self, holders):
        self.holders, self.at = holders, time.monotonic()
        self.event.set()


@pytest.fixture
def given():
    return Given()


@contextlib.contextmanager
def deaf():
    """Without a handler that would end the tests."""
    previous = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def spin_until(event):
    """Holds the loop, as an app's own code."""
    until = time.monotonic() + PATIENCE
    while not event.is_set() and time.monotonic() < until:
        pass


async def test_code_that_holds_the_loop_is_named(given):
    watchdog = ExitWatchdog((0.05, 0.0), stacks=STACKS, give_up=given.up, grace=0.05)
    with deaf(), watchdog.watching():
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        spin_until(given.event)
    assert given.at - began >= 0.1
    (holder,) = given.holders
    assert holder.who == f"thread {threading.current_thread().name}"
    assert holder.where.startswith("spin_until, line ")
    assert "in spin_until" in holder.stack


class Arrivals:
    """Stands in for the socket that signals arrive at, and for the clock: time passes while one is waited for."""

    def __init__(self, *arrivals):
        self.now = 0.0
        self._arrivals = [*arrivals, (math.inf, b"")]
        self._timeout = math.inf

    def settimeout(self, seconds):
        self._timeout = math.inf if seconds is None else seconds

    def recv(self, size):
        at, arrived = self._arrivals[0]
        if at - self.now > self._timeout:
            self.now += self._timeout
            raise TimeoutError
        self.now = at
        del self._arrivals[0]
        return arrived


@pytest.mark.parametrize(
    ("arrivals", "at"),
    [
        ([(1.0, signal.SIGTERM)], 1111.0),
        ([(1.0, signal.SIGTERM), (2.0, signal.SIGINT)], 112.0),
        ([(1.0, signal.SIGTERM), (2.0, signal.SIGTERM), (3.0, signal.SIGTERM)], 13.0),
        ([(1.0, signal.SIGTERM), (1100.0, signal.SIGINT)], 1111.0),  # never more than there was
        ([(1.0, signal.SIGUSR1), (2.0, signal.SIGTERM)], 1112.0),
    ],
    ids=["one", "a second one leaves less time", "a third one leaves none but the grace", "late", "another"],
)
def test_each_signal_leaves_less_time(given, monkeypatch, arrivals, at):
    signals = Arrivals(*((when, bytes([number])) for when, number in arrivals))
    monkeypatch.setattr(time, "monotonic", lambda: signals.now)
    watchdog = ExitWatchdog((1100.0, 100.0), stacks=STACKS, give_up=given.up)
    watchdog._loop_thread = threading.get_ident()
    watchdog._watch(signals, -1)
    assert given.at == at


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_it_gives_up_also_if_what_holds_it_cannot_be_read(given):
    def unreadable(file):
        raise RuntimeError("not now")

    stacks = StackReader({}, is_own=unreadable)
    watchdog = ExitWatchdog((0.05, 0.0), stacks=stacks, give_up=given.up, grace=0.0)
    with deaf(), watchdog.watching():
        os.kill(os.getpid(), signal.SIGTERM)
        assert await trio.to_thread.run_sync(given.event.wait, PATIENCE)
    assert given.holders == []


async def test_a_shutdown_that_no_signal_began_is_watched_once_it_is_told_of(given):
    """And a signal that had begun it is not counted twice."""
    watchdog = ExitWatchdog((0.5, 0.0), stacks=STACKS, give_up=given.up, grace=0.0)
    with deaf(), watchdog.watching():
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        watchdog.stopping()
        assert await trio.to_thread.run_sync(given.event.wait, PATIENCE)
        assert given.at - began >= 0.5
    watchdog.stopping()  # too late, and no harm

    given.event.clear()
    watchdog = ExitWatchdog((0.05, 0.0), stacks=STACKS, give_up=given.up, grace=0.0)
    with deaf(), watchdog.watching():
        watchdog.stopping()
        assert await trio.to_thread.run_sync(given.event.wait, PATIENCE)


async def test_without_a_signal_and_after_a_good_end_nothing_happens(given):
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    before = threading.active_count()
    watchdog = ExitWatchdog((0.05, 0.05), stacks=STACKS, give_up=given.up, grace=0.05)
    with deaf(), watchdog.watching():
        os.kill(os.getpid(), signal.SIGTERM)
    assert threading.active_count() == before
    assert signal.set_wakeup_fd(fd) == fd
    assert not given.event.is_set()  # and the thread is gone that could do it


async def test_trio_hears_of_signals_all_the_same(given):
    watchdog = ExitWatchdog((1000.0, 1000.0), stacks=STACKS, give_up=given.up)
    with deaf(), watchdog.watching(), trio.open_signal_receiver(signal.SIGTERM, signal.SIGUSR1) as signals:
        with trio.fail_after(PATIENCE):
            for number in (signal.SIGUSR1, signal.SIGTERM):
                os.kill(os.getpid(), number)
                assert await anext(signals) == number


async def test_a_signal_that_another_thread_got_wakes_trio(given):
    """Only the descriptor tells: the loop's own wait is not interrupted."""
    waits = threading.Event()

    class Watching(trio.abc.Instrument):
        def before_io_wait(self, timeout):
            waits.set()

    def signal_itself():
        waits.wait(PATIENCE)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    watchdog = ExitWatchdog((1000.0, 1000.0), stacks=STACKS, give_up=given.up)
    with deaf(), watchdog.watching(), trio.open_signal_receiver(signal.SIGUSR1) as signals:
        began = time.monotonic()
        with trio.fail_after(PATIENCE):
            threading.Thread(target=signal_itself).start()
            trio.lowlevel.add_instrument(Watching())
            assert await anext(signals) == signal.SIGUSR1
    assert time.monotonic() - began < PATIENCE / 2


async def test_threads_and_tasks_of_apps_are_named_the_loops_thread_first(given, nursery):
    release = threading.Event()
    blocking = trio.Event()

    def block():
        trio.from_thread.run_sync(blocking.set)
        release.wait(PATIENCE)

    async def wait_for_thread():
        await trio.to_thread.run_sync(block)

    watchdog = ExitWatchdog((1.0, 1.0), stacks=STACKS, give_up=given.up)
    with watchdog.watching():
        nursery.start_soon(wait_for_thread, name="waiting")
        await blocking.wait()
        found = []
        await trio.to_thread.run_sync(lambda: found.extend(watchdog.holders()))
        release.set()
    functions = [holder.where.partition(",")[0].rpartition(".")[2] for holder in found]
    assert "block" in functions
    assert "wait_for_thread" in functions
    assert found[0].who.startswith("thread ")


async def test_what_only_waits_for_threads_is_told_from_what_unwinds(nursery):
    release = threading.Event()

    async def wait_for_thread():
        await trio.to_thread.run_sync(release.wait, PATIENCE)

    async def unwind():
        await trio.sleep_forever()

    def is_own(file):
        return False

    nobody = ExitWatchdog((1.0, 1.0), stacks=StackReader({}, is_own=is_own), give_up=lambda holders: None)
    with nobody.watching():
        assert not nobody.only_threads_go_on()
    watchdog = ExitWatchdog((1.0, 1.0), stacks=STACKS, give_up=lambda holders: None)
    with watchdog.watching():
        nursery.start_soon(wait_for_thread)
        await trio.testing.wait_all_tasks_blocked()
        only_threads = watchdog.only_threads_go_on()
        nursery.start_soon(unwind)
        await trio.testing.wait_all_tasks_blocked()
        with_another = watchdog.only_threads_go_on()
        release.set()
    assert (only_threads, with_another) == (True, False)
    nursery.cancel_scope.cancel()


def test_ten_seconds_are_added():
    assert exit_watchdog.LAST_GRACE == 10
