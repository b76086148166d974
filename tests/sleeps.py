"""Who may wait for real time in our tests, and what notices everybody else who does.

`time.sleep` is found in the sources by tests/codebase/test_sleeps.py. What waits by trio can't be seen there, since it
depends on the clock that runs; nor whether a process ended in time. So both are noticed while the tests run, and fail
the test that did it.
"""

import contextlib
import functools
import subprocess
import sys
from pathlib import Path

import trio
import trio.testing

TESTS = Path(__file__).parent

ALLOWED = {
    "actor/test_watchdog.py::test_a_process_that_was_suspended_accuses_nobody": "a real process "
    "stands still for longer than its limit, which it measures by its own clock",
    "cli/program.py::end_under": "signals come until a real process is over, and some in its last moments",
    "cli/test_watch.py::test_ctrl_c_ends_it_though_nobody_reads": "a real program that would end by itself, and not by "
    "the signal, is told by a second in which it doesn't",
    "docs/proxies.py::wait_until": "nginx and HAProxy tell nobody of their state: they are asked for it",
    "hostile/test_smuggling.py::ask": "a proxy that waits for the rest of an attack says nothing",
}
"""Where, as file and function, and why virtual time or an event would not do."""


def _relative():
    """From when the time is counted that a function takes: from now on."""
    return 0.0


class Noticed:
    """What a test has waited for in real time, by trio or for a process."""

    def __init__(self):
        self._waited = []
        self._scopes = []

    def watch(self):
        """Notice from now on: for the whole run."""
        trio.sleep = self._noticing_sleep(trio.sleep)
        trio.sleep_until = self._noticing_sleep(trio.sleep_until, trio.current_time)
        trio.move_on_after = self._noticing_scope(trio.move_on_after)
        trio.move_on_at = self._noticing_scope(trio.move_on_at, trio.current_time)
        trio.fail_after = self._noticing_failure(trio.fail_after)
        trio.fail_at = self._noticing_failure(trio.fail_at, trio.current_time)
        subprocess.Popen.wait = self._noticing_process(subprocess.Popen.wait)

    def take(self):
        """Where it was waited, and not allowed, since the last call."""
        waited = self._waited + [place for place, scope in self._scopes if scope.cancelled_caught]
        self._waited, self._scopes = [], []
        return sorted(set(waited) - ALLOWED.keys())

    def _noticing_sleep(self, sleep, now=_relative):
        @functools.wraps(sleep)
        async def noticing(time):
            if time > now() and (place := _on_real_clock(sys._getframe(1))):
                self._waited.append(place)
            await sleep(time)

        return noticing

    def _noticing_scope(self, make, now=_relative):
        @functools.wraps(make)
        def noticing(time, **options):
            scope = make(time, **options)
            if time > now() and (place := _on_real_clock(sys._getframe(1))):
                self._scopes.append((place, scope))
            return scope

        return noticing

    def _noticing_failure(self, make, now=_relative):
        @functools.wraps(make)
        def noticing(time, **options):
            return failing(time > now() and _on_real_clock(sys._getframe(1)), time, **options)

        @contextlib.contextmanager
        def failing(place, time, **options):
            with make(time, **options) as scope:
                if place:
                    self._scopes.append((place, scope))
                yield scope

        return noticing

    def _noticing_process(self, wait):
        @functools.wraps(wait)
        def noticing(process, timeout=None):
            try:
                return wait(process, timeout)
            except subprocess.TimeoutExpired:
                if place := _place(sys._getframe(1)):
                    self._waited.append(place)
                raise

        return noticing


def _on_real_clock(frame):
    """As `_place()`, and None where the clock is virtual."""
    return None if isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock) else _place(frame)


def _place(frame):
    """The caller's file and function, if it is one of our tests."""
    return place_of(Path(frame.f_code.co_filename), frame.f_code.co_name)


_LEFT_OUT = ("e2e", "stress", "benchmarks", "sleeps.py")


def place_of(file, function):
    """How `ALLOWED` names a function of a file; None for what is no test, or one in a real browser or under stress."""
    if not file.is_relative_to(TESTS) or file.relative_to(TESTS).parts[0] in _LEFT_OUT:
        return None
    return f"{file.relative_to(TESTS).as_posix()}::{function}"
