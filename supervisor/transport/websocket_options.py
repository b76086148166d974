"""The options of a websocket connection: how much it may take of each thing, and for how long. Pure."""

from __future__ import annotations

from typing import final

import attrs

from supervisor.limits import count, none_or, number, seconds

LONGEST_PING_INTERVAL = 45.0
"""Seconds. Our clients, and many proxies, take a connection for lost on which nothing came for 60."""


@final
@attrs.frozen(kw_only=True)
class WebSocketOptions:
    """Limits of one websocket connection; times in seconds, sizes in bytes.

    Raises `ValueError` or `TypeError` for what can't be, naming the option.
    """

    max_message_size: int = attrs.field(default=1024 * 1024, validator=count())
    """Of one message of a client, in characters, as trio-websocket counts; a larger one closes the connection with
    1009 (RFC 6455 §7.4.1). Pages say it, and our clients send no larger one."""
    max_unanswered: int = attrs.field(default=4 * 1024 * 1024, validator=count())
    """Of one client's messages that are not answered; past it the client isn't read on until some are."""
    max_message_rate: float | None = attrs.field(default=200.0, validator=none_or(number(1)))
    """Messages of one client that are taken in a second, of every kind. When they come faster, nothing is read from it
    for a while. None for any number."""
    message_burst: int = attrs.field(default=400, validator=count())
    """Messages that are taken at once, after a pause long enough; more than a client sends when it comes back."""
    flood_timeout: float = attrs.field(default=60.0, validator=seconds())
    """For a client whose messages had to wait to send no more than it may for a moment; then it is closed with 4429."""
    merge_backlog: int = attrs.field(default=64 * 1024, validator=count())
    """Queued for one client; past it patches are kept back, and merged, until it has read that."""
    max_backlog: int = attrs.field(default=1024 * 1024, validator=count())
    """Kept back for one client, after merging; past it all that, and what is queued, is dropped for one snapshot."""
    slow_timeout: float = attrs.field(default=40.0, validator=seconds())
    """In which a client must have read all that was queued; else it is closed with 1013, and may resume."""
    first_frame_timeout: float = attrs.field(default=10.0, validator=seconds(zero=False))
    """For the handshake, and then for the first frame (else 4408)."""
    ping_interval: float = attrs.field(default=20.0, validator=seconds(zero=False, most=LONGEST_PING_INTERVAL))
    """Between two pings (RFC 6455 §5.5.2)."""
    pong_timeout: float | None = attrs.field(default=None, validator=none_or(seconds(zero=False)))
    """For a sign of life after a ping, at most `ping_interval`, which None stands for; then the connection is cut."""
    room_timeout: float = attrs.field(default=30.0, validator=seconds())
    """For room in the session's mailbox; then the message is answered with an error."""
    close_timeout: float = attrs.field(default=2.0, validator=seconds())
    """For the client's answer to our close frame."""
    return_within: float = attrs.field(default=3.0, validator=seconds())
    """Clients of a server that restarts come back at a random time within this, so not all at once."""
    return_later: float = attrs.field(default=10.0, validator=seconds())
    """Clients that were too many, or sent too much, come back at a random time between half and whole of this."""

    def __attrs_post_init__(self) -> None:
        if self.pong_timeout is not None and self.pong_timeout > self.ping_interval:
            raise ValueError(
                f"pong_timeout is at most ping_interval, {self.ping_interval:g} s, not {self.pong_timeout:g}"
            )
