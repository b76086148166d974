"""The server's record of one client: which sends and edits were accepted, which answers it may lack. Pure.

The rule behind "applied exactly once": **a number is accepted once, and its answer is kept until the client confirms
it.** A client that comes back sends again what the server has not received, and the server sends again what the client
has not confirmed. So both sides need to remember at most a window of 64.

A window of large answers may be too much to keep. Then they are dropped, and the client's record is no longer of use: a
client that comes back without these answers is treated as one that was forgotten.

`confirmed` must not run ahead of the answers. A client that confirmed answers not yet given could have any number of
sends in progress at once. So that is a protocol error, like a number that leaves a gap.
"""

from __future__ import annotations

from typing import final

import attrs

from supervisor.errors import ProtocolError
from supervisor.protocol.bridge import Bridge
from supervisor.protocol.messages import Edit, Send

WINDOW = 64
"""Sends of one client that may be unanswered or unconfirmed: as many as a person causes in a bad reconnect."""


@final
@attrs.frozen
class New:
    """The send, or edit, is the next one: hand it on, and give its answer to `Feed.answered`."""


@final
@attrs.frozen
class Repeated:
    """The send, or edit, was accepted before: do nothing but send these messages."""

    messages: tuple[bytes, ...]
    """Its answer, if that is there already and isn't confirmed; else nothing."""


@final
@attrs.define(eq=False)
class Kept:
    """The answers that are kept for all clients of one session."""

    size: int = 0
    """In bytes."""


@final
@attrs.define(eq=False)
class ClientRecord:
    """One client id's numbers and answers."""

    id: str
    peer: str
    """What others call this client; opens nothing."""
    kept_by_all: Kept = attrs.field(factory=Kept)
    """Of which this one's answers are a part."""
    connections: int = 1
    """How many connections speak for it; two for a moment, when a newer one takes over."""
    received: int = 0
    confirmed: int = 0
    detached_at: float = 0.0
    """When its last connection left; means nothing while it has one."""
    bridge: Bridge = attrs.field(factory=Bridge, init=False)
    """What its edits are carried over; another one in each epoch."""
    size: int = attrs.field(default=0, init=False)
    """Bytes of the answers that are kept."""
    lost: int = attrs.field(default=0, init=False)
    """The highest number whose answer was dropped; 0 if none was."""
    _unanswered: dict[int, None] = attrs.field(factory=dict, init=False)  # a dict as an ordered set: rising numbers
    _answers: dict[int, bytes] = attrs.field(factory=dict, init=False)
    # The numbers of those answers that come before the state.
    _edited: set[int] = attrs.field(factory=set, init=False)

    def accept(self, send: Send | Edit) -> New | Repeated:
        """Decide what a send is, or an edit.

        Raises:
            ProtocolError: the number leaves a gap or the window, `confirmed` is not true, or the base has fallen

        """
        number = send.number
        if number > self.received + 1:
            raise ProtocolError(f"send {number} follows send {self.received}: a number was left out")
        if send.confirmed >= number:
            raise ProtocolError(f"send {number} confirms answer {send.confirmed}, which it can't have")
        self.confirm(send.confirmed)
        if number <= self.received:
            answer = self._answers.get(number)
            return Repeated(() if answer is None else (answer,))
        if number - self.confirmed > WINDOW:
            raise ProtocolError(
                f"send {number} is more than {WINDOW} ahead of the last confirmed answer, {self.confirmed}"
            )
        if isinstance(send, Edit):
            if send.base < self.bridge.base:
                raise ProtocolError(f"edit {number} is based on revision {send.base}, after one on {self.bridge.base}")
            self.bridge.base = send.base
        self.received = number
        self._unanswered[number] = None
        return New()

    def begin_epoch(self) -> None:
        """The document is another one: nothing lies between the two that an edit could be carried over."""
        self.bridge = Bridge(base=self.bridge.base)

    def confirm(self, number: int) -> None:
        """The client has all answers up to this number, so they need not be kept.

        Raises:
            ProtocolError: one of them was not given yet

        """
        if number <= self.confirmed:
            return
        first_unanswered = next(iter(self._unanswered), self.received + 1)
        if number >= first_unanswered:
            raise ProtocolError(f"answer {number} was confirmed, but answer {first_unanswered} was not given yet")
        freed = 0
        for confirmed in range(self.confirmed + 1, number + 1):
            freed += len(self._answers.pop(confirmed, b""))
            self._edited.discard(confirmed)
        self._grow(-freed)
        self.confirmed = number

    def keep(self, number: int, message: bytes, *, edited: bool = False) -> None:
        """Keep the answer of an accepted send; `edited` says that it is one that comes before the state.

        Raises:
            ValueError: there is no such send, or it was answered before; that is a mistake of the caller

        """
        if number not in self._unanswered:
            raise ValueError(f"send {number} of client {self.id!r} isn't waiting for an answer")
        del self._unanswered[number]
        self._answers[number] = message
        self._grow(len(message))
        if edited:
            self._edited.add(number)

    def let_go(self) -> None:
        """Keep none of the answers that were given until now."""
        self.lost = max((self.lost, *self._answers))
        self._answers.clear()
        self._edited.clear()
        self._grow(-self.size)

    def _grow(self, size: int) -> None:
        self.size += size
        self.kept_by_all.size += size

    def kept(self) -> tuple[bytes, ...]:
        """All answers that are not confirmed, by number; but for those that come before the state."""
        return tuple(self._answers[number] for number in sorted(self._answers) if number not in self._edited)

    def kept_edited(self) -> tuple[bytes, ...]:
        """All answers that are not confirmed and come before the state, by number."""
        return tuple(self._answers[number] for number in sorted(self._edited))
