"""The options of a websocket connection: its limits of size, rate and time. Pure."""

from __future__ import annotations

from typing import final

import attrs

from supervisor.limits import count, none_or, number, seconds

LONGEST_PING_INTERVAL = 45.0
"""Seconds. Our clients, and many proxies, give up a connection that is silent for 60."""


@final
@attrs.frozen(kw_only=True)
class WebSocketOptions:
    """Limits of one websocket connection; times in seconds, sizes in bytes.

    Raises `ValueError` or `TypeError` for an impossible value, naming the option.
    """

    max_message_size: int = attrs.field(default=1024 * 1024, validator=count())
    """Size of one message from a client, in characters, as trio-websocket counts; a larger one closes the connection
    with 1009 (RFC 6455 §7.4.1). Pages tell clients the limit, and ours send no larger message."""
    max_unanswered: int = attrs.field(default=4 * 1024 * 1024, validator=count())
    """Size of one client's unanswered messages; beyond it, the server stops reading from the client until it has
    answered some."""
    max_message_rate: float | None = attrs.field(default=200.0, validator=none_or(number(1)))
    """Messages per second from one client, of every kind. If they come faster, the server pauses reading. None for no
    limit."""
    message_burst: int = attrs.field(default=400, validator=count())
    """Messages that may come at once after a pause; more than a client sends when it comes back."""
    flood_timeout: float = attrs.field(default=60.0, validator=seconds())
    """How long a client may go on sending faster than `max_message_rate`; then it is closed with 4429."""
    merge_backlog: int = attrs.field(default=64 * 1024, validator=count())
    """Bytes that may be queued for one client; beyond it, patches are kept back, and merged, until the client has read
    what is queued."""
    max_backlog: int = attrs.field(default=1024 * 1024, validator=count())
    """Bytes that may be kept back for one client, after merging; beyond it, one snapshot replaces everything that the
    client has not read."""
    slow_timeout: float = attrs.field(default=40.0, validator=seconds())
    """How long a client may take to read everything that is queued; then it is closed with 1013, and may resume."""
    first_frame_timeout: float = attrs.field(default=10.0, validator=seconds(zero=False))
    """How long the handshake may take, and after it the wait for the first frame; then the connection is closed, with
    4408 in the second case."""
    ping_interval: float = attrs.field(default=20.0, validator=seconds(zero=False, most=LONGEST_PING_INTERVAL))
    """Time between two pings (RFC 6455 §5.5.2)."""
    pong_timeout: float | None = attrs.field(default=None, validator=none_or(seconds(zero=False)))
    """How long to wait for a sign of life after a ping before the connection is cut: at most `ping_interval`, which is
    also what None means."""
    room_timeout: float = attrs.field(default=30.0, validator=seconds())
    """How long a client's message waits for room in the session's mailbox; then it is answered with an error."""
    close_timeout: float = attrs.field(default=2.0, validator=seconds())
    """How long to wait for the client's answer to the server's close frame."""
    return_within: float = attrs.field(default=3.0, validator=seconds())
    """Clients that are closed with 1012 or 1013 come back at a random time within this, so not all at once."""
    return_later: float = attrs.field(default=10.0, validator=seconds())
    """Clients that are closed with 4429 come back at a random time between half of this and all of it."""

    def __attrs_post_init__(self) -> None:
        if self.pong_timeout is not None and self.pong_timeout > self.ping_interval:
            raise ValueError(
                f"pong_timeout must be at most ping_interval, which is {self.ping_interval:g} s, not"
                f" {self.pong_timeout:g} s"
            )
