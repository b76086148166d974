"""`python -m supervisor watch URL`: print a session's document as it changes."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from typing import Any, final

import click
import trio

from supervisor.actor.guard import unwrap
from supervisor.cli.help import Command
from supervisor.cli.parameters import Count, Seconds, read_headers
from supervisor.client.address import page_address
from supervisor.client.changes import Change
from supervisor.client.connecting import CONNECT, connect
from supervisor.client.session import ClientSession
from supervisor.errors import SupervisorError
from supervisor.protocol.pointer import split

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _read_url(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        page_address(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    return value


def _read_pointer(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        split(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    return value


@click.command(cls=Command)
@click.argument("url", metavar="URL", callback=_read_url)
@click.option("--json", "as_json", is_flag=True, help='Print one line per revision: {"revision":…,"data":…}.')
@click.option(
    "--patches",
    is_flag=True,
    help='Print one line per revision with what changed, as a JSON Patch: {"revision":…,"operations":[…]}.',
)
@click.option(
    "--path",
    default="",
    metavar="POINTER",
    callback=_read_pointer,
    help="Print only this part, a JSON Pointer such as /prices/ACME, and only when it changes.",
)
@click.option("--count", type=Count(1), default=None, help="Stop after this many; the first is the initial document.")
@click.option(
    "--timeout",
    type=Seconds(zero=False),
    default=None,
    help="Stop after this time; with --count that is an error, since there were fewer.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    callback=read_headers,
    metavar="NAME:VALUE",
    help="A header to send with each request, such as 'Cookie: login=…'. May be repeated.",
)
def watch(
    url: str,
    as_json: bool,
    patches: bool,
    path: str,
    count: int | None,
    timeout: float | None,
    headers: list[tuple[bytes, bytes]],
) -> int:
    """Print the document of the session behind the page at URL, and then its changes, until Ctrl-C.

    It visits the page as a browser does, so it gets a session of its own, unless the URL ends with ?session=ID.

    \b
    Examples:
      python -m supervisor watch http://127.0.0.1:5006/ticker
      python -m supervisor watch http://127.0.0.1:5006/ticker --path /watched
      python -m supervisor watch https://example.org/ticker --json | jq .data.watched
      python -m supervisor watch http://127.0.0.1:5006/ticker --json --count 1

    It prints the document to stdout, and what happens to the connection to stderr. While the server is away, it
    waits. When the session is gone, it loads the page again and goes on with the new session's document.

    \b
    Exit codes:
      0  Ctrl-C or SIGTERM, or --count or --timeout was reached, or nobody reads the output any more
      1  there is no session at URL, the session was ended, or --timeout came before --count
      2  wrong usage: an unknown option or an invalid value
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    if sys.stdout is None:  # closed before Python began: its number may be another file's soon
        raise _InVain("stdout is closed, so there is nowhere to print the document")
    if as_json and patches:
        raise click.UsageError("--json and --patches are two forms of output; give one of them")
    form = _json_line if as_json else _patch_line if patches else _Readable(sys.stdout.isatty())
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    watching = _Watching(form, path=path, count=count, timeout=timeout)
    try:
        trio.run(watching.run, url, texts)
    except KeyboardInterrupt:  # a moment before or after signals are listened to
        return 0
    except BaseExceptionGroup as group:
        error = unwrap(group)
        if isinstance(error, BrokenPipeError):
            _drop_stdout()
            return 0
        if isinstance(error, trio.TooSlowError):
            raise _InVain(str(error)) from error
        raise error from None
    if count is not None and watching.printed < count and not watching.was_stopped:
        raise _InVain(f"only {watching.printed} of {count} came within {timeout:g} s")
    return 0


class _InVain(SupervisorError):
    """What was waited for did not come in time."""


Form = Callable[[Change], str]


