"""What can be set for a server."""

from __future__ import annotations

import math
from typing import final

import attrs

from supervisor.application.options import ApplicationOptions
from supervisor.identity import KeyRing
from supervisor.transport.head import HttpLimits
from supervisor.transport.site import SessionIds, check_prefix, check_session_ids
from supervisor.transport.websocket import WebSocketOptions


@final
@attrs.frozen(kw_only=True)
class ServerOptions:
    """What can be set for a server; times in seconds. Raises `ValueError` or `TypeError` for what can't be."""

    application: ApplicationOptions = attrs.field(factory=ApplicationOptions)
    """Limits and deadlines of each application."""
    http: HttpLimits = attrs.field(factory=HttpLimits)
    """Limits of each HTTP connection."""
    websocket: WebSocketOptions = attrs.field(factory=WebSocketOptions)
    """Limits of each websocket."""
    prefix: str = attrs.field(default="", validator=check_prefix)
    """Put before every path: empty, or with a slash at its beginning and none at its end."""
    allow_origins: tuple[str, ...] = ()
    """Names that this server is reached by, beside IP literals, localhost and the machine's own name."""
    trusted_proxies: tuple[str, ...] = ()
    """Proxies whose X-Forwarded-For, -Host and -Proto count: IP addresses, networks, and the word `unix`."""
    allow_embedding: tuple[str, ...] = ()
    """Origins whose pages may show ours in a frame, beside our own."""
    session_ids: SessionIds = attrs.field(default="generated", validator=check_session_ids)
    """Whose ids visitors may name: `generated`, only those that this server made; `any`, whatever `?session=` gives;
    `external-signed`, only those that somebody signed with one of the keys."""
    token_max_age: float = 300.0
    """Seconds that a page may wait before it attaches for the first time."""
    shutdown_timeout: float = 20.0
    """Seconds that a shutdown may take, hooks included."""
    stall_limit: float = 0.1
    """Seconds for which code may hold the server's loop, in which time nobody is served, before that is reported; 0
    for no watching. See `Instruments.loop_blocked`."""
    dev: bool = False
    """For development on one machine: changed code is loaded anew, and error pages show tracebacks. Connections from
    other machines are refused. It needs the package watchfiles."""
    keys: KeyRing | None = None
    """What tokens and ids are signed with; None for a key that is made anew at each start."""

    def __attrs_post_init__(self) -> None:
        for name in ("allow_origins", "trusted_proxies", "allow_embedding"):
            value = getattr(self, name)
            if isinstance(value, str):  # whose characters would be taken one by one
                raise TypeError(f"{name} is a tuple: write ({value!r},)")
        if not (self.keys is None or isinstance(self.keys, KeyRing)):  # the key itself is nothing to show
            raise TypeError(f"keys is a KeyRing, as in KeyRing([key]), not {type(self.keys).__name__}")
        if not 0 <= self.stall_limit < math.inf:
            raise ValueError(f"stall_limit is a finite number of seconds from 0 on, not {self.stall_limit!r}")
        if not (self.token_max_age >= 0 and self.shutdown_timeout >= 0):
            raise ValueError("token_max_age and shutdown_timeout are seconds, at least 0")
