"""What can be set for an application. Pure."""

from __future__ import annotations

from typing import final

import attrs

from supervisor.actor.mailbox import CAPACITY
from supervisor.limits import count, none_or, seconds


@final
@attrs.frozen(kw_only=True)
class ApplicationOptions:
    """Limits and deadlines of one application; all times in seconds, sizes in bytes.

    Raises `ValueError` or `TypeError` for an impossible value, naming the option.
    """

    linger: float = attrs.field(default=15.0, validator=seconds(endless=True))
    """How long a session is kept once nobody is attached to it any more."""
    first_attach: float = attrs.field(default=15.0, validator=seconds(endless=True))
    """How long it waits for the first connection, if that is longer: a page has to load first."""
    max_age: float | None = attrs.field(default=None, validator=none_or(seconds(zero=False, endless=True)))
    """The longest that a session may live; None for as long as it is used."""
    max_sessions: int = attrs.field(default=1_000, validator=count())
    """Sessions at once; at most a quarter of them may be sessions that nobody ever attached to."""
    max_sessions_per_address: int | None = attrs.field(default=100, validator=none_or(count()))
    """Sessions at once that were created from one remote address, where an IPv6 network of 64 bits counts as one; the
    next one gets a page with status 429. None for any number. This machine, and visitors by a Unix socket or a proxy
    that isn't trusted, aren't counted."""
    max_connections_per_session: int | None = attrs.field(default=1_000, validator=none_or(count()))
    """Connections to one session at once; the next one is closed with 4429, and comes back. None for any number."""
    max_document_size: int | None = attrs.field(default=16 * 1024 * 1024, validator=none_or(count(1024)))
    """Size of a session's document as JSON; a transaction that would make it larger is rolled back, with
    `InvalidValue`. It is measured only now and then, so it may get larger by a sixteenth. None for any size."""
    max_creating: int = attrs.field(default=50, validator=count())
    """Sessions that are being created at once."""
    creating_timeout: float = attrs.field(default=5.0, validator=seconds())
    """How long a creation waits for its turn."""
    hook_timeout: float = attrs.field(default=10.0, validator=seconds(zero=False))
    """How long a created, destroyed, failed, opened, closed or unload hook may take."""
    load_timeout: float = attrs.field(default=60.0, validator=seconds(zero=False))
    """How long a load hook may take."""
    build_timeout: float = attrs.field(default=60.0, validator=seconds(zero=False))
    """How long `modify_document` may take."""
    drain_timeout: float = attrs.field(default=5.0, validator=seconds())
    """How long sessions may take to finish what waits in their mailboxes when the application goes down."""
    drain_batch: int = attrs.field(default=100, validator=count())
    """How many clients are then sent away at once."""
    drain_interval: float = attrs.field(default=0.25, validator=seconds())
    """Pause between two such batches; shorter if there are too many of them for half of the time."""
    mailbox_capacity: int = attrs.field(default=CAPACITY, validator=count())
    """Messages that a session's mailbox holds."""
    max_threads: int = attrs.field(default=40, validator=count())
    """Functions that run in worker threads at once; further ones wait for their turn."""

    @property
    def max_unattached(self) -> int:
        """Sessions that nobody ever attached to, at once: crawlers get no more than this share."""
        return max(1, self.max_sessions // 4)
