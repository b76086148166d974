"""One websocket of a client: from the dial to the last byte, between the stream and its `ClientConnection`.

Essay: who may be interrupted where. A frame that is cut in the middle spoils everything after it, so only one task
writes frames, and nobody cancels it while this connection is to live: a task of the program that sends only leaves its
message and wakes the writer. Leaving cancels the reader, and the close frame queues behind the frame that is being
written. What takes too long is cut off: one deadline, `_patience`, is around everything. Every byte that arrives
postpones it, so it needs no watching task; the server pings every 20 seconds, unless it is configured otherwise, and
trio-websocket answers. trio-websocket's own tasks may raise when a connection ends at a bad moment; if that says only
that the peer or the network is gone, or broke the websocket's rules, it ends this connection and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, final

import attrs
import trio
import trio_websocket

from supervisor.actor.guard import pass_on
from supervisor.client.address import Address
from supervisor.client.dialing import LOST, Dialer, explain
from supervisor.errors import ConnectFailed, ProtocolError
from supervisor.protocol.client import ClientConnection
from supervisor.protocol.codes import NO_CLOSE_FRAME, CloseCode
from supervisor.protocol.events import Closing, Event

ATTEMPT = 20.0
"""Seconds from the dial to the end of the handshake; the browser's client waits as long."""
ADMISSION = 60.0
"""Seconds from there to the first frame: a server lets us wait 30 s for our session's turn, and 10 s for each hook
that lets us in, and says so if that was not enough. The browser's client waits as long."""
SILENCE = 60.0
"""Seconds without a byte after which the connection counts as lost: the server's pings come every 20."""
LAST_WORDS = 5.0
"""Seconds that a connection whose end was announced has to close."""
GOODBYE = 2.0
"""Seconds for our close frame and the server's answer to it."""
MAX_MESSAGE_SIZE = 64 * 1024 * 1024
"""Bytes of one message of the server: a snapshot is a whole document."""

_MAX_REASON = 40  # characters: a close reason has at most 123 bytes, and 40 characters never have more than 120


@final
@attrs.frozen(kw_only=True)
class Closed:
    """How a websocket ended."""

    code: int
    reason: str = ""
    """The server's, from the close frame."""
    problem: str = ""
    """What went wrong on the way, in words; empty if nothing did."""
    refused: int | None = None
    """The HTTP status, if the server answered the handshake with one."""


