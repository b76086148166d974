"""What can be set for an application. Pure."""

from __future__ import annotations

from typing import final

import attrs

from supervisor.actor.mailbox import CAPACITY


@final
@attrs.frozen(kw_only=True)
class ApplicationOptions:
    """Limits and deadlines of one application; all times in seconds."""

    linger: float = 15.0
    """How long a session is kept that nobody is attached to any more."""
    first_attach: float = 15.0
    """How long it waits for the first one to attach, if that is longer: a page has to load before."""
    max_age: float | None = None
    """The longest that a session may live; None for as long as it is used."""
    max_sessions: int = 1_000
    """Sessions at once; a quarter of them may be such as nobody ever attached to."""
    max_creating: int = 50
    """Sessions that are being created at once."""
    creating_timeout: float = 5.0
    """How long a creation waits for its turn."""
    hook_timeout: float = 10.0
    """How long a created, destroyed, opened, closed or unload hook may take."""
    load_timeout: float = 60.0
    """How long a load hook may take."""
    build_timeout: float = 60.0
    """How long `modify_document` may take."""
    drain_timeout: float = 5.0
    """How long sessions may finish what waits in their mailboxes when the application goes down."""
    drain_batch: int = 100
    """How many clients are sent away at once then."""
    drain_interval: float = 0.25
    """Pause between two such batches; shorter if there are too many of them for half of the time."""
    mailbox_capacity: int = CAPACITY
    """Messages that a session's mailbox holds."""
    max_threads: int = 40
    """Functions that run in worker threads at once; what comes after them waits for its turn."""

    @property
    def max_unattached(self) -> int:
        """Sessions that nobody ever attached to, at once: crawlers get no more than this share."""
        return max(1, self.max_sessions // 4)
