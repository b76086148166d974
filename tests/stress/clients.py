"""Clients that follow a session as the browser's does, many in one process, and write down what they saw."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from supervisor.client.page import Entry
from supervisor.protocol import events
from supervisor.protocol.client import ClientConnection

from . import history
from .sockets import NO_FRAME, WAIT, PageRefused, Socket, SocketEnded, open_page


def digest(data: Any) -> int:
    """A number for a document: equal documents have equal ones."""
    return zlib.crc32(msgspec.json.encode(data, order="sorted"))


class Failed(Exception):
    """The server's answer to a send is not the one that was wanted."""

    def __init__(self, outcome: events.Refused) -> None:
        super().__init__(f"{outcome.kind}: {outcome.text}")
        self.kind = outcome.kind
        self.incident = outcome.incident


class Client:
    """One client. Start `run` in a nursery; it returns when the client has ended or left.

    Args:
        port: where the server is.
        entry: what the page said.
        name: begins the labels of what it sends.
        rng: decides its delays.
        haste: what delays between attempts are multiplied with.
        records: whether it writes down what it sees.
        receive_buffer: bytes that the kernel takes for it while it doesn't read.
        revisit: app and session of the page that it loads anew when told to.
    """

    def __init__(
        self,
        port: int,
        entry: Entry,
        *,
        name: str = "client",
        rng: random.Random | None = None,
        haste: float = 0.1,
        records: bool = True,
        receive_buffer: int | None = None,
        revisit: tuple[str, str | None] | None = None,
    ) -> None:
        self.name = name
        self.protocol = ClientConnection(token=entry.token, session=entry.session)
        self.history: list[history.Event] = []
        self.socket: Socket | None = None
        self.codes: list[int] = []
        """How its connections were closed, in order."""
        self.delays: list[float] = []
        """After how many seconds it was to come back, each time."""
        self.ended: events.Ended | events.Reload | None = None
        self.reading = trio.Event()
        """Replace it by `pause()`: while it isn't set, nothing is read."""
        self.reading.set()
        self._port = port
        self._entry = entry
        self._rng = rng or random.Random(0)
        self._haste = haste
        self._records = records
        self._receive_buffer = receive_buffer
        self._revisit = revisit
        self._changed = trio.Event()
        self._outcomes: dict[int, events.Answered | events.Refused | None] = {}
        self._labels: dict[int, str] = {}
        self._left = False
        # Around what waits for the server's next frame.
        self._reading_scope = trio.CancelScope()
        self._over = trio.Event()
        self._flushing = trio.Lock()

    # What a scenario does with it.

    @property
    def data(self) -> dict[str, Any]:
        return self.protocol.data

    @property
    def is_live(self) -> bool:
        return self.protocol.status.is_connected

    def cut(self) -> None:
        """Lose the connection; the client comes back by itself."""
        if self.socket is not None:
            self.socket.abort()
        self._notify()

    def desert(self) -> Socket | None:
        """Open another connection and leave the old one open, unread: as a network does that changed its address.

        Returns:
            the old one, which is the caller's to read and to end.
        """
        old, self.socket = self.socket, None
        self._reading_scope.cancel()
        return old

    def pause(self) -> None:
        """Stop reading."""
        self.reading = trio.Event()

    def leave(self) -> None:
        """End, without a word."""
        self._left = True
        self.reading.set()
        self.cut()

    async def wait_over(self) -> None:
        await self._over.wait()

    async def until(self, condition: Callable[[], Any], *, wait: float = WAIT) -> None:
        """Wait until something is true of this client; looked at whenever something has come."""
        with trio.move_on_after(wait) as scope:
            while not condition():
                await self._changed.wait()
        if scope.cancelled_caught:
            raise AssertionError(f"{self.name} waited {wait:g} s in vain; it is {self.protocol!r}")

    async def until_live(self) -> None:
        await self.until(lambda: self.is_live)

    async def post(self, message: str, *, label: str = "", **fields: Any) -> int:
        """Send a message and don't wait; returns its ticket."""
        if label:
            fields["label"] = label
        ticket = self.protocol.send(message, fields)
        self._sent(ticket, label)
        await self.flush()
        return ticket

    async def edit(self, op: Any, path: str, value: Any = None) -> int:
        """Edit, and don't wait; returns the ticket."""
        ticket = self.protocol.edit(op, path, value)
        self._sent(ticket, "")
        await self.flush()
        return ticket

    async def end_of(self, ticket: int, *, wait: float = WAIT) -> events.Answered | events.Arrived | events.Refused:
        """How a send, or an edit, ended."""
        await self.until(lambda: self._outcomes.get(ticket) is not None, wait=wait)
        outcome = self._outcomes.pop(ticket)
        assert outcome is not None
        return outcome

    async def ask(self, message: str, *, label: str = "", wait: float = WAIT, **fields: Any) -> Any:
        """Send a message and return its answer.

        Raises:
            Failed: it was refused
        """
        outcome = await self.end_of(await self.post(message, label=label, **fields), wait=wait)
        if isinstance(outcome, events.Refused):
            raise Failed(outcome)
        return outcome.value

    @property
    def unsettled(self) -> int:
        """Sends and edits that have no end yet."""
        return sum(outcome is None for outcome in self._outcomes.values())

    # Its life.

    async def run(self) -> None:
        try:
            while not self._left and self.ended is None:
                code, reason = await self._converse()
                self.codes.append(code)
                self._record(history.Closed(code))
                await self._come_back(code, reason)
                self._notify()
        finally:
            if self.socket is not None:
                self.socket.abort()
            self._over.set()
            self._notify()

    async def _come_back(self, code: int, reason: str) -> None:
        decision = self.protocol.closed(code, reason, random=self._rng.random())
        if self._left:
            return
        if isinstance(decision, events.Reconnect):
            self.delays.append(decision.after)
            await trio.sleep(decision.after * self._haste)
            return
        self._settle(decision.settled)
        if isinstance(decision, events.Reload) and self._revisit is not None:
            await trio.sleep(0.05)
            try:
                self._entry = await open_page(self._port, *self._revisit)
            except (OSError, SocketEnded, PageRefused, trio.TooSlowError):
                self.ended = decision
            else:
                self.protocol = ClientConnection(token=self._entry.token, session=self._entry.session)
            return
        self.ended = decision

    async def _converse(self) -> tuple[int, str]:
        try:
            socket = self.socket = await Socket.open(
                self._port, self._entry.websocket, receive_buffer=self._receive_buffer
            )
        except SocketEnded as ended:
            return ended.code, ended.reason
        try:
            if self._left:
                return NO_FRAME, ""
            await socket.send(self.protocol.opened())
            self._record(history.Connected())
            while self.socket is socket:  # else it was deserted
                with trio.CancelScope() as self._reading_scope:
                    await self.reading.wait()
                    frame = await socket.receive()
                if self._reading_scope.cancelled_caught:
                    break
                told = self.protocol.receive(frame)
                if self._records:
                    self._record_frame(frame)
                self._settle(told)
                await self.flush()
                self._notify()
            return NO_FRAME, ""
        except SocketEnded as ended:
            return ended.code, ended.reason
        finally:
            if self.socket is socket:
                socket.abort()
                self.socket = None

    async def flush(self) -> None:
        """Write what waits to be written."""
        async with self._flushing:  # frames have numbers: nobody's may come between two of another's
            socket = self.socket
            if socket is None:
                return
            try:
                for frame in self.protocol.outgoing():
                    await socket.send(frame)
            except SocketEnded:
                pass  # the reader learns it, and what has no answer is written again

    def _sent(self, ticket: int, label: str) -> None:
        self._outcomes[ticket] = None
        if label:
            self._labels[ticket] = label
            self._record(history.Sent(ticket, label))

    def _settle(self, told: Any) -> None:
        for event in told:
            if not isinstance(event, events.Answered | events.Refused | events.Arrived):
                continue
            if event.ticket in self._outcomes:
                self._outcomes[event.ticket] = event
            label = self._labels.pop(event.ticket, None)
            if label is not None:
                outcome = event.kind if isinstance(event, events.Refused) else "answered"
                seen = outcome != "answered" or label in self.data.get("log", ())[-500:]
                self._record(history.Settled(event.ticket, outcome, seen))

    def _record(self, event: history.Event) -> None:
        if self._records:
            self.history.append(event)

    def _record_frame(self, frame: str) -> None:
        """Write down what came, from the frame itself; the digest is of what this client has now."""
        if frame.startswith('{"type":"patch"'):
            patch = json.loads(frame)
            self.history.append(history.Patch(patch["from"], patch["to"], digest(self.protocol._data)))
        elif frame.startswith('{"type":"snapshot"'):
            snapshot = json.loads(frame)
            taken = digest(self.protocol._data)
            self.history.append(history.Snapshot(snapshot["epoch"], snapshot["revision"], taken))
        elif frame.startswith('{"type":"attached"'):
            attached = json.loads(frame)
            self.history.append(history.Attached(attached["epoch"], attached["revision"], attached["resumed"]))

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
