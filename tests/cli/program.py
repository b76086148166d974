"""One process of `python -m supervisor`, for tests that are no trio tasks: `supervise_process()` is for those that are.

Its output is read as it comes, so it is never held up by a full pipe.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that anything may take before a test fails: machines can be slow."""


class Program:
    """One process of ours, whose output is read as it comes."""

    def __init__(self, *arguments, cwd=None, env=None, command=(sys.executable, "-m", "supervisor")):
        self._process = subprocess.Popen(
            [*map(str, command), *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._output = {self._process.stdout: b"", self._process.stderr: b""}
        self._open = set(self._output)
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._read, args=(stream,), daemon=True) for stream in self._output]
        for reader in self._readers:
            reader.start()

    @property
    def stdout(self):
        return self._output[self._process.stdout].decode()

    @property
    def stderr(self):
        return self._output[self._process.stderr].decode()

    def _read(self, stream):
        with stream:
            while read := os.read(stream.fileno(), 65536):
                with self._changed:
                    self._output[stream] += read
                    self._changed.notify_all()
        with self._changed:
            self._open.discard(stream)
            self._changed.notify_all()

    def _read_until(self, condition, patience=PATIENCE):
        """Wait until the condition holds, or until the process's end; returns what it returned last."""
        until = time.monotonic() + patience
        with self._changed:
            while not (holds := condition()) and self._open:
                in_time = self._changed.wait(until - time.monotonic())
                assert in_time, f"waited in vain; stdout:\n{self.stdout}\nstderr:\n{self.stderr}"
        return holds

    def until_served(self, apps=1):
        """Wait for the lines on stdout; returns the URLs in them."""
        self._read_until(lambda: self.stdout.count("\n") >= apps)
        lines = self.stdout.splitlines()
        assert len(lines) == apps, f"stdout:\n{self.stdout}\nstderr:\n{self.stderr}"
        return [re.search(r"https?://\S+(?= |$)", line)[0] for line in lines]

    def until_printed(self, text, *, times=1):
        self._read_until(lambda: self.stdout.count(text) >= times)
        assert self.stdout.count(text) >= times, f"stdout:\n{self.stdout}\nstderr:\n{self.stderr}"

    def until_logged(self, text):
        self.until_log_matches(re.escape(text))

    def until_log_matches(self, pattern):
        """Wait until a part of the log matches; returns the match."""
        found = self._read_until(lambda: re.search(pattern, self.stderr))
        assert found, f"nothing like {pattern!r} in the log:\n{self.stderr}"
        return found

    def send(self, number):
        self._process.send_signal(number)

    def end(self, patience=PATIENCE):
        """Wait for the end; returns the exit code."""
        self._read_until(lambda: False, patience)
        return self._process.wait(patience)

    def stop(self, number=signal.SIGTERM):
        self.send(number)
        return self.end()

    def end_under(self, number):
        """Send a signal every few milliseconds until the end; returns the exit code."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.send(number)
            try:
                self._process.wait(0.003)
            except subprocess.TimeoutExpired:
                continue
            return self.end()
        raise AssertionError("it doesn't end")

    def close(self):
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)  # so that its lines are counted
        self.kill()

    def kill(self):
        """End it without a word, if it goes on; what it wrote stays."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
