"""One websocket connection: from the upgrade to the last byte.

Essay: what trio-websocket is trusted with, and what not. It does the handshake, unmasks, checks and reassembles frames,
answers pings, and does the close handshake. It is not trusted with time or with blame. Every wait on it has a deadline.
We push pings ourselves (`heartbeat`), since its own `ping()` hangs when the connection closes under it. Its tasks run
in this connection's own nursery, behind a guard: a ping that comes during the close handshake makes it raise, and that
must end one connection and not the server. After it has refused a message as too big it leaves TCP open, and if a
client breaks the protocol it closes TCP without a word; we send the reason, and close once the client has had time to
read it. Its queue holds as many messages as a client may have under way, so that it goes on reading, and answering
pings, while the session has no room. Once it has begun to close, nothing is pushed past it, because no frame may follow
a close frame.
"""

from __future__ import annotations

from functools import partial
from typing import final

import trio
import trio_websocket

from supervisor.actor.guard import pass_on, split_failure
from supervisor.actor.stopping import Stopping
from supervisor.errors import ProtocolError
from supervisor.protocol.codes import HAVE_A_DELAY, NO_CLOSE_FRAME, CloseCode
from supervisor.protocol.feed import Attachment
from supervisor.protocol.records import WINDOW
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.session.request import Request
from supervisor.transport.backlog import Backlog
from supervisor.transport.conversation import Conversation, Door, Goodbye, goodbye_of
from supervisor.transport.entries import sendable
from supervisor.transport.frames import close_frame, cut_reason, text_frame
from supervisor.transport.heartbeat import Heartbeat
from supervisor.transport.intake import Intake
from supervisor.transport.library_stream import LibraryStream
from supervisor.transport.occupancy import Occupancy
from supervisor.transport.outbox import Outbox
from supervisor.transport.pace import Pace
from supervisor.transport.replay import send_eof
from supervisor.transport.websocket_options import WebSocketOptions
from supervisor.transport.wire import SessionWire

_VIOLATIONS = (1002, 1007)
"""RFC 6455, 7.4.1: a frame that can't be, and text that is no UTF-8. The library finds them."""


