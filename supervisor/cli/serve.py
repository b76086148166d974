"""`python -m supervisor serve APP…`: serve apps on one port until told to stop."""

from __future__ import annotations

import math
import os
import re
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import trio

from supervisor.actor.guard import unwrap
from supervisor.application.handlers import Application
from supervisor.application.loading import load_application
from supervisor.application.options import ApplicationOptions
from supervisor.cli.collector import tune_collector
from supervisor.cli.logs import LogInstruments, make_logger
from supervisor.errors import ApplicationError
from supervisor.identity import KeyRing
from supervisor.server import Server, ServerOptions
from supervisor.transport.listener import explain_listen_error, open_listeners
from supervisor.transport.origin import parse_allowed
from supervisor.transport.websocket import WebSocketOptions


class _Seconds(click.ParamType[float]):
    """A number of seconds, from 0 on."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


def _prefix(_: click.Context, __: click.Parameter, value: str) -> str:
    prefix = "/" + value.strip("/") if value.strip("/") else ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", prefix):
        raise click.BadParameter(f"{value!r} is no path such as /tools/live.")
    return prefix


def _origins(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            parse_allowed(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from None
    return values


@click.command(short_help="Serve one or more apps on one port.")
@click.argument("apps", metavar="APP...", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address or name to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5006,
    show_default=True,
    help="The port to listen on; 0 for any free one.",
)
@click.option("--prefix", default="", callback=_prefix, help="A path to put before all addresses.")
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
    " at each start.",
)
@click.option(
    "--linger",
    type=_Seconds(),
    default=15.0,
    show_default=True,
    help="How long a session outlives its last connection.",
)
@click.option("--max-age", type=_Seconds(), default=None, help="The longest that a session may live.")
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
@click.option("--hook-timeout", type=_Seconds(), default=10.0, show_default=True, help="How long a hook may take.")
@click.option(
    "--shutdown-timeout", type=_Seconds(), default=20.0, show_default=True, help="How long a shutdown may take."
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
    the directory, file, module or function.
    """
    log = make_logger(log_level)
    keys = None
    if secret_key_file is None:
        log.info("no --secret-key-file: open pages must be loaded anew after a restart")
    else:
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
        allow_origins=options["allow_origin"],
        session_ids=options["session_ids"],
        shutdown_timeout=options["shutdown_timeout"],
        keys=keys,
    )
    applications = [load_application(app) for app in apps]
    for application in applications:
        for warning in application.warnings:
            log.warning(warning, application=application.name)
    server = Server(applications, options=server_options, instruments=LogInstruments(log))
    try:
        trio.run(_serve, server, applications, host, port, log)
    except BaseExceptionGroup as group:
        raise unwrap(group) from None
    return 0


async def _serve(server: Server, applications: Sequence[Application], host: str, port: int, log: Any) -> None:
    try:
        listeners = await open_listeners(host, port)
    except OSError as error:
        raise ApplicationError(explain_listen_error(error, host=host, port=port)) from error
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, listeners)
            tune_collector()
            actual = listeners[0].socket.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            for application in applications:
                url = f"http://{shown}:{actual}{server.options.prefix}/{application.name}"
                click.echo(f"{application.name} is served at {url} ")
            nursery.start_soon(_stop_on_signal, server, signals, log)
            await server.wait_stopped()
            nursery.cancel_scope.cancel()


async def _stop_on_signal(server: Server, signals: Any, log: Any) -> None:
    async for number in signals:
        log.info("stopping", signal=signal.Signals(number).name)
        server.stop()


def read_key(file: Path) -> bytes:
    """Read a secret key, which nobody else may be able to read.

    Raises:
        ApplicationError: it can't be read, others may read it, or it is too short.
    """
    try:
        mode = file.stat().st_mode
        key = file.read_bytes().strip()
    except OSError as error:
        raise ApplicationError(f"the key file {file} can't be read: {error.strerror}") from error
    if mode & (stat.S_IROTH | stat.S_IRGRP) and os.name == "posix":
        raise ApplicationError(f"others may read the key file {file}; run: chmod 600 {file}")
    if len(key) < 16:
        raise ApplicationError(
            f"the key in {file} has {len(key)} bytes, and at least 16 are needed; "
            'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
        )
    return key
