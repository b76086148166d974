"""Whether clients have what their sessions' documents have: looked at in each turn of the loop, without waiting.

Essay: how to compare what never rests. A client is behind its session by whatever is under way, so the two can be
compared only when the client's revision is the session's. With an app that changes its document all the time there may
never be a moment at which it is: so what the document was, revision by revision, is kept while this waits, and a client
is compared with the revision that it has. And nobody is asked to wait: looking is done by an instrument of trio's,
between two turns of the loop, when no task is in the middle of anything. An app that never lets the loop rest is looked
at as well, for so many turns; virtual time would not pass there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, final

import trio
import trio.testing

from supervisor.session.actor import SessionActor
from supervisor.testing.client import Client

TIMEOUT = 60.0
"""Seconds, usually virtual, in which clients must have what the documents are."""
MAX_TURNS = 2_000
"""Turns in a row of a loop that never rests, after which it is not waited for any longer."""
MAX_KEPT = 1_000
"""Revisions of one document that are kept to be compared with."""


@final
class Agreement(trio.abc.Instrument):
    """One wait for all clients.

    Args:
        clients: those who take part while they are followers; see `Client.is_following`.
        find: the live session of an id, or None.
    """

    def __init__(self, clients: Iterable[Client], find: Callable[[str], SessionActor | None]) -> None:
        self._open = {client: _Follower(client) for client in clients}
        self._find = find
        # What documents were, by session and epoch, and by revision.
        self._documents: dict[tuple[str, str], dict[int, bytes]] = {}
        self._failures: list[str] = []
        # Turns of the loop since it rested, or since virtual time passed.
        self._turns = 0
        self._is_virtual = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
        self._now = trio.current_time()
        self._is_quiet = False
        self._scope = trio.CancelScope()
        self._done = trio.Event()

    async def wait(self, *, timeout: float = TIMEOUT) -> list[str]:
        """Wait until all tasks have come to rest and each client has what its session has; returns what is different.

        No time passes if nothing is under way. Safe to cancel.
        """
        trio.lowlevel.add_instrument(self)
        try:
            with trio.move_on_after(timeout):
                with self._scope:
                    await trio.testing.wait_all_tasks_blocked()
                self._is_quiet, self._turns, self._scope = True, 0, trio.CancelScope()
                self._look()
                with self._scope:
                    await self._done.wait()
        finally:
            trio.lowlevel.remove_instrument(self)
        for client, follower in self._open.items():
            if self._find(client.session) is not None:
                self._failures += follower.is_behind()
        return self._failures

    def before_io_wait(self, timeout: float) -> None:
        """See `trio.abc.Instrument`."""
        before, self._now = self._now, trio.current_time()
        rested = self._now > before if self._is_virtual else timeout > 0
        self._turns = 0 if rested else self._turns + 1
        if self._turns > MAX_TURNS:
            self._scope.cancel()
        if self._is_quiet and not self._done.is_set():
            self._look()
            if self._done.is_set():  # the loop has decided to sleep already
                trio.lowlevel.current_trio_token().run_sync_soon(lambda: None)

    def _look(self) -> None:
        for client, follower in list(self._open.items()):
            if not client.is_following:
                del self._open[client]
                continue
            session = self._find(client.session)
            if session is not None and follower.compare(self._revisions_of(session), session):
                del self._open[client]
                self._failures += follower.differences
        if not self._open:
            self._done.set()

    def _revisions_of(self, session: SessionActor) -> dict[int, bytes]:
        kept = self._documents.setdefault((session.id, session.epoch), {})
        revision = session.stored.revision
        if revision not in kept:
            kept[revision] = session.stored.snapshot()
            if len(kept) > MAX_KEPT:
                del kept[next(iter(kept))]
        return kept


@final
class _Follower:
    """One client that has yet to be compared."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Where the document was when this began: what the client must have by the end.
        self._goal: tuple[str, int] | None = None
        self._name = ""
        self.differences: list[str] = []

    def compare(self, documents: dict[int, bytes], session: SessionActor) -> bool:
        """Whether the client has a revision that is known, and so was compared."""
        epoch, revision, data = self._client.mirror
        if self._goal is None or self._goal[0] != session.epoch:
            self._goal = (session.epoch, session.stored.revision)
            self._name = f"a client of {session}"
        if epoch != session.epoch or revision not in documents:
            return False
        document = json.loads(documents[revision])
        if _text(document) != _text(data):
            self.differences.append(
                f"{self._name} at revision {revision}: {_first_difference(document, data) or 'the order of keys'}"
            )
        return True

    def is_behind(self) -> list[str]:
        """What is wrong with it at the end of the time, if it has not even what the document was when that began."""
        if self._goal is None:
            return []
        epoch, revision, _ = self._client.mirror
        if epoch == self._goal[0] and revision >= self._goal[1]:
            return []
        return [f"{self._name} ({self._client.status}) is at revision {revision}, its session was at {self._goal[1]}"]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _first_difference(document: Any, data: Any, path: str = "") -> str:
    if isinstance(document, dict) and isinstance(data, dict):
        for key in [*document, *(key for key in data if key not in document)]:
            at = f"{path}/{key}"
            if key not in data:
                return f"it lacks {at}, which is {_cut(document[key])}"
            if key not in document:
                return f"it has {at}, {_cut(data[key])}, which the document lacks"
            found = _first_difference(document[key], data[key], at)
            if found:
                return found
        return ""
    if isinstance(document, list) and isinstance(data, list) and len(document) == len(data):
        for index, (one, other) in enumerate(zip(document, data, strict=True)):
            found = _first_difference(one, other, f"{path}/{index}")
            if found:
                return found
        return ""
    if _text(document) == _text(data):
        return ""
    return f"{path or 'the root'} is {_cut(data)}, in the document {_cut(document)}"


def _cut(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:99]}…"