@final
class Websocket:
    """One attempt to be connected. Call `run` once; the other methods are plain and may be called at any time."""

    def __init__(
        self,
        protocol: ClientConnection,
        *,
        dialer: Dialer,
        address: Address,
        headers: Sequence[tuple[str, str]],
        on_events: Callable[[list[Event]], None],
        max_message_size: int,
    ) -> None:
        self._protocol = protocol
        self._dialer = dialer
        self._address = address
        self._headers = headers
        self._on_events = on_events
        self._max_message_size = max_message_size
        # Around everything; its deadline is the end of our patience with the server.
        self._patience = trio.CancelScope()
        # Around the reading; cancelled in order to say goodbye.
        self._talking = trio.CancelScope()
        self._is_left = False
        # With which code it is left.
        self._goodbye: int = CloseCode.DONE
        # Set while what comes is read.
        self._is_read = trio.Event()
        self._is_read.set()
        self._was_opened = False
        self._was_heard = False
        # What the server said that it closes with.
        self._announced: Closing | None = None
        self._outgoing = trio.Event()
        # What `run` is to say.
        self._closed = Closed(code=NO_CLOSE_FRAME)

    def flush(self) -> None:
        """Write what may be written."""
        self._outgoing.set()

    def leave(self, code: int = CloseCode.DONE) -> None:
        """End it politely; `run` returns within `GOODBYE` seconds."""
        self._is_left = True
        self._goodbye = code
        if self._was_opened:
            self._talking.cancel()
        else:
            self._patience.cancel()

    def pause(self) -> None:
        """Read nothing more, no ping and no end either, until `resume`; meanwhile the server's silence is forgiven."""
        self._is_read = trio.Event()
        self._patience.deadline = math.inf

    def resume(self) -> None:
        """Go on reading."""
        self._is_read.set()
        self._have_patience(self._patience_of_now())

    async def run(self) -> Closed:
        """Connect and converse until the end; returns how it ended. Raises nothing but what is a bug of ours."""
        self._have_patience(ATTEMPT)
        with self._patience:
            try:
                stream = await self._dialer(self._address)
            except ConnectFailed as error:
                return Closed(code=NO_CLOSE_FRAME, problem=str(error))
            try:
                await self._converse(stream)
            finally:
                with trio.CancelScope(shield=True):  # forcefully: it never waits, but cancelled it would raise
                    await trio.aclose_forcefully(stream)
        if self._announced is not None:  # the close frame may be lost, or its code be replaced on the way
            return Closed(code=self._announced.code, reason=self._announced.reason)
        if self._patience.cancelled_caught and not self._is_left and not self._closed.problem:
            said = "nothing was heard for" if self._was_heard else "no answer within"
            problem = f"{said} {self._patience_of_now():g} s"
            return attrs.evolve(self._closed, problem=f"{self._address.authority}: {problem}")
        return self._closed

    async def _converse(self, stream: trio.abc.Stream) -> None:
        heard: Any = _Heard(
            stream, wait_turn=self._wait_turn, on_data=self._on_data, on_end=self._on_end
        )  # annotated as a socket's stream
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in self._headers]
        try:
            async with trio.open_nursery() as nursery:
                socket = await trio_websocket.wrap_client_stream(
                    nursery,
                    heard,
                    self._address.authority,
                    self._address.target,
                    extra_headers=headers,
                    max_message_size=self._max_message_size,
                )
                self._was_opened = True
                self._have_patience(ADMISSION)
                nursery.start_soon(self._write, socket)
                await self._read(socket)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            refusals, rest = group.split(trio_websocket.ConnectionRejected)
            if refusals is not None:
                status = _first(refusals).status_code
                problem = f"{self._address.authority} answers the websocket with status {status}"
                self._closed = Closed(code=NO_CLOSE_FRAME, problem=problem, refused=status)
            if rest is not None:
                network, bugs = rest.split(_is_of_the_network)
                if network is not None and not self._closed.problem:
                    problem = f"{self._address.authority}: {explain(_first(network))}"
                    self._closed = attrs.evolve(self._closed, problem=problem)
                if bugs is not None:
                    pass_on(group, bugs)

    async def _read(self, socket: trio_websocket.WebSocketConnection) -> None:
        """Take what the server sends, until its end or until this is left; then say goodbye."""
        reason = ""
        try:
            with self._talking:
                while True:
                    frame = await socket.get_message()
                    events = self._protocol.receive(frame)
                    self._was_heard = True
                    self._announced = next((event for event in events if isinstance(event, Closing)), self._announced)
                    self._have_patience(LAST_WORDS if self._announced else SILENCE)
                    self._on_events(events)
                    self._outgoing.set()
        except trio_websocket.ConnectionClosed as closed:
            if closed.reason is not None:
                self._closed = Closed(code=closed.reason.code, reason=closed.reason.reason or "")
            return
        except ProtocolError as error:
            code: int = CloseCode.PROTOCOL_ERROR
            reason = str(error)[:_MAX_REASON]
            problem = f"{self._address.authority} breaks the rules of the wire: {error}"
            self._closed = Closed(code=code, problem=problem)
        else:
            code = self._goodbye
        with trio.move_on_after(GOODBYE):
            await socket.aclose(code, reason)

    async def _write(self, socket: trio_websocket.WebSocketConnection) -> None:
        try:
            await socket.send_message(self._protocol.opened())
            while True:
                self._outgoing = trio.Event()
                for frame in self._protocol.outgoing():
                    await socket.send_message(frame)
                await self._outgoing.wait()
        except trio_websocket.ConnectionClosed:
            pass  # the reader learns why; what has no answer is written again on the next connection

    def _on_data(self) -> None:
        if self._was_heard and self._announced is None:
            self._have_patience(SILENCE)

    def _have_patience(self, seconds: float) -> None:
        self._patience.deadline = trio.current_time() + seconds if self._is_read.is_set() else math.inf

    def _patience_of_now(self) -> float:
        if self._was_heard:
            return SILENCE
        return ADMISSION if self._was_opened else ATTEMPT

    async def _wait_turn(self) -> None:
        if not self._is_read.is_set():
            await self._is_read.wait()

    def _on_end(self) -> None:
        # Before the handshake is done, trio-websocket would wait for it for ever, even if it could not ask for it.
        if not self._was_opened:
            self._closed = Closed(
                code=NO_CLOSE_FRAME, problem=f"{self._address.authority} ended the connection without an answer"
            )
            self._patience.cancel()


@final
class _Heard(trio.abc.Stream):
    """A stream that tells when something arrives, and when nothing will any more; what arrives may have to wait."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        wait_turn: Callable[[], Awaitable[None]],
        on_data: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._wait_turn = wait_turn
        self._on_data = on_data
        self._on_end = on_end

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except LOST:
            await self._wait_turn()
            self._on_end()
            raise
        await self._wait_turn()
        if data:
            self._on_data()
        else:
            self._on_end()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except LOST:
            self._on_end()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self._on_end()
        await self._stream.aclose()


def _is_of_the_network(error: BaseException) -> bool:
    """Whether this only says that the server, or the network, is gone or breaks the websocket protocol."""
    if isinstance(error, BaseExceptionGroup):
        return False  # it is asked about each of its own
    ours = (*LOST, trio_websocket.ConnectionClosed, trio_websocket.HandshakeError)
    return isinstance(error, ours) or type(error).__module__.startswith(("wsproto", "h11"))


def _first(error: BaseException) -> Any:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
