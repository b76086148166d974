"""The options of `serve`, and the server's options that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from supervisor.actor.story import LONGEST_STORY
from supervisor.application.options import ApplicationOptions
from supervisor.cli.help import OTHERS, option
from supervisor.cli.keys import read_ring
from supervisor.cli.parameters import (
    Count,
    FilePath,
    Seconds,
    read_embedders,
    read_host,
    read_mode,
    read_origins,
    read_prefix,
    read_proxies,
)
from supervisor.server_options import ServerOptions
from supervisor.transport.address import Address
from supervisor.transport.tls import make_ssl_context
from supervisor.transport.websocket_options import LONGEST_PING_INTERVAL, WebSocketOptions

F = TypeVar("F", bound=Callable[..., Any])

ADDRESS = "Where it listens"
IDS = "Sessions and their ids"
LIMITS = "Limits and times"
DEVELOPMENT = "Development"
LOGS = "Logs"


def secret_key_file(text: str, *, group: str = OTHERS) -> Callable[[F], F]:
    """The option of that name: files of keys, of which the first signs and all are accepted."""
    return option(
        group,
        "--secret-key-file",
        type=FilePath(path_type=Path),
        multiple=True,
        metavar="FILE",
        help=f"{text} May be repeated, and a file may have several keys, one per line: the first one signs, and all"
        " are accepted.",
    )


OPTIONS = (
    option(
        ADDRESS,
        "--host",
        metavar="HOST",
        default="127.0.0.1",
        show_default=True,
        callback=read_host,
        help="The address or name to listen on; 0.0.0.0 or :: lets other machines in.",
    ),
    option(
        ADDRESS,
        "--port",
        type=Count(0, 65535),
        default=5006,
        show_default=True,
        help="The port to listen on; 0 for any free one.",
    ),
    option(
        ADDRESS,
        "--unix-socket",
        type=FilePath(),
        metavar="PATH",
        help="A Unix socket to listen on, instead of a port. It replaces the file of a server that has gone, and is"
        " removed at the end.",
    ),
    option(
        ADDRESS,
        "--unix-socket-mode",
        default="600",
        show_default=True,
        callback=read_mode,
        metavar="MODE",
        help="Who may connect to the Unix socket: 600 for this user only, 660 for its group too.",
    ),
    option(
        ADDRESS,
        "--ssl-certfile",
        type=FilePath(),
        metavar="FILE",
        help="A certificate in PEM, followed by its chain up to a certificate that browsers know. With it, the server"
        " speaks TLS, and addresses begin with https.",
    ),
    option(
        ADDRESS,
        "--ssl-keyfile",
        type=FilePath(),
        metavar="FILE",
        help="The certificate's private key in PEM, without a passphrase; not needed if the certificate file has it.",
    ),
    option(
        ADDRESS,
        "--prefix",
        default="",
        callback=read_prefix,
        metavar="PATH",
        help="A path that all addresses begin with, such as /tools/live.",
    ),
    option(
        ADDRESS,
        "--allow-origin",
        multiple=True,
        callback=read_origins,
        metavar="NAME",
        help="A name under which this server is reached, such as example.org or https://example.org:8443. May be"
        " repeated.",
    ),
    option(
        ADDRESS,
        "--allow-embedding",
        multiple=True,
        callback=read_embedders,
        metavar="ORIGIN",
        help="An origin whose pages may show this server's pages in a frame, such as https://portal.example.org. May be"
        " repeated.",
    ),
    option(
        ADDRESS,
        "--trusted-proxy",
        multiple=True,
        callback=read_proxies,
        metavar="ADDRESS",
        help="A proxy whose X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto are trusted: an IP address, a"
        " network such as 10.0.0.0/8, or the word unix for whoever connects to the Unix socket. May be repeated.",
    ),
    option(
        IDS,
        "--session-ids",
        type=click.Choice(["generated", "any", "external-signed"]),
        default="generated",
        show_default=True,
        help="Which session ids are accepted: only those made by this server, any that ?session=ID names (a public"
        " name; hooks decide), or only those that another program has signed with the key (see the command"
        " session-id).",
    ),
    secret_key_file(
        "A file with the key that signs tokens and ids, readable by its owner only. Without it, each start makes a"
        " random key.",
        group=IDS,
    ),
    option(
        IDS,
        "--linger",
        type=Seconds(zero=True),
        default=15.0,
        show_default=True,
        help="How long a session is kept after its last connection has closed.",
    ),
    option(
        IDS,
        "--max-age",
        type=Seconds(zero=False),
        default=None,
        help="The longest that a session may live.",
    ),
    option(
        LIMITS,
        "--max-sessions",
        type=Count(1),
        default=1000,
        show_default=True,
        help="Sessions at the same time, per app.",
    ),
    option(
        LIMITS,
        "--max-sessions-per-address",
        type=Count(1),
        default=100,
        show_default=True,
        help="Sessions at the same time for visitors from one address, per app; those from this machine don't count.",
    ),
    option(
        LIMITS,
        "--max-connections",
        type=Count(1),
        default=10_000,
        show_default=True,
        help="Connections at the same time, to all apps together; `ulimit -n` must allow as many files.",
    ),
    option(
        LIMITS,
        "--max-connections-per-session",
        type=Count(1),
        default=1000,
        show_default=True,
        help="Connections to one session at the same time.",
    ),
    option(
        LIMITS,
        "--max-creating",
        type=Count(1),
        default=50,
        show_default=True,
        help="Sessions being created at the same time, per app.",
    ),
    option(
        LIMITS,
        "--max-message-size",
        type=Count(1024),
        default=1024 * 1024,
        show_default=True,
        help="Characters in one message from a client, as JSON.",
    ),
    option(
        LIMITS,
        "--max-message-rate",
        type=Count(1),
        default=200,
        show_default=True,
        help="Messages per second from one client. Faster ones wait; a client that goes on for a minute is disconnected"
        " for a while.",
    ),
    option(
        LIMITS,
        "--max-document-size",
        type=Count(1024),
        default=16 * 1024 * 1024,
        show_default=True,
        help="Bytes in one session's document, as JSON.",
    ),
    option(
        LIMITS,
        "--ping-interval",
        type=Seconds(zero=False, most=LONGEST_PING_INTERVAL),
        default=20.0,
        show_default=True,
        help="How often each client is pinged; shorter than a proxy's idle timeout.",
    ),
    option(
        LIMITS,
        "--hook-timeout",
        type=Seconds(zero=False),
        default=10.0,
        show_default=True,
        help="How long a hook may take.",
    ),
    option(
        LIMITS,
        "--shutdown-timeout",
        type=Seconds(zero=True),
        default=20.0,
        show_default=True,
        help="How long a shutdown may take.",
    ),
    option(
        LIMITS,
        "--stall-limit",
        type=Seconds(zero=True),
        default=0.1,
        show_default=True,
        help="How long code may block the server before this is logged, with its stack; 0 for never.",
    ),
    option(
        LIMITS,
        "--drain-timeout",
        type=Seconds(zero=True),
        default=5.0,
        show_default=True,
        help="How long sessions may go on with waiting messages when a shutdown begins.",
    ),
    option(
        DEVELOPMENT,
        "--dev",
        is_flag=True,
        help="Reload an APP and its open pages when its files change, and show tracebacks in error pages. For this"
        " machine only.",
    ),
    option(
        DEVELOPMENT,
        "--show",
        is_flag=True,
        help="Open the app in a browser once it is served; if there are several, open their list.",
    ),
    option(
        LOGS,
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        help="The lowest level that is logged to stderr.",
    ),
    option(
        LOGS,
        "--story-length",
        type=Count(0, LONGEST_STORY),
        default=0,
        show_default=True,
        help="How many of a session's last events to keep, such as messages with their content, and to log with a"
        " failure; 0 for none.",
    ),
    option(
        LOGS,
        "--log-json",
        is_flag=True,
        help="Log one JSON object per line, for programs that read logs; the error that ends the server is one too.",
    ),
)


def serve_options(func: F) -> F:
    """Give a command all of them; its function takes each by its name."""
    for add in reversed(OPTIONS):
        func = add(func)
    return func


def make_address(
    *,
    host: str,
    port: int,
    unix_socket: str | None,
    unix_socket_mode: int,
    ssl_certfile: str | None,
    ssl_keyfile: str | None,
    dev: bool,
    show: bool,
    trusted_proxy: tuple[str, ...],
    **_: Any,
) -> Address:
    """Where the server listens.

    Raises:
        ApplicationError: a file of TLS can't be used.
        UsageError: options that don't go together.
    """
    context = click.get_current_context()
    if unix_socket is not None:
        for name in ("host", "port"):
            if _was_given(context, name):
                raise click.UsageError(f"--unix-socket and --{name} can't be used together: give one of them.", context)
        if show:
            raise click.UsageError(
                "--show and --unix-socket can't be used together: no browser opens a Unix socket.", context
            )
    elif _was_given(context, "unix_socket_mode"):
        raise click.UsageError("--unix-socket-mode needs --unix-socket.", context)
    if ssl_keyfile is not None and ssl_certfile is None:
        raise click.UsageError("--ssl-keyfile needs the certificate too: give --ssl-certfile.", context)
    address = Address(
        host=host,
        port=port,
        unix_socket=unix_socket,
        unix_socket_mode=unix_socket_mode,
        ssl_context=None if ssl_certfile is None else make_ssl_context(ssl_certfile, ssl_keyfile),
        option_names=("--host", "--port"),
    )
    if dev and not address.is_local:
        raise click.UsageError(
            f"--dev shows tracebacks to whoever can connect, so it needs --host 127.0.0.1 or localhost, not {host}.",
            context,
        )
    if dev and trusted_proxy:
        raise click.UsageError("--dev and --trusted-proxy can't be used together: a proxy lets strangers in.", context)
    return address


def _was_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)


def make_server_options(*, host: str, secret_key_file: tuple[Path, ...], **given: Any) -> ServerOptions:
    """What the server is told; `given` has the options by name, and what concerns no server is left alone.

    Raises:
        ApplicationError: a key file can't be used.
        UsageError: options that don't go together.
    """
    keys = read_ring(secret_key_file)
    if keys is None and given["session_ids"] == "external-signed":
        raise click.UsageError(
            "--session-ids external-signed needs the key that signs ids: give --secret-key-file.",
            click.get_current_context(silent=True),
        )
    return ServerOptions(
        application=ApplicationOptions(
            linger=given["linger"],
            max_age=given["max_age"],
            max_sessions=given["max_sessions"],
            max_sessions_per_address=given["max_sessions_per_address"],
            max_connections_per_session=given["max_connections_per_session"],
            max_document_size=given["max_document_size"],
            max_creating=given["max_creating"],
            hook_timeout=given["hook_timeout"],
            drain_timeout=given["drain_timeout"],
        ),
        websocket=WebSocketOptions(
            max_message_size=given["max_message_size"],
            max_message_rate=given["max_message_rate"],
            ping_interval=given["ping_interval"],
        ),
        max_connections=given["max_connections"],
        prefix=given["prefix"],
        allow_origins=(*given["allow_origin"], *Address(host=host).allowed_names),
        allow_embedding=given["allow_embedding"],
        trusted_proxies=given["trusted_proxy"],
        session_ids=given["session_ids"],
        shutdown_timeout=given["shutdown_timeout"],
        stall_limit=given["stall_limit"],
        story_length=given["story_length"],
        dev=given["dev"],
        keys=keys,
    )
