"""Borrowing a document: its actor lends it, waits for the return, and handles nothing else meanwhile.

Essay: the borrower's side of invariant 1. A borrow is an entry in the mailbox like a message, so it has its place in
the order. When its turn comes, the actor wakes the borrower and parks; the *holder* is now the borrower's task (and
nurseries that it opens inside). Returning is synchronous: in the step in which it leaves, the borrower itself commits
or undoes the changes, and reschedules the actor. So nobody can come between the end of the borrow and its commit.

The session's end doesn't cancel the actor's wait for the return, because a borrow that is waiting or under way then
still gets its turn. The borrower's own scope bounds it, which counts as work of the stopping session.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, final

import outcome
import trio

from supervisor.actor.brief import TEXT, clip
from supervisor.actor.ref import Answered, Parked, Recipient, post
from supervisor.actor.stopping import Stopping
from supervisor.errors import ActorGone, DeadlockError
from supervisor.session.context import Document
from supervisor.session.custody import Custody

HOLDING = 30.0
"""Seconds that a document may be held: as long as others wait for it by default."""


class Lender(Recipient, Protocol):
    """What a borrower needs of the session's actor."""

    document: Document
    custody: Custody
    # What bounds borrows, nearer once the end has begun.
    stopping: Stopping

    def keep(self) -> None:
        """Keep and send what has changed."""

    def undo(self) -> None:
        """Undo what has changed."""


@final
class Borrow(Answered):
    """Somebody who waits for the document, and then holds it."""

    __slots__ = ("_borrower", "returned")
    supervised = False
    told_as = "borrow"

    def __init__(self, gone: Callable[[], ActorGone], borrower: str = "somebody") -> None:
        super().__init__(gone)
        self._borrower = borrower
        self.returned = Parked()
        """The actor, while it waits for the document."""

    def start(self, actor: Any) -> Awaitable[None]:
        """See `Entry.start`."""
        return self._lend()

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`: the borrower has gone on long since."""

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "borrow"

    def told(self) -> str:
        """See `Entry.told`."""
        return f"by {clip(self._borrower, TEXT)}"

    async def _lend(self) -> None:
        self.parked.wake(outcome.Value(None))
        await self.returned.park(lambda: False)  # no cancellation ends this wait


@contextlib.asynccontextmanager
async def borrowed(session: Lender, *, timeout: float) -> AsyncIterator[Document]:
    """Hold a session's document inside this block. See `SessionContext.locked_document`."""
    await trio.lowlevel.checkpoint_if_cancelled()
    if _is_held_here(session):
        raise DeadlockError(
            f"locked_document() of {session} inside its own handler, hook or borrow would wait for ever: "
            "the document is held here already, so use session_context.document"
        )
    borrower = f"task {trio.lowlevel.current_task().name}"
    borrow = Borrow(session.gone, borrower)
    await post(session, borrow, timeout=timeout, doing=f"locked_document() of {session}")
    hold = session.holds.take(session)
    own, session.custody.holder = session.custody.holder, hold
    kept = False
    try:
        lent = session.holds.shown(session, borrower, "the return of its document")
        with session.stopping.working(timeout=HOLDING) as scope, lent:
            yield session.document
            kept = True
    finally:
        session.custody.holder = own
        session.holds.release(hold)
        try:
            if kept:
                session.keep()
            else:
                session.undo()
        except BaseException:  # the document would be too large
            session.undo()
            raise
        finally:
            borrow.returned.wake(outcome.Value(None))
    if scope.cancelled_caught:
        if trio.current_time() >= session.stopping.at:
            raise session.gone()
        raise trio.TooSlowError(
            f"the document of {session} was held for {HOLDING:g} s, so it was taken back and rolled back"
        )


def _is_held_here(session: Lender) -> bool:
    """Whether the current task has the document, or works for who has it.

    A session that ends waits for its background tasks too, which have no document.
    """
    if session.mailbox.is_closed:
        holder = session.custody.holder
        return holder is not None and holder.covers(trio.lowlevel.current_task())
    return session in session.holds.held_up()
