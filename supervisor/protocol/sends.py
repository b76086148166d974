"""A client's sends and edits: their numbers, the window, and what becomes of them across reconnects. Pure.

A send gets its number when it is first written. A send that was never written has none, so that nothing needs
renumbering under a new client id: numbers just begin at 1 again. A send that *was* written under the old id may have
been done or not. Nobody can find out, and doing it twice would be worse than not knowing, so it is refused as
`unknown`.

An edit is a send in all of this; `pending` has the differences. In this file both are called sends.
"""

from __future__ import annotations

from collections import deque
from typing import final

import attrs

from supervisor.errors import ProtocolError, SendUnsent
from supervisor.protocol.events import Refused
from supervisor.protocol.pending import PendingEdit
from supervisor.protocol.records import WINDOW

MAX_QUEUED = 1_000
"""Sends that wait while attached, behind a full window; as many as a session's mailbox holds."""
MAX_OFFLINE = WINDOW
"""Unsettled sends while not attached, past which new ones are refused: after a reconnect they must fit the
window."""
_ENVELOPE = 160
"""Characters of a frame beside what its sender put in, at most: names of fields, and three numbers of 16 digits."""


@final
@attrs.define(eq=False)
class Message:
    """A message for the app."""

    name: bytes
    """JSON."""
    fields: bytes
    """JSON."""
    ticket: int = 0
    """Given by `Sends.add`."""

    @property
    def content(self) -> tuple[bytes, ...]:
        """What its sender put in, as JSON."""
        return self.name, self.fields

    def frame(self, number: int, confirmed: int, revision: int) -> bytes:
        """What is written."""
        return b'{"type":"send","number":%d,"name":%b,"fields":%b,"confirmed":%d}' % (
            number,
            self.name,
            self.fields,
            confirmed,
        )


Send = Message | PendingEdit


@final
class Sends:
    """The sends of one client that have no answer yet.

    Args:
        max_message_size: characters of a frame that the server takes; None if that isn't known

    """

    def __init__(self, max_message_size: int | None = None) -> None:
        self._max_message_size = max_message_size
        self._tickets = 0
        # Never written, in order.
        self._queue: deque[Send] = deque()
        # Written and not settled, by number. The numbers rise.
        self._written: dict[int, Send] = {}
        # Numbers of _written that are to be written again on this connection, in order.
        self._again: deque[int] = deque()
        # The highest number given under this client id.
        self._last = 0
        # All answers up to this number have arrived …
        self._confirmed = 0
        # … and these beyond it.
        self._settled_beyond: set[int] = set()

    @property
    def confirmed(self) -> int:
        """The number up to which all answers have arrived."""
        return self._confirmed

    def add(self, send: Send, *, attached: bool) -> int:
        """Queue a send; gives it its ticket, and returns that.

        Raises:
            SendUnsent: too many wait already, or it is larger than the server takes, which would end the connection

        """
        self._check_size(send)
        if attached:
            full = len(self._queue) - self._free() >= MAX_QUEUED
        else:
            full = len(self) >= MAX_OFFLINE
        if full:
            text = f"{len(self)} sends already wait for the server; this one was not sent."
            raise SendUnsent(text, kind="unsent")
        self._tickets += 1
        send.ticket = self._tickets
        self._queue.append(send)
        return self._tickets

    def _check_size(self, send: Send) -> None:
        largest = self._max_message_size
        if largest is None or sum(map(len, send.content)) + _ENVELOPE <= largest:
            return
        size = sum(len(part.decode()) for part in send.content) + _ENVELOPE  # the server counts characters, not bytes
        if size > largest:
            text = f"This is too large to be sent: it has {size:,} characters, and the server takes {largest:,}."
            raise SendUnsent(text, kind="unsent")

    def withdraw(self, edit: PendingEdit) -> None:
        """Take back an edit that was never written."""
        self._queue.remove(edit)

    def withdraw_edits(self) -> list[PendingEdit]:
        """Take back all edits that were never written; returns them."""
        edits = [send for send in self._queue if isinstance(send, PendingEdit)]
        self._queue = deque(send for send in self._queue if not isinstance(send, PendingEdit))
        return edits

    def attached(self, received: int, *, same_client: bool) -> list[Refused]:
        """The server said what it has received; returns what can't be known any more.

        Raises:
            ProtocolError: it can't have received that

        """
        if same_client:
            least = max(self._settled_beyond, default=self._confirmed)
            if not least <= received <= self._last:
                raise ProtocolError(f"the server received send {received} of {self._last}, and answered {least}")
            self._again = deque(number for number in self._written if number > received)
            return []
        if received:
            raise ProtocolError(f"the server received send {received} of a client that is new")
        lost = [_unknown(send) for send in self._written.values()]
        self._written.clear()
        self._again.clear()
        self._settled_beyond.clear()
        self._last = self._confirmed = 0
        return lost

    def outgoing(self, *, revision: int, edits: bool) -> list[str]:
        """The frames to write now: first what is written again, then what the window lets through.

        Args:
            revision: the mirror's, for edits that are written for the first time
            edits: whether such edits may be written; else they wait, and what stands behind them does

        """
        frames = []
        while self._again:
            number = self._again.popleft()
            frames.append(self._written[number].frame(number, self._confirmed, revision).decode())
        for _ in range(min(self._free(), len(self._queue))):
            if not edits and isinstance(self._queue[0], PendingEdit):
                break
            self._last += 1
            send = self._queue.popleft()
            self._written[self._last] = send
            frames.append(send.frame(self._last, self._confirmed, revision).decode())
        return frames

    def unsettled(self, number: int) -> Send | None:
        """What was written with that number and has no answer yet; None if it has one.

        Raises:
            ProtocolError: no send with that number was written

        """
        if number > self._last:
            raise ProtocolError(f"an answer to send {number}, but {self._last} were written")
        return self._written.get(number)

    def settle(self, number: int) -> int | None:
        """An answer arrived; returns the send's ticket, or None if it was settled before.

        Raises:
            ProtocolError: no send with that number was written

        """
        send = self.unsettled(number)
        if send is None:
            return None
        del self._written[number]
        if self._again and number in self._again:
            # Answered though the server said that it had not received it: then it need not be written again.
            self._again.remove(number)
        self._settled_beyond.add(number)
        while self._confirmed + 1 in self._settled_beyond:
            self._confirmed += 1
            self._settled_beyond.remove(self._confirmed)
        return send.ticket

    def abandon(self) -> tuple[Refused, ...]:
        """The client has ended: what becomes of all that have no answer."""
        refused = [_unknown(send) for send in self._written.values()]
        refused += [
            Refused(ticket=send.ticket, kind="unsent", text="The connection ended before this was sent.")
            for send in self._queue
        ]
        self._written.clear()
        self._again.clear()
        self._queue.clear()
        return tuple(refused)

    def _free(self) -> int:
        return WINDOW - (self._last - self._confirmed)

    def __len__(self) -> int:
        """How many have no answer."""
        return len(self._queue) + len(self._written)


def _unknown(send: Send) -> Refused:
    text = "The connection was lost before the answer came; it can't be known whether this was done."
    return Refused(ticket=send.ticket, kind="unknown", text=text)