@final
class WebSocketConnection:
    """One peer's link to a session. `run` is its life, in the application's connection nursery."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        request: Request,
        door: Door,
        options: WebSocketOptions,
        occupancy: Occupancy | None = None,
    ) -> None:
        """`occupancy` is where it has a place, which it gives back in the end; None if it has none."""
        self.context = ConnectionContext(id=door.new_connection_id(), request=request)
        """See `Connection.context`."""
        self._stream = stream
        self._door = door
        # Softly it says goodbye; hard it is cut.
        self._stopping = Stopping()
        self._options = options
        limit = min(options.merge_backlog, options.max_backlog)
        self._outbox = Outbox(stream, limit=limit, on_drained=self._drained, on_ended=self._client_ended)
        self._intake = Intake(options.max_unanswered)
        self._conversation = Conversation(
            self,
            door,
            self._intake,
            first_frame_timeout=options.first_frame_timeout,
            room_timeout=options.room_timeout,
            pace=_pace_of(options),
            flood_timeout=options.flood_timeout,
            on_first_frame=self._first_frame_came,
        )
        self._backlog = Backlog(
            self._outbox,
            limit=options.max_backlog,
            slow_timeout=options.slow_timeout,
            on_slow=self._lose_patience,
            on_room=self._conversation.drained,
        )
        self._heartbeat = Heartbeat(
            self._outbox,
            interval=options.ping_interval,
            pong_timeout=options.pong_timeout,
            on_backlog=self._backlog.be_patient,
            on_silence=self._stopping.hard,
        )
        self._occupancy = occupancy
        self._goodbye: Goodbye | None = None
        # The code that the connection was closed with when it was not us who closed it.
        self._closed_with = NO_CLOSE_FRAME
        # What the library made of the stream, from the handshake until we say goodbye.
        self._socket: trio_websocket.WebSocketConnection | None = None
        # How the client broke RFC 6455, if it did: the code and the reason that it is closed with.
        self._violation: trio_websocket.CloseReason | None = None

    # What a session calls: see `Connection` and `wire.Viewer`.

    def end(self, ending: Ending) -> None:
        """See `Connection.end`."""
        if self._goodbye is None:
            self._goodbye = goodbye_of(ending)
        self._stopping.soft()

    def cancel(self) -> None:
        """See `Connection.cancel`."""
        self._stopping.hard()

    def make_way(self) -> None:
        """See `Newcomer.make_way`."""
        self._goodbye = self._goodbye or Goodbye(CloseCode.NO_FIRST_FRAME, "no first frame, and others need the room")
        self._stopping.soft()

    def show(self, frame: bytes) -> None:
        """See `Viewer.show`."""
        # As `_is_open`, written out: an update of many sessions comes here for each connection.
        outbox = self._outbox
        if not (outbox.close_was_sent or self._socket is None) and (
            self._backlog.withheld is not None or not outbox.push(frame)
        ):
            self._backlog.show(frame)

    def answer(self, frame: bytes) -> None:
        """See `Viewer.answer`."""
        if self._is_open:  # else it is kept, for the client's return
            self._backlog.answer(frame)

    def tell(self, frame: bytes) -> bool:
        """See `Speaker.tell`."""
        return not self._is_open or self._backlog.tell(frame)

    def announce(self, frame: bytes) -> None:
        """See `Viewer.announce`."""
        if self._is_open:
            self._backlog.announce(frame)

    @property
    def _is_open(self) -> bool:
        """Whether frames may be sent: RFC 6455, 5.5.1 allows none after a close frame."""
        return self._socket is not None and not self._outbox.close_was_sent

    def _drained(self) -> None:
        self._backlog.drained()

    def _lose_patience(self) -> None:
        self._goodbye = self._goodbye or Goodbye(CloseCode.TOO_SLOW, "the client does not read what it is sent")
        self._stopping.soft()

    def _client_ended(self) -> None:
        """Who leaves while they wait to be let in are waited for no longer. Once attached, what came before counts."""
        if self._conversation.is_at_the_door:
            self._stopping.soft()

    def _first_frame_came(self) -> None:
        if self._occupancy is not None:
            self._occupancy.heard(self)

    def begin(self, wire: SessionWire, attachment: Attachment) -> None:
        """See `Speaker.begin`."""
        for frame in wire.frames(attachment):
            self._outbox.push_urgent(frame)
        self._backlog.begin(wire, self.context.id[:8])
        self._heartbeat.begin(wire.session.runtime.timers)

    # Its life.

    async def run(self) -> None:
        """Serve the connection to its end; raises nothing but a cancellation from outside."""
        if self._occupancy is not None:
            self._occupancy.wait_for(self)
        try:
            with self._stopping.working():
                await self._run()
        except BaseException as error:
            failure, rest = split_failure(error)
            if failure is not None and not _is_peers_fault(failure):
                self._door.application.report("websocket connection", failure)
            if rest is not None:
                pass_on(error, rest)
        finally:
            self._heartbeat.end()
            self._backlog.end(None)
            with trio.CancelScope(shield=True):
                await self._outbox.aclose()
            if self._occupancy is not None:
                self._occupancy.heard(self)
                self._occupancy.leave()
            self._conversation.leave(self._closed_with if self._goodbye is None else self._goodbye.code)

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._outbox.run_flusher)
            socket: trio_websocket.WebSocketConnection | None = None
            is_owed_the_code = False
            with trio.move_on_after(self._options.first_frame_timeout):
                request = await trio_websocket.wrap_server_stream(
                    nursery,
                    LibraryStream(self._outbox, self._intake, may_close=self._may_close),
                    message_queue_size=WINDOW,
                    max_message_size=self._options.max_message_size,
                )
                socket = await request.accept()
            if socket is not None:
                self._socket = socket
                try:
                    with self._stopping.waiting():
                        await self._conversation.hold(partial(self._intake.take, socket.get_message))
                except Goodbye as goodbye:
                    self._goodbye = self._goodbye or goodbye
                except ProtocolError as error:
                    self._goodbye = self._goodbye or Goodbye(error.code, sendable(str(error)))
                except trio_websocket.ConnectionClosed:
                    pass
                if socket.closed is not None:
                    self._closed_with = socket.closed.code
                    self._note_violation()
                    is_owed_the_code = self._violation is not None or self._closed_with == CloseCode.MESSAGE_TOO_BIG
                await self._say_goodbye(socket)
            nursery.cancel_scope.cancel()
        if is_owed_the_code:
            await self._read_the_rest()

    def _may_close(self) -> bool:
        """Whether the library may close the stream; see `LibraryStream`."""
        self._note_violation()
        return self._violation is None

    def _note_violation(self) -> None:
        """The library has ended the conversation: has the client broken the protocol, and is yet to be told so?

        Asked by the library and by `_run`, whichever has its turn first.
        """
        closed = None if self._socket is None else self._socket.closed
        if closed is not None and closed.code in _VIOLATIONS and not self._outbox.close_was_sent:
            self._violation = closed
            self._socket = None  # nothing is shown any more
            self._backlog.end(None)
            self._client_ended()

    async def _say_goodbye(self, socket: trio_websocket.WebSocketConnection) -> None:
        goodbye = self._goodbye
        self._socket = None
        self._conversation.be_absent()
        self._intake.let_all()
        self._heartbeat.end()
        if self._violation is not None:
            with trio.move_on_after(self._options.close_timeout):
                self._outbox.drop_backlog()
                await self._outbox.send_all(close_frame(self._violation.code, self._violation.reason or ""))
        if goodbye is None or socket.closed is not None:
            return
        self._backlog.end(self._options.close_timeout / 2)
        with trio.move_on_after(self._options.close_timeout, shield=True):
            retry_after = self._retry_after(goodbye.code)
            closing = self._conversation.protocol.closing(goodbye.code, goodbye.reason, retry_after)
            if closing is not None:
                self._outbox.push_urgent(text_frame(closing))
            await socket.aclose(goodbye.code, cut_reason(goodbye.reason))

    def _retry_after(self, code: int) -> float | None:
        """Seconds after which the client is to come back; None where it decides that itself."""
        if code not in HAVE_A_DELAY:
            return None
        chance = self._door.random()
        if code == CloseCode.TOO_MANY:
            return round((1 + chance) / 2 * self._options.return_later, 3)
        return round(chance * self._options.return_within, 3)

    async def _read_the_rest(self) -> None:
        """End our side, and throw away what a client goes on sending until it has had time to read our close frame.

        Closing a socket with unread input resets the connection, and a reset takes the close frame from the client's
        buffer. A client that doesn't learn the code comes back and sends the same again.
        """
        with trio.move_on_after(self._options.close_timeout):
            await send_eof(self._stream)
            while await self._outbox.receive_some():
                pass


def _pace_of(options: WebSocketOptions) -> Pace | None:
    if options.max_message_rate is None:
        return None
    return Pace(rate=options.max_message_rate, burst=options.message_burst, now=trio.current_time())


def _is_peers_fault(failure: BaseException) -> bool:
    """Whether this only says that the client, or its network, is gone or breaks the websocket protocol."""
    if isinstance(failure, BaseExceptionGroup):
        return all(_is_peers_fault(error) for error in failure.exceptions)
    return isinstance(
        failure,
        (
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio_websocket.ConnectionClosed,
            trio_websocket.HandshakeError,
            OSError,
        ),
    ) or type(failure).__module__.startswith(("wsproto", "h11"))
