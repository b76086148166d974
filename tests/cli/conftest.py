"""Real processes of `python -m supervisor`, and apps in directories of their own."""

import contextlib
import http.client
import re
import textwrap
from urllib.parse import urlsplit

import attrs
import pytest

from supervisor.cli.main import run

from .program import PATIENCE as PATIENCE
from .program import Program


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    text: str


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
