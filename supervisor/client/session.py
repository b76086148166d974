"""A session as its client program sees it: the document's mirror, its changes, and what can be sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, final

import attrs
import trio

from supervisor.client.changes import Change, Differences, Moment
from supervisor.client.editable import EditAction, allows
from supervisor.client.link import Link
from supervisor.client.newest import Newest
from supervisor.client.predicate import plain_predicate
from supervisor.client.presence import ClientPresence
from supervisor.client.status import ClientStatus
from supervisor.errors import (
    SendConflict,
    SendFailed,
    SendIncident,
    SendInvalid,
    SendRejected,
    SendUnknown,
    SendUnsent,
    SessionEnded,
)
from supervisor.protocol.client import ClientConnection
from supervisor.protocol.events import Answered, Arrived, Event, PresenceChanged, Refused, Snapshotted, Status
from supervisor.protocol.messages import EditName

ANSWER = 60.0
"""Seconds that a send waits for its answer, unless it is told otherwise; the server's own deadlines are shorter."""
UNTIL = 60.0
"""Seconds that `until` waits, unless it is told otherwise."""
LEAVE = 2.0
"""Seconds for a polite end."""

_BY_KIND: dict[str, type[SendFailed]] = {
    "rejected": SendRejected,
    "invalid": SendInvalid,
    "conflict": SendConflict,
    "failed": SendIncident,
    "unknown": SendUnknown,
    "unsent": SendUnsent,
}


def failure_of(refused: Refused) -> SendFailed:
    """The exception that says why a send was not done."""
    return _BY_KIND[refused.kind](refused.text, kind=refused.kind, incident=refused.incident)


@final
class _Waiting:
    """Somebody who waits for an outcome."""

    __slots__ = ("_event", "error", "value")

    def __init__(self) -> None:
        self._event = trio.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value, self.error = value, error
        self._event.set()

    async def result(self) -> Any:
        await self._event.wait()
        if self.error is not None:
            raise self.error
        return self.value


