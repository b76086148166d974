"""Real processes of `python -m supervisor`, and apps in directories of their own."""

import contextlib
import http.client
import os
import re
import selectors
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import pytest

from supervisor.cli.main import run

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that anything may take before a test fails: machines can be slow."""


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    text: str


class Program:
    """One process of ours, whose output is read as it comes."""

    def __init__(self, *arguments, cwd, env=None, command=(sys.executable, "-m", "supervisor")):
        self._process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._output = {self._process.stdout: b"", self._process.stderr: b""}
        self._open = selectors.DefaultSelector()
        for stream in self._output:
            self._open.register(stream, selectors.EVENT_READ)

    @property
    def stdout(self):
        return self._output[self._process.stdout].decode()

    @property
    def stderr(self):
        return self._output[self._process.stderr].decode()

    def _read_until(self, condition):
        """Read what the process writes until the condition holds, or until its end."""
        until = time.monotonic() + PATIENCE
        while self._open.get_map() and not condition():
            ready = self._open.select(until - time.monotonic())
            assert ready, f"waited in vain; stdout:\n{self.stdout}\nstderr:\n{self.stderr}"
            for key, _ in ready:
                read = os.read(key.fd, 65536)
                if not read:
                    self._open.unregister(key.fileobj)
                self._output[key.fileobj] += read

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
        self._read_until(lambda: text in self.stderr)
        assert text in self.stderr

    def send(self, number):
        self._process.send_signal(number)

    def end(self):
        """Wait for the end; returns the exit code."""
        self._read_until(lambda: False)
        return self._process.wait(PATIENCE)

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
        try:
            self._process.wait(15)  # so that its lines are counted
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._open.close()
        for stream in self._output:
            stream.close()


@pytest.fixture(scope="module")
def module_programs():
    with contextlib.ExitStack() as stack:
        yield stack


def _starter(stack):
    def start(*arguments, **options):
        program = Program(*arguments, **options)
        stack.callback(program.close)
        return program

    return start


@pytest.fixture
def start():
    """Start the program: `start("serve", "app.py", cwd=…)`."""
    with contextlib.ExitStack() as stack:
        yield _starter(stack)


@pytest.fixture(scope="module")
def start_shared(module_programs):
    """The same, for programs that the tests of a module share."""
    return _starter(module_programs)


def _fetch(url, *, method="GET", headers=()):
    """One request, without following a redirect."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, headers={"Host": parts.netloc, **dict(headers)})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read().decode())


@pytest.fixture(scope="session")
def fetch():
    """One request, without following a redirect: `fetch(url)`."""
    return _fetch


def _write_files(directory, files):
    """Write files whose text is indented as a test shows it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(textwrap.dedent(text))
    return directory


@pytest.fixture(scope="session")
def write_files():
    """Write an app's files, indented as a test shows them: `write_files(directory, {name: text})`."""
    return _write_files


@pytest.fixture
def app(tmp_path):
    """Write a script `app.py`; returns its path."""

    def write(text, name="app.py"):
        _write_files(tmp_path, {name: text})
        return tmp_path / name

    return write


@attrs.frozen
class Result:
    code: int
    stdout: str
    stderr: str

    @property
    def error(self):
        """The one line of an error."""
        lines = [line for line in self.stderr.splitlines() if not line.startswith(("20", "application="))]
        assert len(lines) == 1, self.stderr
        (line,) = lines
        assert line.startswith("Error: ")
        assert not re.search("[│╭╰─]", line), "a box"
        return line


@pytest.fixture
def cli(capsys):
    """Run a command in this process, which is faster: `cli("serve", …)`. For what ends by itself."""

    def call(*arguments):
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return call
