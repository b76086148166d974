"""Who may wait for real time in our tests, and what notices everybody else who does.

`time.sleep` is found in the sources by tests/codebase/test_sleeps.py. What waits by trio can't be seen there, since it
depends on the clock that runs; so it is noticed while the tests run, and fails the test that did it.
"""

import functools
import sys
from pathlib import Path

import trio
import trio.testing

TESTS = Path(__file__).parent

ALLOWED = {
    "actor/test_watchdog.py::block": "a loop is blocked by code that is busy in real time",
    "actor/test_watchdog.py::test_a_loop_that_waits_or_turns_often_is_not_accused": "it is a thread, not on our clock",
    "actor/test_watchdog.py::test_who_hears_of_a_stall_may_call_the_loop_which_does_not_wait_for_it": "the same",
    "actor/test_watchdog.py::test_a_process_that_was_suspended_accuses_nobody": "another process stands still a while",
    "cli/test_exit_watchdog.py::test_a_second_signal_leaves_less_time": "real signals, after which nothing happens",
    "cli/test_exit_watchdog.py::test_a_third_signal_leaves_none": "signals that come too fast are one signal",
    "cli/test_exit_watchdog.py::signal_itself": "nobody tells when the loop waits in the system",
    "cli/test_serve.py::test_a_log_that_nobody_reads_any_more_does_not_keep_the_process": "another fills a pipe",
    "cli/test_serve.py::test_a_second_signal_cuts_the_work_short_and_hooks_run": "a handler of another process begins",
    "demos/programs.py::wait_until": "another program's state is asked for until it is as it should be",
    "development/test_watcher.py::start": "nobody tells when the system has begun to watch a folder",
    "development/test_watcher.py::test_a_directory_that_was_replaced_is_watched_again": "the same",
    "docs/proxies.py::run_program": "another program is asked until it answers",
    "hostile/test_smuggling.py::ask": "a proxy that says nothing is given a moment",
    "testing/test_clock.py::call": "a thread is at work in real time, and the clock must not jump",
    "testing/test_clock.py::main": "the same",
    "testing/test_clock.py::on_stopwatch": "the same",
    "testing/test_clock.py::sleep_around_another_thread": "the same",
    "testing/test_harness.py::on_sleep": "the same",
}
"""Where, as file and function, and why virtual time or an event would not do."""


class Noticed:
    """What a test has waited for by trio, in real time."""

    def __init__(self):
        self._slept = []
        self._scopes = []

    def watch(self):
        """Notice from now on: for the whole run."""
        trio.sleep = self._noticing_sleep(trio.sleep)
        trio.move_on_after = self._noticing_scope(trio.move_on_after)

    def take(self):
        """Where it was waited, and not allowed, since the last call."""
        slept = self._slept + [place for place, scope in self._scopes if scope.cancelled_caught]
        self._slept, self._scopes = [], []
        return sorted(set(slept) - ALLOWED.keys())

    def _noticing_sleep(self, sleep):
        @functools.wraps(sleep)
        async def noticing(seconds):
            if seconds > 0 and (place := self._place(sys._getframe(1))):
                self._slept.append(place)
            await sleep(seconds)

        return noticing

    def _noticing_scope(self, move_on_after):
        @functools.wraps(move_on_after)
        def noticing(seconds, **options):
            scope = move_on_after(seconds, **options)
            if seconds > 0 and (place := self._place(sys._getframe(1))):
                self._scopes.append((place, scope))
            return scope

        return noticing

    def _place(self, frame):
        """The caller's file and function, if it is one of our tests and its clock is real."""
        if isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
            return None
        return place_of(Path(frame.f_code.co_filename), frame.f_code.co_name)


_LEFT_OUT = ("e2e", "stress", "benchmarks", "sleeps.py")


def place_of(file, function):
    """How `ALLOWED` names a function of a file; None for what is no test, or one in a real browser or under stress."""
    if not file.is_relative_to(TESTS) or file.relative_to(TESTS).parts[0] in _LEFT_OUT:
        return None
    return f"{file.relative_to(TESTS).as_posix()}::{function}"
