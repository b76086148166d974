"""The crash of a session on demand: its own code raises in the middle of a transaction, and its policy decides."""

from __future__ import annotations

from typing import Any, final

import trio

from supervisor.actor.entry import Doer, Entry
from supervisor.errors import Rejected
from supervisor.instruments import Incident
from supervisor.session.actor import SessionActor
from supervisor.testing.faults import InjectedFault, mark_injected

TURN = 60.0
"""Seconds, usually virtual, that a session may take to come to the crash, and as many to do what follows."""


@final
class _Crash(Entry):
    """Changes the document and raises, in the session's own task."""

    __slots__ = ("_error", "_session", "incident", "over")

    def __init__(self, session: SessionActor, error: BaseException) -> None:
        self._session = session
        self._error = error
        self.incident: Incident | None = None
        self.over = trio.Event()

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        return actor.call(self._crash)

    def _crash(self, doc: Any) -> None:
        doc.data.clear()  # as much as one can change: if it were not rolled back, everybody would see it
        raise self._error

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`: it was decided on just before."""
        self.incident = self._session.recovery.last_incident
        self.over.set()

    def dropped(self) -> None:
        """See `Entry.dropped`."""
        self.over.set()

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "crash"


@final
class _Afterwards(Entry):
    """Behind what follows a failure, which stands before all messages."""

    __slots__ = ("over",)
    counted = False
    supervised = False

    def __init__(self) -> None:
        self.over = trio.Event()

    def start(self, actor: Doer) -> None:
        """See `Entry.start`."""
        self.over.set()

    def dropped(self) -> None:
        """See `Entry.dropped`."""
        self.over.set()

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "the end of a crash"


async def crash(session: SessionActor, error: BaseException | None = None) -> Incident:
    """See `TestSession.crash`."""
    if isinstance(error, Rejected):
        raise TypeError("Rejected is an answer and not a failure, so it can't crash a session; give another error")
    entry = _Crash(session, mark_injected(error or InjectedFault(f"{session} was to crash")))
    await _wait(session, entry, "come to the crash")
    if entry.incident is None:
        raise session.gone()
    await _wait(session, _Afterwards(), "do what follows the crash")
    if session.mailbox.is_closed:
        await session.wait_ended()
    return entry.incident


async def _wait(session: SessionActor, entry: _Crash | _Afterwards, what: str) -> None:
    with trio.move_on_after(TURN):
        await session.deliver(entry)
        await entry.over.wait()
        return
    raise AssertionError(f"{session} did not {what} within {TURN:g} s: something before it has not ended")
