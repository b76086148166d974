"""Who may touch a session's document now: the session's own task, a borrower, or a worker thread that it is lent to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from trio.lowlevel import current_task, in_trio_run

from supervisor.actor.holding import Hold
from supervisor.actor.workers import Workers
from supervisor.errors import DocumentNotHeld
from supervisor.session.threads import Lender, ThreadLoans


@final
class Custody:
    """Who holds one session's document. Made with the session, which is asked for nothing before it is whole."""

    __slots__ = ("_session", "_threads", "holder")

    def __init__(self, session: Lender, workers: Workers) -> None:
        self.holder: Hold | None = None
        """In the loop: the session's own task, or a borrower. None before and after its life, and while a thread has
        the document."""
        self._session = session
        self._threads = ThreadLoans(session, self, workers)

    def check(self, touched: object = None) -> None:
        """Raise unless the current task, or thread, holds the document; whatever of it is to be touched.

        Raises:
            DocumentNotHeld: it doesn't.
            SessionGone: it is a thread that had the document, and the session has ended.
        """
        holder = self.holder
        try:
            task = current_task()
        except RuntimeError:  # not trio's thread
            self._threads.check()
            return
        if holder is not None and (task is holder.task or holder.covers(task)):
            return
        raise DocumentNotHeld(
            f"this task doesn't hold the document of {self._session}: "
            + (
                "the session has ended"
                if self._session.has_ended
                else "use `async with session_context.locked_document() as doc`, or send the session a message"
            )
        )

    def commit(self) -> None:
        """See `Document.commit`."""
        if in_trio_run():
            self.check()
            self._session.keep()
        else:
            self._threads.commit()

    async def run_in_thread(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a function in a worker thread, which is lent the document; see `Workers.run`."""
        return await self._threads.run(func, args)
