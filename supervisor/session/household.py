"""What a session needs of the application that it belongs to, which lies on a higher floor."""

from __future__ import annotations

from typing import Any, Protocol

from supervisor.actor.stopping import Stopping
from supervisor.session.opening import Porter


class Household(Protocol):
    """What a session needs of the application that it belongs to."""

    application: str
    context: Any
    """The application as authors see it: see `SessionContext.application`."""

    @property
    def porter(self) -> Porter:
        """Who runs the hooks of connections."""

    @property
    def stopping(self) -> Stopping:
        """What bounds the end of all its sessions, while the application ends."""

    async def create(self, session: Any) -> None:
        """Run the created hooks and build the document; if there is to be no session, `end` it."""

    async def take_leave(self, session: Any) -> None:
        """Run the closed and the destroyed hooks that are due; reports what they raise, and raises nothing."""

    def attached(self, session: Any) -> None:
        """Somebody attaches, for the first time."""

    def left(self, session: Any) -> None:
        """The end has begun: the session is none of the application's sessions any more."""

    def over(self, session: Any) -> None:
        """Nothing of the session runs any more: it can be forgotten."""

    def dead_letter(self, session: Any, message: object) -> None:
        """Count a message that came too late."""

    def message_dropped(self, session: Any, message: object) -> None:
        """Tell of a message that gave its place in the mailbox to a newer one."""
