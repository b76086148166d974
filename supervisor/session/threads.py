"""A session's document in a worker thread: lent by a key that can be revoked, and what the loop sees of it meanwhile.

Essay: two threads, one document. While it is lent, the thread mutates it without a lock, and nobody in the loop may,
not even the session's own task, which waits for the thread. The loop still reads the committed state, for a page that
opens, or a connection that attaches or reads slowly. So the thread first copies what it is about to change (see
`document.committed`). A commit is done in the loop, since connections are shown it; the thread waits for it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, final

from supervisor.actor.holding import Hold
from supervisor.actor.stopping import Stopping
from supervisor.actor.workers import Work, Workers, WorkOwner, current_work
from supervisor.document.json_document import JsonDocument
from supervisor.errors import DocumentNotHeld, SessionGone


class Lender(Protocol):
    """What the loans need of the session's actor."""

    working: JsonDocument
    # How it ends, and by when.
    stopping: Stopping

    def __str__(self) -> str: ...

    @property
    def has_ended(self) -> bool:
        """Whether the end has begun."""

    def keep(self) -> None:
        """Keep and send what has changed."""

    def report(self, what: str, error: BaseException) -> str:
        """Hand a failure to the instruments."""


class Held(Protocol):
    """Who holds the document in the loop; nobody while it is lent to a thread."""

    holder: Hold | None


@final
class ThreadLoans:
    """Lends one session's document to worker threads, one at a time."""

    def __init__(self, session: Lender, custody: Held, workers: Workers) -> None:
        self._session = session
        self._custody = custody
        self._workers = workers
        # As workers know the session: made for the first loan, since most sessions have none.
        self._owner: WorkOwner | None = None

    async def run(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a function in a worker thread, which holds the document meanwhile. See `Workers.run`."""
        if self._owner is None:
            session = self._session
            self._owner = WorkOwner(
                name=str(session),
                report=session.report,
                gone=self._gone,
                has_ended=lambda: session.has_ended,
                stopping=session.stopping,
                lend=self._lend,
            )
        return await self._workers.run(func, args, self._owner)

    @contextlib.contextmanager
    def _lend(self, work: Work) -> Iterator[None]:
        custody, document = self._custody, self._session.working
        own, custody.holder = custody.holder, None
        document.freeze(threading.Lock())
        try:
            yield
        finally:
            document.thaw()
            custody.holder = own

    def check(self) -> None:
        """Raise unless this thread, which is not the loop's, was lent the document and may still touch it.

        Raises:
            SessionGone: the session has ended.
            DocumentNotHeld: it never had the document, or does not any more.
        """
        work = current_work()
        if work is None or work.owner is not self._owner:
            raise DocumentNotHeld(
                f"this thread doesn't hold the document of {self._session}; mark the function @in_thread, or add it "
                "with thread=True, or send a message: app_context.call_from_thread(session_context.tell, message)"
            )
        work.check()

    def commit(self) -> None:
        """Keep and send what the thread has changed so far; called in the thread, which waits for it."""
        self.check()
        work = current_work()
        assert work is not None
        work.call_in_loop(self._commit)

    def _commit(self) -> None:
        document = self._session.working
        document.thaw()
        try:
            self._session.keep()
        finally:
            document.freeze(threading.Lock())

    def _gone(self) -> Exception:
        session = self._session
        if session.has_ended:
            return SessionGone(f"{session} has ended, and took its document back from this thread")
        return DocumentNotHeld(f"{session} took its document back from this thread: its work is over, or was cancelled")
