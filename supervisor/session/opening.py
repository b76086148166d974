"""A connection's two entries in its session's mailbox: before it is attached, and after it has left.

Essay: only the session's end interrupts an opened hook. A connection that dies, or waits too long, takes its entry out
of the queue. Once the hook has begun it may finish, just as a visitor who leaves doesn't interrupt a creation. The
household notes each connection that the hook has admitted, with no await between the hook's return and the note. So
whatever happens afterwards, the household knows which closed hooks are due, and removes each from its list before it
calls it. Hence a closed hook runs exactly once for each opened hook that succeeded: by the departure's entry, or by the
session's end if that comes before the entry's turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, final

import outcome

from supervisor.actor.entry import Entry
from supervisor.actor.ref import TIMEOUT, Answered, Recipient, in_time
from supervisor.errors import ActorGone, HandlerFailed
from supervisor.session.connection import ConnectionContext


class Porter(Protocol):
    """Who knows an application's opened and closed hooks. Both methods are awaited in the session's turn."""

    @property
    def is_needed(self) -> bool:
        """Whether there is any such hook."""

    async def open_connection(self, session: Any, connection: ConnectionContext) -> str | None:
        """Run the opened hooks, each a transaction of its own. Returns the text of a refusal, None if there is none.

        If one refuses or raises, the closed hooks of those that had succeeded have run, and what it raised passes.
        """

    async def close_connection(self, session: Any, connection: ConnectionContext) -> None:
        """Run the closed hooks that are due for this connection; reports what they raise, and raises nothing."""


@final
class Opening(Answered):
    """A connection that waits to be let in."""

    __slots__ = ("_connection", "_porter")

    def __init__(self, porter: Porter, connection: ConnectionContext, gone: Callable[[], ActorGone]) -> None:
        super().__init__(gone)
        self._porter = porter
        self._connection = connection

    def start(self, actor: Any) -> Awaitable[str | None]:
        """See `Entry.start`."""
        return self._porter.open_connection(actor, self._connection)

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`: the connection's own task must not get what an author's hook raises."""
        if self.parked.is_cancelled:
            self.parked.wake_cancelled()
        else:
            self.parked.wake(outcome.Error(HandlerFailed(f"the connection could not be opened (incident {incident})")))

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "on_connection_opened"


@final
class Departure(Entry):
    """A connection that was let in and has left. It takes no room: there is one for each opening."""

    __slots__ = ("_connection", "_porter")
    counted = False

    def __init__(self, porter: Porter, connection: ConnectionContext) -> None:
        self._porter = porter
        self._connection = connection

    def start(self, actor: Any) -> Awaitable[None]:
        """See `Entry.start`."""
        return self._porter.close_connection(actor, self._connection)

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "on_connection_closed"


async def let_in(session: Recipient, porter: Porter, connection: ConnectionContext) -> str | None:
    """Wait until the opened hooks have let a connection in; returns the text of a refusal, None if there is none.

    Cancelled, it withdraws an opening that is queued. One in hand goes on, and this returns its result all the same:
    so who calls this must be ready for the connection's departure as soon as it returns.

    Raises:
        HandlerFailed: a hook raised or was late; the text has the incident's id.
        ActorGone: the session has ended, or ends meanwhile.
        trio.TooSlowError: its turn didn't come in time.
    """
    mailbox = session.mailbox
    if mailbox.is_closed:
        raise session.gone()
    opening = Opening(porter, connection, session.gone)
    with in_time(TIMEOUT, f"opening a connection to {session}"):
        if not mailbox.put(opening):
            mailbox.put_when_room(opening, opening)
        refusal: str | None = await opening.parked.park(lambda: mailbox.withdraw(opening))
    return refusal
