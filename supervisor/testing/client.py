"""A client for tests: trio-websocket's real client, with a mirror of the document, over any stream."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, final

import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError  # trio-websocket is made of it, and lets its errors through

from supervisor.client.session import failure_of
from supervisor.errors import ProtocolError
from supervisor.protocol import events
from supervisor.protocol.client import ClientConnection
from supervisor.protocol.codes import NO_CLOSE_FRAME, CloseCode
from supervisor.protocol.events import Status
from supervisor.protocol.messages import EditName, Peer, Scope

UNTIL = 60.0
"""Seconds, usually virtual, that `until` waits: far beyond every deadline that a test's answer could wait for."""

ANSWER = 600.0
"""Seconds that `send` waits for an answer: a handler may take longer than all deadlines together, but not for ever."""

HANDSHAKE = 10.0
"""Seconds that a connection's opening may take, and its closing; a server that goes down closes without an answer."""

LOST = (NO_CLOSE_FRAME, "")
"""Code and reason of a connection that just ended."""


@final
class Client:
    """One client of one session. It follows reconnects by itself; get one by `TestSession.connect()`."""

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[trio.abc.Stream]],
        path: str,
        protocol: ClientConnection,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._open_stream = open_stream
        self._path = path
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
        self._protocol = protocol
        self._random = random.Random(0)  # noqa: S311 (jitter of delays, the same in every run)
        # Set by `close`.
        self._left = trio.Event()
        # Around what waits for the server; cancelled in order to say goodbye. Each connection has a new one.
        self._talking = trio.CancelScope()
        self._over = trio.Event()
        self._changed = trio.Event()
        self._outcomes: dict[int, events.Answered | events.Arrived | events.Refused] = {}
        self._stream: trio.abc.Stream | None = None
        self._socket: trio_websocket.WebSocketConnection | None = None
        self._online = trio.Event()
        self._online.set()
        self.received: list[events.Event] = []
        """All that came, in order."""
        self.ended: events.Ended | events.Reload | None = None
        """Why it stays away, once it does."""

    @property
    def data(self) -> dict[str, Any]:
        """What a page would show: the mirror of the document, with this client's pending edits on top."""
        return self._protocol.data

    @property
    def session(self) -> str:
        """The session's id."""
        return self._protocol.session or ""

    @property
    def mirror(self) -> tuple[str | None, int, dict[str, Any]]:
        """See `ClientConnection.confirmed`."""
        return self._protocol.confirmed

    @property
    def is_following(self) -> bool:
        """Whether it is live, or comes back by itself: not one that was dropped, or has ended."""
        return self._online.is_set() and self.status in ("live", "reconnecting")

    @property
    def editable(self) -> tuple[str, ...]:
        """What clients may edit, as patterns."""
        return self._protocol.editable

    @property
    def revision(self) -> int:
        """The mirror's revision."""
        return self._protocol.revision

    @property
    def status(self) -> str:
        """`connecting`, `live`, `reconnecting` or `ended`."""
        return Status.ENDED.value if self.ended is not None else self._protocol.status.value

    async def until(self, predicate: Callable[[dict[str, Any]], object], *, timeout: float = UNTIL) -> None:
        """Wait until `predicate(data)` is true.

        Raises:
            AssertionError: it did not come true within `timeout` seconds, or the client ended; shows the last data.
        """
        with trio.move_on_after(timeout):
            while not (self._protocol.revision >= 0 and predicate(self.data)):
                if self.ended is not None:
                    raise AssertionError(f"the client ended ({self.ended}); the last data: {self.data!r}")
                await self._changed.wait()
            return
        raise AssertionError(f"not within {timeout:g} s; the last data: {self.data!r}")

    @property
    def peer(self) -> str | None:
        """What others call this client; None before it was attached."""
        return self._protocol.peer

    @property
    def presence(self) -> dict[Scope, Mapping[str, Peer]]:
        """Who is there, by scope and id, as far as it was told: `client.presence["session"][client.peer].name`.

        Nobody is in a scope that this client doesn't watch.
        """
        return {scope: self._protocol.peers(scope) for scope in ("session", "application")}

    async def watch(self, scope: Scope = "session") -> None:
        """Ask who is there from now on. It doesn't wait for the answer: `until_present` does."""
        self._protocol.watch(scope)
        await self._write_out()

    async def present(self, metadata: Mapping[str, Any]) -> None:
        """Say something of this client to those who watch."""
        self._protocol.present(metadata)
        await self._write_out()

    async def until_present(
        self,
        predicate: Callable[[Mapping[str, Peer]], object],
        *,
        scope: Scope = "session",
        timeout: float = UNTIL,
    ) -> None:
        """Wait until `predicate(peers)` is true of those who are there, by id; begins to watch if need be.

        Raises:
            AssertionError: it did not come true within `timeout` seconds, or the client ended; shows who was there.
        """
        await self.watch(scope)
        with trio.move_on_after(timeout):
            while not predicate(self._protocol.peers(scope)):
                if self.ended is not None:
                    raise AssertionError(f"the client ended ({self.ended}); there were {self.presence[scope]!r}")
                await self._changed.wait()
            return
        raise AssertionError(f"not within {timeout:g} s; there were {self.presence[scope]!r}")

    async def until_ended(self, *, timeout: float = UNTIL) -> events.Ended | events.Reload:
        """Wait until the client stays away; returns why.

        Raises:
            trio.TooSlowError: it did not within `timeout` seconds.
        """
        with trio.fail_after(timeout):
            while self.ended is None:
                await self._changed.wait()
        return self.ended

    async def send(self, name: str, /, **fields: Any) -> Any:
        """Send a message to the session, and wait for what its handler returns.

        Raises:
            SendFailed: it was rejected, invalid, or failed; or its fate can't be known.
            AssertionError: no answer came within 600 seconds.
        """
        return await self._outcome(self._protocol.send(name, fields), name)

    async def edit(self, path: str, value: Any) -> None:
        """Set a key or an index of the document, and wait until the server has done so and the mirror has it.

        `data` shows it at once. The path is a JSON Pointer. What waits for a connection meanwhile is done after it.

        Raises:
            SendFailed: it was rejected, is a conflict with what is shown or with another change, or failed; or its
                fate can't be known.
            AssertionError: no answer came within 600 seconds.
        """
        await self._edit("set", path, value)

    async def insert(self, path: str, value: Any) -> None:
        """Put an item into a list, before the index that ends the path, or at the end with `-`. Else as `edit()`."""
        await self._edit("insert", path, value)

    async def remove(self, path: str) -> None:
        """Take a key or an item out. Else as `edit()`."""
        await self._edit("remove", path)

    async def _edit(self, op: EditName, path: str, value: Any = None) -> None:
        ticket = self._protocol.edit(op, path, value)
        self._notify()
        await self._outcome(ticket, f"{op} of {path}")

    async def _outcome(self, ticket: int, what: str) -> Any:
        """Write what is to be written, and wait for the answer to what was sent."""
        await self._write_out()
        with trio.move_on_after(ANSWER):
            while ticket not in self._outcomes:
                if self.ended is not None:
                    raise AssertionError(f"the client ended before the answer: {self.ended}")
                await self._changed.wait()
        if ticket not in self._outcomes:
            raise AssertionError(f"no answer to {what} within {ANSWER:g} s; {self!r}")
        outcome = self._outcomes.pop(ticket)
        if isinstance(outcome, events.Refused):
            raise failure_of(outcome)
        return outcome.value if isinstance(outcome, events.Answered) else None

    async def drop(self) -> None:
        """Cut the connection, without a close frame, and stay offline until `reconnect()`."""
        self._online = trio.Event()
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    def reconnect(self) -> None:
        """Come back from `drop()`."""
        self._online.set()

    async def close(self) -> None:
        """Leave for good, politely."""
        if self.ended is None:
            self.ended = events.Ended(code=CloseCode.DONE, reason="closed by the test", settled=())
        self._left.set()
        self._online.set()
        self._talking.cancel()
        self._notify()
        await self._over.wait()

    async def run(self) -> None:
        """Connect, and connect again, until the client is to stay away; `TestSession.connect` starts this."""
        try:
            while self.ended is None:
                await self._online.wait()
                if self._left.is_set():
                    break
                code, reason = await self._talk()
                if self._left.is_set():
                    break
                decision = self._protocol.closed(code, reason, random=self._random.random())
                if isinstance(decision, events.Reconnect):
                    self._notify()
                    with trio.move_on_after(decision.after):
                        await self._left.wait()
                else:
                    for settled in decision.settled:
                        self._outcomes[settled.ticket] = settled
                    self.ended = decision
        finally:
            self._over.set()
            self._notify()

    async def _talk(self) -> tuple[int, str]:
        """One connection from its beginning to its end; returns close code and reason."""
        ended = LOST
        try:
            self._stream = await self._open_stream()
            async with trio.open_nursery() as nursery:
                try:
                    ended = await self._converse(nursery, self._stream)
                finally:
                    nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio_websocket.HandshakeError):
            pass  # the network: the client comes back
        except* LocalProtocolError:
            pass  # a ping came while we said goodbye, and the library answered it (trio-websocket #184)
        finally:
            self._socket = None
            if self._stream is not None:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(self._stream)
        return ended

    async def _converse(self, nursery: trio.Nursery, stream: trio.abc.Stream) -> tuple[int, str]:
        # trio-websocket's annotation asks for a socket's stream, but its code takes any.
        any_stream: Any = stream
        socket: trio_websocket.WebSocketConnection | None = None
        with trio.move_on_after(HANDSHAKE):
            socket = await trio_websocket.wrap_client_stream(
                nursery, any_stream, "localhost", self._path, extra_headers=self._headers
            )
        if socket is None:
            return LOST
        self._socket = socket
        try:
            with trio.CancelScope() as self._talking:
                await self._follow(socket)
            with trio.move_on_after(HANDSHAKE):
                await socket.aclose()
            return CloseCode.DONE, ""
        except ProtocolError as error:
            with trio.move_on_after(HANDSHAKE):
                await socket.aclose(CloseCode.PROTOCOL_ERROR, str(error)[:100])
            return CloseCode.PROTOCOL_ERROR, str(error)
        except trio_websocket.ConnectionClosed as closed:
            return LOST if closed.reason is None else (closed.reason.code, closed.reason.reason or "")

    async def _follow(self, socket: trio_websocket.WebSocketConnection) -> None:
        """Take what the server sends, until this is cancelled or the connection ends."""
        if self._left.is_set():
            return
        await socket.send_message(self._protocol.opened())
        while True:
            frame = await socket.get_message()
            for event in self._protocol.receive(frame):
                self.received.append(event)
                if isinstance(event, (events.Answered, events.Arrived, events.Refused)):
                    self._outcomes[event.ticket] = event
            await self._write_out()
            self._notify()

    async def _write_out(self) -> None:
        if self._socket is not None and self._socket.closed is None:
            for frame in self._protocol.outgoing():
                try:
                    await self._socket.send_message(frame)
                except (trio_websocket.ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # it is sent again after the reconnect

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def __repr__(self) -> str:
        return f"<Client {self.status} at revision {self.revision}>"
