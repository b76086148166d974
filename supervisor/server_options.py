"""What can be set for a server."""

from __future__ import annotations

from typing import final

import attrs

from supervisor.actor.story import LONGEST_STORY
from supervisor.application.options import ApplicationOptions
from supervisor.identity import KeyRing
from supervisor.limits import count, made_of, seconds, whether
from supervisor.transport.head import HttpLimits
from supervisor.transport.site import SessionIds, check_prefix, check_session_ids
from supervisor.transport.websocket_options import WebSocketOptions


def _check_names(_: object, attribute: attrs.Attribute[tuple[str, ...]], value: object) -> None:
    if isinstance(value, str):  # whose characters would be taken one by one
        raise TypeError(f"{attribute.name} must be a tuple: write ({value!r},)")
    if not (isinstance(value, (tuple, list)) and all(isinstance(each, str) for each in value)):
        raise TypeError(f"{attribute.name} must be a tuple of strings, not {value!r}")


@final
@attrs.frozen(kw_only=True)
class ServerOptions:
    """What can be set for a server; times in seconds. Raises `ValueError` or `TypeError` for an impossible value."""

    application: ApplicationOptions = attrs.field(
        factory=ApplicationOptions, validator=made_of(ApplicationOptions, "an ApplicationOptions")
    )
    """Limits and deadlines of each application."""
    http: HttpLimits = attrs.field(factory=HttpLimits, validator=made_of(HttpLimits, "an HttpLimits"))
    """Limits of each HTTP connection."""
    websocket: WebSocketOptions = attrs.field(
        factory=WebSocketOptions, validator=made_of(WebSocketOptions, "a WebSocketOptions")
    )
    """Limits of each websocket."""
    prefix: str = attrs.field(default="", validator=check_prefix)
    """Put before every path: empty, or with a slash at its beginning and none at its end."""
    allow_origins: tuple[str, ...] = attrs.field(default=(), validator=_check_names)
    """Names by which this server is reached, besides IP literals, localhost and the machine's own name."""
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), validator=_check_names)
    """Proxies whose X-Forwarded-For, -Host and -Proto count: IP addresses, networks, and the word `unix`."""
    allow_embedding: tuple[str, ...] = attrs.field(default=(), validator=_check_names)
    """Origins whose pages may show ours in a frame, besides our own."""
    session_ids: SessionIds = attrs.field(default="generated", validator=check_session_ids)
    """Whose ids visitors may name: `generated`, only those that this server made; `any`, whatever `?session=` gives;
    `external-signed`, only those that somebody signed with one of the keys."""
    max_connections: int = attrs.field(default=10_000, validator=count())
    """Connections at once, pages and websockets; the next one is answered with 503 and closed. Fewer if the process may
    not open that many files: see `ulimit -n`."""
    max_newcomers: int = attrs.field(default=1_000, validator=count())
    """Websockets that have not sent their first frame; the oldest of them makes room for the next, and is closed with
    4408."""
    token_max_age: float = attrs.field(default=300.0, validator=seconds(endless=True))
    """Seconds that a page may wait before it attaches for the first time."""
    shutdown_timeout: float = attrs.field(default=20.0, validator=seconds())
    """Seconds that a shutdown may take, hooks included."""
    stall_limit: float = attrs.field(default=0.1, validator=seconds())
    """Seconds for which code may hold the server's loop before that is reported; nobody is served meanwhile. 0 turns
    the watchdog off. See `Instruments.loop_blocked`."""
    story_length: int = attrs.field(default=0, validator=count(0, LONGEST_STORY))
    """Entries of the story that each session and each application keeps: what happened to it lately; 0 for none. See
    `SessionContext.story`. Incidents include it, and so do logs, with the contents of messages."""
    dev: bool = attrs.field(default=False, validator=whether)
    """For development on one machine: changed code is loaded anew, and error pages show tracebacks. Connections from
    other machines are refused. It needs the package watchfiles."""
    keys: KeyRing | None = None
    """What signs tokens and ids; None for a random key, made at each start."""

    def __attrs_post_init__(self) -> None:
        if not (self.keys is None or isinstance(self.keys, KeyRing)):  # the key itself is nothing to show
            raise TypeError(f"keys must be a KeyRing, as in KeyRing([key]), not {type(self.keys).__name__}")


def options_or_default(options: ServerOptions | None) -> ServerOptions:
    """What a server was given, or the default for None.

    Raises:
        TypeError: it is something else, such as an application's options.
    """
    if options is None:
        return ServerOptions()
    given: object = options
    if not isinstance(given, ServerOptions):
        example = "application=…" if isinstance(given, ApplicationOptions) else 'session_ids="any"'
        raise TypeError(f"options must be a ServerOptions, as in ServerOptions({example}), not {type(given).__name__}")
    return options
