"""How far ahead of its session one client is read: bounded in bytes.

Essay: the stream is held back, not the queue. The library's queue has room for a whole window of messages, so that
pings are answered while the session has no room. But a window may be 64 times the largest message. So the stream itself
is not read while too much waits: in the library's queue, in the mailbox, or in hand. A client that goes on sending then
fills its own socket's buffer, and waits.

Bytes on the stream can't be told apart here: some are frame heads, pings, or half a message. So this doesn't count what
leaves. It lets a number of bytes in, and then waits for the moment when the conversation waits in vain: then everything
that was read has been taken, and only what is unanswered counts. Two rounds of the loop show whether it waits in vain:
if there is something, the conversation gets it with its next turn, and each task that can run has one turn per round.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import final

import trio


@final
class Intake:
    """Counts what one client has sent; for one conversation and one reader of the stream.

    Args:
        limit: Bytes that may be read ahead.
    """

    __slots__ = ("_limit", "_news", "_read", "_takes", "_unanswered", "_wants")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Bytes since all that was read had been taken, and those that were not answered then.
        self._read = 0
        # Of messages that were taken and are not answered.
        self._unanswered = 0
        # Whether the conversation waits for a message, and how many it has had.
        self._wants = False
        self._takes = 0
        # Set when something has changed, while the reader waits for that.
        self._news: trio.Event | None = None

    def read(self, size: int) -> None:
        """So many bytes were read."""
        self._read += size

    async def take(self, receive: Callable[[], Awaitable[str | bytes]]) -> str | bytes:
        """The next message; `receive` waits for it."""
        self._wants = True
        self._tell()
        try:
            return await receive()
        finally:
            self._wants = False
            self._takes += 1

    def taken(self, size: int) -> Callable[[], None]:
        """A message of so many bytes waits for its answer; call what is returned when that is given."""
        self._unanswered += size

        def answered() -> None:
            self._unanswered -= size
            self._tell()

        return answered

    def let_all(self) -> None:
        """Bound nothing any more: the conversation is over, and only the client's close frame is waited for."""
        self._limit = sys.maxsize
        self._tell()

    async def wait_may_read(self) -> None:
        """Return once more may be read. Safe to cancel."""
        while self._read > self._limit:
            if self._wants and self._unanswered <= self._limit:
                takes = self._takes
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                if self._wants and self._takes == takes:
                    self._read = self._unanswered
                continue
            self._news = trio.Event()
            await self._news.wait()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


def size_of(frame: str | bytes) -> int:
    """Bytes that a message had on the stream: a character beyond ASCII has up to four."""
    if isinstance(frame, bytes) or frame.isascii():  # it is known of each string, so this looks at no character
        return len(frame)
    return len(frame.encode())
