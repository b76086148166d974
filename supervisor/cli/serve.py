"""`python -m supervisor serve APP…`: serve apps on one port until told to stop."""

from __future__ import annotations

import atexit
import contextlib
import ipaddress
import math
import os
import re
import shlex
import signal
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import trio

from supervisor.actor.guard import unwrap
from supervisor.application.loading import load_application
from supervisor.application.options import ApplicationOptions
from supervisor.cli.collector import tune_collector
from supervisor.cli.logs import LogInstruments, adopt_logging, make_logger
from supervisor.errors import ApplicationError
from supervisor.identity import KeyRing
from supervisor.server import Server, ServerOptions
from supervisor.transport.listener import explain_listen_error, open_listeners
from supervisor.transport.origin import parse_allowed
from supervisor.transport.websocket import WebSocketOptions


class _Seconds(click.ParamType[float]):
    """A number of seconds; 0 where that makes sense."""

    name = "seconds"

    def __init__(self, *, zero: bool) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        if seconds == 0 and not self._zero:
            self.fail("it must be more than 0 seconds.", param, ctx)
        return seconds


def _host(_: click.Context, __: click.Parameter, value: str) -> str:
    host = value.removeprefix("[").removesuffix("]")  # as it stands in a URL
    if not _is_address(host):
        try:
            scheme, host, port = parse_allowed(host)
        except ValueError:
            host = ""
        if not host or scheme or port:
            raise click.BadParameter(f"{value!r} is no name or address such as localhost or 127.0.0.1.")
    return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _prefix(_: click.Context, __: click.Parameter, value: str) -> str:
    parts = [part for part in value.split("/") if part]
    if not all(re.fullmatch(r"[A-Za-z0-9._~-]+", part) and part.strip(".") and part != "-" for part in parts):
        raise click.BadParameter(f"{value!r} is no path such as /tools/live.")
    return "".join(f"/{part}" for part in parts)