@final
class ClientSession:
    """One session, of which this program is a client. `connect()` makes it; it lives as long as its block.

    When the connection is lost, it comes back by itself and gets what it missed. Any task of the same trio run may call
    its methods. Each wait is safe to cancel, but a send that was cancelled may still be done.
    """

    def __init__(self) -> None:
        self._link: Link | None = None
        self._protocol = ClientConnection()
        # Whether the protocol's connection of the moment has had a mirror; before that, `data` is of the one before.
        self._has_mirror = False
        self._moment = Moment(data={}, revision=-1, sessions=1)
        self._status = ClientStatus()
        self._restarts = 0
        # Those who wait for the answer to a send, by ticket; tickets are of the protocol's connection of the moment.
        self._sends: dict[int, _Waiting] = {}
        # Those who wait for something to become true; looked at with each revision, so that none is overlooked.
        self._predicates: dict[_Waiting, Callable[[dict[str, Any]], object]] = {}
        self._changed = trio.Event()
        self._presence = ClientPresence(self._flush, self._wait_changed)

    @property
    def id(self) -> str:
        """The session's id. Whoever knows it may be able to join the session: don't log it."""
        return self._protocol.session or ""

    @property
    def data(self) -> dict[str, Any]:
        """The document as plain Python. Each revision has its own object: read it, don't change it.

        What you hold stays as it is, even across an `await`; ask again to see what is there then. Revisions share equal
        parts, so `before["prices"] is session.data["prices"]` means that nothing has changed in there.
        """
        return self._moment.data

    @property
    def revision(self) -> int:
        """The revision that `data` shows. It rises; in another session (see `ClientStatus.sessions`) it begins anew."""
        return self._moment.revision

    @property
    def restarts(self) -> int:
        """How often the document was replaced because the session was restarted after a failure."""
        return self._restarts

    @property
    def status(self) -> ClientStatus:
        """The state of this client, such as `live`, and why."""
        return self._status

    @property
    def peer(self) -> str | None:
        """What others call this client; see `Peer.id`."""
        return self._protocol.peer

    @property
    def presence(self) -> ClientPresence:
        """Who else is there."""
        return self._presence

    @property
    def editable(self) -> tuple[str, ...]:
        """What clients may edit: JSON Pointers in which `*` stands for any one step."""
        return self._protocol.editable

    def may_edit(self, path: str, action: EditAction = "edit") -> bool:
        """Whether the app lets clients `edit()` the place at `path`, or `insert()` or `remove()` there.

        The server checks each edit again.

        Raises:
            ValueError: the path is not a JSON Pointer, or there is no such action

        """
        return allows(self.editable, path, action)

    def changes(self, path: str = "") -> Newest[Change]:
        """An async iterator over the changes of the document, or of the part at `path` (a JSON Pointer).

        The first change comes at once and tells what is there. From then on there is one for each revision, in order; a
        slow consumer gets the revisions that came meanwhile as one change. With a path, only changes that touch that
        part are told. Its `__anext__` raises `SessionEnded` when no other change will come.

        Raises:
            ValueError: the path is not a JSON Pointer

        """
        return Newest(Differences(lambda: self._moment, path).take, self._wait_changed)

    def statuses(self) -> Newest[ClientStatus]:
        """An async iterator over the statuses: the present one at once, then each newest one. `ended` is the last."""
        last: ClientStatus | None = None

        def take() -> ClientStatus | None:
            nonlocal last
            if self._status is last:
                return None
            last = self._status
            return last

        async def wait() -> None:
            if self._status.state == "ended":
                raise StopAsyncIteration
            await self._changed.wait()

        return Newest(take, wait)

    async def until(self, predicate: Callable[[dict[str, Any]], object], *, timeout: float = UNTIL) -> dict[str, Any]:
        """Wait until `predicate(data)` is true, and return the data for which it was. It is asked about each revision.

        Raises:
            TooSlowError: it did not become true within `timeout` seconds
            SessionEnded: it can no longer become true
            Exception: whatever the predicate raises
            TypeError: the predicate is not a plain function of one argument

        """
        predicate = plain_predicate(predicate, 'until(lambda data: data["n"] == 1)')
        await trio.lowlevel.checkpoint()
        if predicate(self.data):
            return self.data
        self._raise_if_ended()
        waiting = _Waiting()
        self._predicates[waiting] = predicate
        try:
            with trio.move_on_after(timeout):
                found: dict[str, Any] = await waiting.result()
                return found
        finally:
            self._predicates.pop(waiting, None)
        raise trio.TooSlowError(f"the predicate did not become true within {timeout:g} s")

    async def wait_ended(self) -> SessionEnded:
        """Wait until this client stays away for good; returns why, and raises nothing."""
        while self._status.state != "ended":
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        return SessionEnded(self._status.code, self._status.reason)

    async def send(
        self, message: str | object, fields: Mapping[str, object] | None = None, *, timeout: float = ANSWER
    ) -> Any:
        """Send a message to the app, and return what its handler returned; by then, `data` has the handler's changes.

        The app must accept the type from clients: `@receives(…, from_client=True)`. Without a connection, the message
        waits for the next one. It is handled once, even if the connection is lost on the way.

        Args:
            message: the name of its type, with `fields`; or the message itself, an object of an attrs class, a
                dataclass or a msgspec Struct
            fields: by name, as JSON can carry them
            timeout: seconds

        Raises:
            SendFailed: it was not done, or nobody knows whether it was; each kind has its own class
            TooSlowError: no answer within `timeout` seconds; it may still be done
            TypeError, ValueError: JSON can't carry the fields

        """
        name, fields = _name_and_fields(message, fields)
        return await self._answer(lambda: self._protocol.send(name, fields), what=name, timeout=timeout)

    async def edit(self, path: str, value: object, *, timeout: float = ANSWER) -> None:
        """Set the value at `path` (a JSON Pointer): of a key, which may be new, or of an existing index.

        `data`, `changes()` and `until()` show it at once, on top of what the server tells. The server's order counts,
        and what it refuses is undone. This returns when the server has made the edit and the mirror has it; the app may
        have changed the value.

        Raises:
            SendFailed: as of `send()`; `SendRejected` if the app doesn't allow it, `SendConflict` if the place has gone
            TooSlowError: no answer within `timeout` seconds; it stays shown, and may still be done
            TypeError, ValueError: the path is not a JSON Pointer or names the whole, or JSON can't carry the value

        """
        await self._edit("set", path, value, timeout=timeout)

    async def insert(self, path: str, value: object, *, timeout: float = ANSWER) -> None:
        """Insert an item before the one at `path`, whose last step is an index, or `-` for the end. See `edit()`."""
        await self._edit("insert", path, value, timeout=timeout)

    async def remove(self, path: str, *, timeout: float = ANSWER) -> None:
        """Remove the key or the item at `path`. See `edit()`."""
        await self._edit("remove", path, None, timeout=timeout)

    async def aclose(self) -> None:
        """End it, politely, within 2 seconds. Leaving the block of `connect()` does that; may be called twice."""
        assert self._link is not None
        self._link.leave()
        with trio.move_on_after(LEAVE):
            await self._link.wait_over()

    async def _edit(self, op: EditName, path: str, value: object, *, timeout: float) -> None:
        await self._answer(lambda: self._protocol.edit(op, path, value), what=f"the edit of {path}", timeout=timeout)

    async def _answer(self, queue: Callable[[], int], *, what: str, timeout: float) -> Any:
        await trio.lowlevel.checkpoint()
        if self._protocol.status is Status.ENDED:
            reason = self._status.reason or "The session has ended."
            raise SendUnsent(f"{reason} This was not sent.", kind="unsent")
        ticket = queue()
        waiting = self._sends[ticket] = _Waiting()
        self._look()
        self._flush()
        with trio.move_on_after(timeout):
            return await waiting.result()
        raise trio.TooSlowError(f"no answer to {what} within {timeout:g} s; it may still be done")

    def linked_by(self, link: Link) -> None:
        """Where what is sent goes from now on. Who made this session and its link calls it, once, before it runs."""
        self._link = link

    # What the link calls: see `Owner`.

    def connected_by(self, protocol: ClientConnection) -> None:
        """See `Owner.connected_by`."""
        self._protocol = protocol
        self._has_mirror = False
        self._sends = {}
        self._presence.connected_by(protocol)

    def happened(self, events: list[Event]) -> None:
        """See `Owner.happened`."""
        for event in events:
            if isinstance(event, Answered):
                self._sends.pop(event.ticket).settle(event.value)
            elif isinstance(event, (Arrived, Refused)):
                self._settle(event)
            elif isinstance(event, Snapshotted):
                self._restarts += event.restarted
            elif isinstance(event, PresenceChanged):
                self._presence.heard(event.scope)
                self._notify()
        self._look()

    def settled(self, events: tuple[Arrived | Refused, ...]) -> None:
        """See `Owner.settled`."""
        for event in events:
            self._settle(event)
        self._look()

    def _settle(self, event: Arrived | Refused) -> None:
        error = failure_of(event) if isinstance(event, Refused) else None
        self._sends.pop(event.ticket).settle(error=error)

    def status_changed(self, status: ClientStatus) -> None:
        """See `Owner.status_changed`."""
        self._status = status
        if status.state == "ended":
            for waiting in self._predicates:
                waiting.settle(error=SessionEnded(status.code, status.reason))
        self._notify()

    def _look(self) -> None:
        """Take what the mirror shows now, and tell those who wait."""
        protocol, moment = self._protocol, self._moment
        self._has_mirror = self._has_mirror or protocol.status is Status.LIVE
        if not self._has_mirror:
            return
        revision = protocol.revision if protocol.revision >= 0 else moment.revision
        if protocol.data is moment.data and revision == moment.revision:
            return
        self._moment = Moment(data=protocol.data, revision=revision, sessions=self._status.sessions)
        for waiting, predicate in list(self._predicates.items()):
            try:
                is_true = predicate(self.data)
            except Exception as error:  # the caller's own: it is raised where the caller waits
                waiting.settle(error=error)
            else:
                if not is_true:
                    continue
                waiting.settle(self.data)
            del self._predicates[waiting]
        self._notify()

    def _flush(self) -> None:
        assert self._link is not None
        self._link.flush()

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def _wait_changed(self) -> None:
        self._raise_if_ended()
        await self._changed.wait()

    def _raise_if_ended(self) -> None:
        if self._status.state == "ended":
            raise SessionEnded(self._status.code, self._status.reason)

    def __repr__(self) -> str:
        """For logs, so without the session's id."""
        return f"<ClientSession {self._status.state} at revision {self.revision}>"


def _name_and_fields(message: str | object, fields: Mapping[str, object] | None) -> tuple[str, Any]:
    if isinstance(message, str):
        return message, {} if fields is None else fields
    if fields is not None:
        raise TypeError(
            f"fields go with the name of a message, but this is a {type(message).__name__}, which has its own"
        )
    if isinstance(message, type):
        raise TypeError(
            f"a message is an instance of its class, but this is the class itself: write {message.__name__}(…)"
        )
    cls: Any = type(message)
    name = cls.__name__
    # As the server reads it: arguments of the class, by the names that its constructor takes.
    if attrs.has(cls):
        return name, {each.alias or each.name: getattr(message, each.name) for each in attrs.fields(cls) if each.init}
    if dataclasses.is_dataclass(cls):
        return name, {each.name: getattr(message, each.name) for each in dataclasses.fields(cls) if each.init}
    return name, message
