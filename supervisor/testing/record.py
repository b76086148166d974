"""What came to a client, for the test that looks at it: it stands between the client's link and its session."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, final

import trio

from supervisor.client.session import ClientSession
from supervisor.client.status import ClientStatus
from supervisor.protocol.client import ClientConnection
from supervisor.protocol.events import Arrived, Attached, Event, Patched, Refused, Snapshotted
from supervisor.protocol.messages import Add, Remove, Replace

MAX_EVENTS = 10_000
"""Events that are kept: more than a test reads."""
MAX_PATCHES = 1_000
"""Patches that are kept for a test that hasn't looked at them."""

Patch = list[dict[str, Any]]
"""A JSON Patch: `[{"op": "replace", "path": "/n", "value": 1}]`."""


@final
class Look:
    """Somebody who waits for something that may come true without a new revision, such as what may be edited."""

    def __init__(self, is_true: Callable[[dict[str, Any]], object]) -> None:
        self._is_true = is_true
        self.scope = trio.CancelScope()
        """Around the waiting; cancelled to end it."""
        self.data: dict[str, Any] = {}
        """For which it was true."""
        self._error: Exception | None = None

    def look(self, data: dict[str, Any]) -> None:
        """Ask once more."""
        try:
            if not self._is_true(data):
                return
        except Exception as error:  # the test's own: it is raised where the test waits
            self._error = error
        self.data = data
        self.scope.cancel()

    def result(self) -> dict[str, Any]:
        """What the waiting ended with."""
        if self._error is not None:
            raise self._error
        return self.data


@final
class Record:
    """An `Owner` of a link that keeps what it hears, and tells the session."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self.protocol = ClientConnection()
        """Speaks for the client at the moment."""
        self.received: list[Event] = []
        """All that came, up to a bound."""
        self.attached = 0
        """How often the server has taken the client in."""
        # The document's revision when the client was taken in last.
        self._expected = 0
        # Revision and patch of each that the test hasn't seen.
        self._patches: deque[tuple[int, Patch]] = deque(maxlen=MAX_PATCHES)
        self._was_too_much = False
        self._looks: set[Look] = set()
        self._changed = trio.Event()

    @property
    def has_all(self) -> bool:
        """Whether what the client missed before it was taken in has come."""
        return self.protocol.status.is_connected and self.protocol.revision >= self._expected

    def has_patch(self) -> bool:
        """Whether there is one that the test hasn't seen."""
        return bool(self._patches)

    def take_patch(self) -> Patch:
        """The oldest one that the test hasn't seen.

        Raises:
            AssertionError: some before it are forgotten.
        """
        if self._was_too_much:
            raise AssertionError(
                f"more than {MAX_PATCHES:,} patches came that this test did not look at; call until() before it lets"
                " so many come, and it goes on from there"
            )
        return self._patches.popleft()[1]

    def saw(self, revision: int) -> None:
        """The test has seen the document at this revision."""
        self._was_too_much = False
        while self._patches and self._patches[0][0] <= revision:
            self._patches.popleft()

    @contextlib.contextmanager
    def looking(self, is_true: Callable[[dict[str, Any]], object]) -> Iterator[Look]:
        """Around a wait for a revision of which this is true: it is asked whenever something else comes too."""
        look = Look(is_true)
        self._looks.add(look)
        try:
            with look.scope:
                yield look
        finally:
            self._looks.discard(look)

    async def wait_changed(self) -> None:
        """Wait until something has happened."""
        await self._changed.wait()

    # What the link calls: see `Owner`.

    def connected_by(self, protocol: ClientConnection) -> None:
        """See `Owner.connected_by`."""
        self.protocol = protocol
        self._patches.clear()  # revisions begin anew
        self._session.connected_by(protocol)
        self._notify()

    def happened(self, events: list[Event]) -> None:
        """See `Owner.happened`."""
        self.received += events
        del self.received[:-MAX_EVENTS]
        for event in events:
            if isinstance(event, Attached):
                self.attached += 1
                self._expected = event.revision
            elif isinstance(event, Patched):
                self._keep([_as_json(operation) for operation in event.operations])
            elif isinstance(event, Snapshotted):
                self._keep([{"op": "replace", "path": "", "value": self.protocol.data}])
        self._session.happened(events)
        for look in list(self._looks):
            look.look(self._session.data)
        self._notify()

    def settled(self, events: tuple[Arrived | Refused, ...]) -> None:
        """See `Owner.settled`; a status follows, and wakes those who wait."""
        self._session.settled(events)

    def status_changed(self, status: ClientStatus) -> None:
        """See `Owner.status_changed`."""
        self._session.status_changed(status)
        self._notify()

    def _keep(self, patch: Patch) -> None:
        self._was_too_much = self._was_too_much or len(self._patches) == MAX_PATCHES
        self._patches.append((self.protocol.revision, patch))

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


def _as_json(operation: Add | Remove | Replace) -> dict[str, Any]:
    said = {"op": type(operation).__name__.lower(), "path": operation.path}
    return said if isinstance(operation, Remove) else {**said, "value": operation.value}