def _origins(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            parse_allowed(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from None
    return values


@click.command(short_help="Serve one or more apps on one port.")
@click.argument("apps", metavar="APP...", nargs=-1, required=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=_host,
    help="The address or name to listen on; 0.0.0.0 or :: lets other machines in.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5006,
    show_default=True,
    help="The port to listen on; 0 for any free one.",
)
@click.option(
    "--prefix",
    default="",
    callback=_prefix,
    metavar="PATH",
    help="A path to put before all addresses, such as /tools/live.",
)
@click.option(
    "--allow-origin",
    multiple=True,
    callback=_origins,
    metavar="NAME",
    help="A name that this server is reached by, such as example.org or https://example.org:8443. May be repeated.",
)
@click.option(
    "--session-ids",
    type=click.Choice(["generated", "any"]),
    default="generated",
    show_default=True,
    help="Whose ids count: only those made here, or whatever ?session=ID names (a public name; hooks decide).",
)
@click.option(
    "--secret-key-file",
    type=click.Path(path_type=Path),
    help="A file with the key that tokens are signed with, readable by its owner only. Without it the key is new"
    " at each start, and pages that are open then must be loaded anew.",
)
@click.option(
    "--linger",
    type=_Seconds(zero=True),
    default=15.0,
    show_default=True,
    help="How long a session outlives its last connection.",
)
@click.option("--max-age", type=_Seconds(zero=False), default=None, help="The longest that a session may live.")
@click.option(
    "--max-sessions", type=click.IntRange(1), default=1000, show_default=True, help="Sessions at once, per app."
)
@click.option(
    "--max-creating",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Sessions that are created at once, per app.",
)
@click.option(
    "--max-message-size",
    type=click.IntRange(1024),
    default=1024 * 1024,
    show_default=True,
    help="Bytes of one message of a browser.",
)
@click.option(
    "--hook-timeout", type=_Seconds(zero=False), default=10.0, show_default=True, help="How long a hook may take."
)
@click.option(
    "--shutdown-timeout",
    type=_Seconds(zero=True),
    default=20.0,
    show_default=True,
    help="How long a shutdown may take.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is logged to stderr.",
)
def serve(
    apps: tuple[str, ...], host: str, port: int, secret_key_file: Path | None, log_level: str, **options: Any
) -> int:
    """Serve each APP at http://HOST:PORT/NAME, until SIGTERM or Ctrl-C.

    An APP is a directory with a main.py, a file x.py, a module, or module:function. It is served under the name of
    the directory, file, module or function; one APP alone is found at / too.

    \b
    Examples:
      python -m supervisor serve demos/hostwatch
      python -m supervisor serve chat.py stocks --port 8080
      python -m supervisor serve chat.py --host 0.0.0.0 --allow-origin chat.example.org

    Addresses go to stdout, one line for each APP, once connections are accepted. Logs go to stderr. The exit code is
    0 after a stop, 1 if an APP or the system failed, and 2 for wrong usage.
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    log = make_logger(log_level)
    adopt_logging(log, log_level)
    keys = None
    if secret_key_file is not None:
        keys = KeyRing((read_key(secret_key_file),))
    server_options = ServerOptions(
        application=ApplicationOptions(
            linger=options["linger"],
            max_age=options["max_age"],
            max_sessions=options["max_sessions"],
            max_creating=options["max_creating"],
            hook_timeout=options["hook_timeout"],
        ),
        websocket=WebSocketOptions(max_message_size=options["max_message_size"]),
        prefix=options["prefix"],
        # The printed URL has the host in it, so the server must answer to that name; to addresses it always does.
        allow_origins=options["allow_origin"] if _is_address(host) else (*options["allow_origin"], host),
        session_ids=options["session_ids"],
        shutdown_timeout=options["shutdown_timeout"],
        keys=keys,
    )
    applications = [load_application(app) for app in apps]
    for application in applications:
        for warning in application.warnings:
            log.warning(warning, application=application.name)
    server = Server(applications, options=server_options, instruments=LogInstruments(log))
    with _signals_noted() as early:
        try:
            trio.run(_serve, server, host, port, log, early)
        except BaseExceptionGroup as group:
            raise unwrap(group) from None
    return 0


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Around `trio.run`, which listens to signals only while it runs: have those that come a moment before or after.

    Those before it are in the list. After a good end all is done, so a signal only ends the process sooner, with exit
    code 0: whoever asks for the end twice gets what one who asked once gets.
    """
    noted: list[int] = []
    previous = {number: signal.signal(number, lambda number, _: noted.append(number)) for number in _SIGNALS}
    try:
        yield noted
    except BaseException:
        for number, handler in previous.items():
            signal.signal(number, handler)
        raise
    for number in _SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))
    atexit.register(_ignore_signals)  # Python takes its handlers away, at the very last


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def _serve(server: Server, host: str, port: int, log: Any, early: Sequence[int]) -> None:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        if early:
            return
        try:
            listeners = await open_listeners(host, port)
        except OSError as error:
            raise ApplicationError(explain_listen_error(error, host=host, port=port)) from error
        if server.options.keys is None:
            log.info("no --secret-key-file: open pages must be loaded anew after a restart")
        loading = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, server, loading, signals, log)
            nursery.start_soon(_leave_in_time, server, log)
            with loading:
                await nursery.start(server.serve, listeners)
            if not loading.cancelled_caught:
                tune_collector()
                actual = listeners[0].socket.getsockname()[1]
                shown = f"[{host}]" if ":" in host else host
                for name in server.applications:
                    click.echo(f"{name} is served at http://{shown}:{actual}{server.options.prefix}/{name} ")
                await server.wait_stopped()
            nursery.cancel_scope.cancel()


async def _stop_on_signal(server: Server, loading: trio.CancelScope, signals: Any, log: Any) -> None:
    """Shut down at the first signal; where apps are still loading, there is nothing to wait for."""
    async for number in signals:
        log.info("stopping", signal=signal.Signals(number).name)
        loading.cancel()
        server.stop()


THREAD_GRACE = 1.0
"""Seconds after a shutdown's deadline in which blocked threads may still come back."""


async def _leave_in_time(server: Server, log: Any) -> None:
    """End the process if a blocked thread of an app holds the shutdown up: nobody can cancel a thread.

    The hooks are over by then, but for those of a session whose own thread it is: then the exit code is 1.
    """
    await server.wait_stopping()
    await trio.sleep(server.options.shutdown_timeout + THREAD_GRACE)
    unloaded = all(application.has_unloaded for application in server.applications.values())
    log.error("a thread of an app goes on; the process leaves it behind", hooks_done=unloaded)
    os._exit(0 if unloaded else 1)


_OF_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


def read_key(file: Path) -> bytes:
    """Read a secret key, which nobody else may be able to read.

    Raises:
        ApplicationError: it can't be read, others may read or change it, or it is too short.
    """
    try:
        mode = file.stat().st_mode
        key = file.read_bytes().strip()
    except OSError as error:
        raise ApplicationError(f"the key file {file} can't be read: {error.strerror}") from error
    if mode & _OF_OTHERS and os.name == "posix":
        raise ApplicationError(
            f"others may read or change the key file {file}; run: chmod 600 {shlex.quote(str(file))}"
        )
    if len(key) < 16:
        raise ApplicationError(
            f"the key in {file} is too short, {len(key)} of at least 16 bytes; "
            'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
        )
    return key