@final
class _Watching:
    """One run of the command."""

    def __init__(self, form: Form, *, path: str, count: int | None, timeout: float | None) -> None:
        self._form = form
        self._path = path
        self._count = count
        self._timeout = timeout
        self.printed = 0
        self.was_stopped = False

    async def run(self, url: str, headers: list[tuple[str, str]]) -> None:
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop_on_signal, signals, nursery.cancel_scope)
                nursery.start_soon(self._stop_unread, nursery.cancel_scope)
                await self._watch(url, headers)
                nursery.cancel_scope.cancel()

    async def _stop_on_signal(self, signals: Any, scope: trio.CancelScope) -> None:
        async for _ in signals:
            self.was_stopped = True
            scope.cancel()

    async def _stop_unread(self, scope: trio.CancelScope) -> None:
        """Stop when nobody reads the pipe any more; a write would tell it too, but the document may never change."""
        file = _stdout()
        if sys.platform == "linux" and file is not None and stat.S_ISFIFO(os.fstat(file).st_mode):
            await trio.lowlevel.wait_readable(file)  # the writer's end of a pipe never is: epoll tells of its error
            self.was_stopped = True
            scope.cancel()

    async def _watch(self, url: str, headers: list[tuple[str, str]]) -> None:
        timeout = math.inf if self._timeout is None else self._timeout
        deadline = trio.current_time() + timeout
        async with connect(url, headers=headers, timeout=min(CONNECT, timeout)) as session:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell_of_connection, session)
                with trio.move_on_at(deadline):
                    await self._print_changes(session)
                nursery.cancel_scope.cancel()

    async def _print_changes(self, session: ClientSession) -> None:
        write = _writer()
        async for change in session.changes(self._path):
            # In a thread: who reads slowly must not keep us from answering the server, nor Ctrl-C from ending this.
            await trio.to_thread.run_sync(write, self._form(change) + "\n", abandon_on_cancel=True)
            self.printed += 1
            if self.printed == self._count:
                return


async def _tell_of_connection(session: ClientSession) -> None:
    """Say on stderr what happens to the connection, once each."""
    # The last status that was told, and how many sessions there had been when it was last live.
    told, sessions = session.status, session.status.sessions
    async for status in session.statuses():
        if status.state == "live":
            if told.state == "restarting":
                click.echo("The session was restarted.", err=True)
            elif told.state != "live":
                again = "Connected again." if status.sessions == sessions else "Connected to a new session."
                click.echo(again, err=True)
            sessions = status.sessions
        elif status.state == "restarting" and told.state != "restarting":
            click.echo(status.reason, err=True)
        elif status.state == "reconnecting" and status.reason != told.reason:
            click.echo(f"{_printable(status.reason)} Waiting for the server.", err=True)
        told = status


# The forms


def _json_line(change: Change) -> str:
    return _compact({"revision": change.revision, "data": change.value})


def _patch_line(change: Change) -> str:
    return _compact({"revision": change.revision, "operations": change.operations})


_SIGNS = {"add": "+", "remove": "-", "replace": " "}


@final
class _Readable:
    """For people: the whole document first, then what changed, one line for each place."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def __call__(self, change: Change) -> str:
        lines = [
            click.style(f"revision {change.revision}", dim=True) if self._is_terminal else f"revision {change.revision}"
        ]
        if change.is_first or change.is_new_session:
            text = json.dumps(change.value, indent=2, ensure_ascii=False)
            lines += [_printable(line) for line in text.splitlines()]
        else:
            lines += [self._line(operation) for operation in change.operations]
        return "\n".join(lines)

    def _line(self, operation: dict[str, Any]) -> str:
        line = f"{_SIGNS[operation['op']]} {operation['path'] or '(the whole document)'}"
        if "value" in operation:
            line += f"  {_compact(operation['value'])}"
        line = _printable(line)
        if self._is_terminal:
            width = max(shutil.get_terminal_size().columns, 20)
            line = line if len(line) <= width else line[: width - 1] + "…"
        return line


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _printable(text: str) -> str:
    """Without what a terminal would obey: a document is untrusted."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)


# The output


def _writer() -> Callable[[str], None]:
    """Writes to stdout at once, around Python's buffer: a thread that hangs in it would hold up the program's end."""
    file = _stdout()
    if file is None:
        return lambda text: click.echo(text, nl=False)
    sys.stdout.flush()

    def write(text: str) -> None:
        left = memoryview(text.encode("utf-8", "replace"))
        try:
            while left:
                left = left[os.write(file, left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(f"stdout can't be written: {error.strerror}") from error

    return write


def _stdout() -> int | None:
    """The number of stdout's file; None if it is no real one, but a test's."""
    try:
        return sys.stdout.fileno()
    except (OSError, ValueError):
        return None


def _drop_stdout() -> None:
    """Nobody reads stdout any more: what Python has in its buffer goes nowhere, and no error is told at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
