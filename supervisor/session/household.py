"""What a session needs of the application that it belongs to, which lies on a higher floor."""

from __future__ import annotations

from typing import Any, Protocol

from supervisor.actor.restart import FailurePolicy
from supervisor.actor.stopping import Stopping
from supervisor.instruments import Incident
from supervisor.session.opening import Porter


class Household(Protocol):
    """What a session needs of the application that it belongs to."""

    application: str
    context: Any
    """The application as authors see it: see `SessionContext.application`."""
    failure_policy: FailurePolicy
    """What follows when a session's code fails."""
    has_failed_hooks: bool
    """Whether anybody wants to be told of that."""
    hooks_reserve: float
    """Seconds of `stopping` that borrows and threads must leave to the hooks of a session's end."""

    @property
    def porter(self) -> Porter:
        """Who runs the hooks of connections."""

    @property
    def stopping(self) -> Stopping:
        """What bounds the end of all its sessions, while the application ends."""

    async def create(self, session: Any) -> None:
        """Run the created hooks and build the document; if there is to be no session, `end` it."""

    async def rebuild(self, session: Any) -> None:
        """Build the document anew, for a restart, and keep it; what `modify_document` raises passes."""

    async def tell_failures(self, session: Any) -> None:
        """Run the failed hooks for each failure that is untold; reports what they raise, and raises nothing."""

    def escalate(self, session: Any, incident: Incident) -> None:
        """The policy hands a session's failure on to the application. The session was told to end."""

    def make_epoch(self) -> str:
        """A name for a new life of a document, that no other had."""

    async def take_leave(self, session: Any) -> None:
        """Run the closed, failed and destroyed hooks that are due; reports what they raise, and raises nothing."""

    def attached(self, session: Any) -> None:
        """Somebody attaches, for the first time."""

    def left(self, session: Any) -> None:
        """The end has begun: the session no longer belongs to the application."""

    def over(self, session: Any) -> None:
        """Nothing of the session runs any more: it can be forgotten."""

    def dead_letter(self, session: Any, message: object) -> None:
        """Count a message that came too late."""

    def message_dropped(self, session: Any, message: object) -> None:
        """Tell of a message that gave its place in the mailbox to a newer one."""
