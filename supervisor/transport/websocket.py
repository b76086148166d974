"""One websocket connection: from the upgrade to the last byte.

Essay: what trio-websocket is trusted with, and what not. It does the handshake, unmasks, checks and reassembles
frames, answers pings, and says goodbye. It is not trusted with time or with blame. Every wait on it has a deadline.
Pings are pushed by us and judged by what arrives on the stream, since its own `ping()` hangs when the connection
closes under it. Its tasks run in this connection's own nursery, behind a guard: a ping that comes while it says goodbye
makes it raise, and that must end one connection and not the server. After it has refused a message as too big it
leaves TCP open, and where a client breaks the protocol it closes TCP without a word; we say why, and close once the
client has had time to read it. Its queue holds as many messages as a client may have under way, so that it goes on
reading, and answering pings, while the session has no room. Nothing is pushed past its back once it has begun to close,
because no frame may follow a close frame.
"""

from __future__ import annotations

from functools import partial
from typing import final

import attrs
import trio
import trio_websocket

from supervisor.actor.guard import pass_on, split_failure
from supervisor.actor.stopping import Stopping
from supervisor.actor.timers import Alarm, TimerQueue
from supervisor.errors import ProtocolError
from supervisor.limits import count, none_or, number, seconds
from supervisor.protocol.codes import HAVE_A_DELAY, NO_CLOSE_FRAME, CloseCode
from supervisor.protocol.feed import Attachment
from supervisor.protocol.records import WINDOW
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.session.request import Request
from supervisor.transport.conversation import Conversation, Door, Goodbye, goodbye_of
from supervisor.transport.entries import sendable
from supervisor.transport.frames import close_frame, cut_reason, ping_frame, text_frame
from supervisor.transport.intake import Intake
from supervisor.transport.library_stream import LibraryStream
from supervisor.transport.occupancy import Occupancy
from supervisor.transport.outbox import Outbox
from supervisor.transport.pace import Pace
from supervisor.transport.replay import send_eof
from supervisor.transport.wire import SessionWire
from supervisor.transport.withheld import Withheld

_PING = ping_frame()
_VIOLATIONS = (1002, 1007)
"""RFC 6455, 7.4.1: a frame that can't be, and text that is no UTF-8. The library finds them."""
LONGEST_PING_INTERVAL = 45.0
"""Seconds. Our clients, and many proxies, take a connection for lost on which nothing came for 60."""


@final
@attrs.frozen(kw_only=True)
class WebSocketOptions:
    """Limits of one websocket connection; times in seconds, sizes in bytes.

    Raises `ValueError` or `TypeError` for what can't be, naming the option.
    """

    max_message_size: int = attrs.field(default=1024 * 1024, validator=count())
    """Of one message of a client, in characters, as trio-websocket counts; a larger one closes the connection with
    1009 (RFC 6455 §7.4.1). Pages say it, and our clients send no larger one."""
    max_unanswered: int = attrs.field(default=4 * 1024 * 1024, validator=count())
    """Of one client's messages that are not answered; past it the client isn't read on until some are."""
    max_message_rate: float | None = attrs.field(default=200.0, validator=none_or(number(1)))
    """Messages of one client that are taken in a second, of every kind. When they come faster, nothing is read from it
    for a while. None for any number."""
    message_burst: int = attrs.field(default=400, validator=count())
    """Messages that are taken at once, after a pause long enough; more than a client sends when it comes back."""
    flood_timeout: float = attrs.field(default=60.0, validator=seconds())
    """For a client whose messages had to wait to send no more than it may for a moment; then it is closed with 4429."""
    merge_backlog: int = attrs.field(default=64 * 1024, validator=count())
    """Queued for one client; past it patches are kept back, and merged, until it has read that."""
    max_backlog: int = attrs.field(default=1024 * 1024, validator=count())
    """Kept back for one client, after merging; past it all that, and what is queued, is dropped for one snapshot."""
    slow_timeout: float = attrs.field(default=40.0, validator=seconds())
    """In which a client must have read all that was queued; else it is closed with 1013, and may resume."""
    first_frame_timeout: float = attrs.field(default=10.0, validator=seconds(zero=False))
    """For the handshake, and then for the first frame (else 4408)."""
    ping_interval: float = attrs.field(default=20.0, validator=seconds(zero=False, most=LONGEST_PING_INTERVAL))
    """Between two pings (RFC 6455 §5.5.2)."""
    pong_timeout: float | None = attrs.field(default=None, validator=none_or(seconds(zero=False)))
    """For a sign of life after a ping, at most `ping_interval`, which None stands for; then the connection is cut."""
    room_timeout: float = attrs.field(default=30.0, validator=seconds())
    """For room in the session's mailbox; then the message is answered with an error."""
    close_timeout: float = attrs.field(default=2.0, validator=seconds())
    """For the client's answer to our close frame."""
    return_within: float = attrs.field(default=3.0, validator=seconds())
    """Clients of a server that restarts come back at a random time within this, so not all at once."""
    return_later: float = attrs.field(default=10.0, validator=seconds())
    """Clients that were too many, or sent too much, come back at a random time between half and whole of this."""

    def __attrs_post_init__(self) -> None:
        if self.pong_timeout is not None and self.pong_timeout > self.ping_interval:
            raise ValueError(
                f"pong_timeout is at most ping_interval, {self.ping_interval:g} s, not {self.pong_timeout:g}"
            )


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
        self._occupancy = occupancy
        # Softly it says goodbye; hard it is cut.
        self._stopping = Stopping()
        self._goodbye: Goodbye | None = None
        # The code that the connection was closed with when it was not us who closed it.
        self._closed_with = NO_CLOSE_FRAME
        # What the library made of the stream, from the handshake until we say goodbye.
        self._socket: trio_websocket.WebSocketConnection | None = None
        # How the client broke RFC 6455, if it did: the code and the reason that it is closed with.
        self._violation: trio_websocket.CloseReason | None = None
        # What is kept back until the client has read what is queued; None while it keeps up.
        self._withheld: Withheld | None = None
        # Something that was to be told had no room: the conversation hears when there is room again.
        self._was_untold = False
        # Answers of which bytes may be queued still; at most as many as a client may have under way.
        self._queued_answers: list[bytes] = []
        # The session's timers, once attached.
        self._timers: TimerQueue | None = None
        # The next ping; while we say goodbye, the end of our patience with a client that doesn't read.
        self._beat: Alarm | None = None
        self._pinged_at: float | None = None
        # The end of our patience with a client that doesn't read; set while a backlog was seen that has not drained.
        self._patience: Alarm | None = None

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
            self._withheld is not None or not outbox.push(frame)
        ):
            self._keep_back().show(frame)
            self._check_backlog()

    def answer(self, frame: bytes) -> None:
        """See `Viewer.answer`."""
        if not self._is_open:  # it is kept, for the client's return
            return
        if self._withheld is not None or not self._outbox.push(frame):  # it must not overtake what it follows
            self._keep_back().answer(frame)
            self._check_backlog()
        elif self._outbox.statistics().queued_frames:
            self._queued_answers.append(frame)

    def tell(self, frame: bytes) -> bool:
        """See `Speaker.tell`. What is taken isn't part of the backlog: the document's snapshot doesn't stand for it."""
        if not self._is_open:
            return True
        if self._withheld is not None or self._outbox.statistics().queued_bytes > self._options.max_backlog:
            self._was_untold = True
            return False
        self._outbox.push_urgent(frame)
        return True

    def announce(self, frame: bytes) -> None:
        """See `Viewer.announce`. Unlike an answer it must not wait for the snapshot, and has no need to."""
        if self._is_open:
            self._outbox.push_urgent(frame)
            if self._withheld is not None:
                self._withheld.announced()

    @property
    def _is_open(self) -> bool:
        """Whether frames may be sent: RFC 6455, 5.5.1 allows none after a close frame."""
        return self._socket is not None and not self._outbox.close_was_sent

    def _keep_back(self) -> Withheld:
        """What is to be sent is kept back from now on, since more than the first mark is queued."""
        if self._withheld is None:
            self._withheld = Withheld()
            self._begin_patience()
        return self._withheld

    def _check_backlog(self) -> None:
        """Past the second mark, drop what the client has not taken; a snapshot will stand for it.

        Answers among it are sent again; one that came already is ignored.
        """
        withheld, outbox = self._withheld, self._outbox
        if withheld is None or withheld.awaits_snapshot:
            return
        if withheld.size > self._options.max_backlog or withheld.is_too_long:
            outbox.drop_backlog()
            withheld.give_way(self._queued_answers)
            self._queued_answers = []
            if not outbox.statistics().queued_frames:  # then nothing is left that could drain
                self._drained()

    def _drained(self) -> None:
        """The client has read all: bring it up to date."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._queued_answers.clear()
        if self._withheld is not None and self._is_open and self._conversation.wire is not None:
            self._send_withheld(self._withheld, self._conversation.wire)
        if self._was_untold and self._withheld is None:
            self._was_untold = False
            self._conversation.drained()

    def _send_withheld(self, withheld: Withheld, wire: SessionWire) -> None:
        """Send what was kept back, or as much of it as there is room for; after a snapshot that was due, all of it."""
        is_due = withheld.awaits_snapshot
        if is_due:
            self._outbox.push_urgent(wire.snapshot_frame())
            if wire.editable_frame is not None:  # it may have been dropped
                self._outbox.push_urgent(wire.editable_frame)
        while (item := withheld.first()) is not None:
            if is_due:
                self._outbox.push_urgent(item.frame)
            elif not self._outbox.push(item.frame):
                self._begin_patience()
                return
            elif item.is_answer and self._outbox.statistics().queued_frames:
                self._queued_answers.append(item.frame)
            withheld.sent()
        self._withheld = None

    def _begin_patience(self) -> None:
        if self._patience is None and self._timers is not None:
            self._patience = self._timers.call_after(self._options.slow_timeout, self._lose_patience)

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
        for message in attachment.messages:
            self._outbox.push_urgent(text_frame(message))
        self._timers = wire.session.runtime.timers
        self._beat = self._timers.call_after(self._options.ping_interval, self._ping)

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
            for alarm in (self._beat, self._patience):
                if alarm is not None:
                    alarm.cancel()
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
            self._client_ended()

    def _ping(self) -> None:
        """Every `ping_interval`: end a connection of which nothing was heard since the last one.

        Behind a backlog no ping is queued: it would come too late to tell anything, and nothing would bound them.
        """
        assert self._timers is not None
        if self._outbox.statistics().queued_frames:
            self._pinged_at = None
            self._begin_patience()
        elif self._intake.is_full:  # its pongs may be among what isn't read
            self._pinged_at = None
        elif self._pinged_at is not None and self._outbox.received_at < self._pinged_at:
            self._stopping.hard()
            return
        else:
            self._pinged_at = trio.current_time()
            self._outbox.push_urgent(_PING)
            if self._options.pong_timeout is not None:
                self._beat = self._timers.call_after(self._options.pong_timeout, self._listen_for_pong)
                return
        self._beat = self._timers.call_after(self._options.ping_interval, self._ping)

    def _listen_for_pong(self) -> None:
        """`pong_timeout` after a ping: as `_ping` does without one, and wait for the next."""
        assert self._timers is not None
        assert self._pinged_at is not None
        assert self._options.pong_timeout is not None
        if self._outbox.received_at < self._pinged_at and not self._outbox.statistics().queued_frames:
            self._stopping.hard()
            return
        rest = max(0.0, self._options.ping_interval - self._options.pong_timeout)
        self._beat = self._timers.call_after(rest, self._ping)

    async def _say_goodbye(self, socket: trio_websocket.WebSocketConnection) -> None:
        goodbye = self._goodbye
        self._socket = None
        self._conversation.be_absent()
        self._intake.let_all()
        if self._beat is not None:
            self._beat.cancel()
        if self._violation is not None:
            with trio.move_on_after(self._options.close_timeout):
                self._outbox.drop_backlog()
                await self._outbox.send_all(close_frame(self._violation.code, self._violation.reason or ""))
        if goodbye is None or socket.closed is not None:
            return
        withheld, self._withheld = self._withheld, None
        if withheld is not None and not withheld.awaits_snapshot:
            while (item := withheld.first()) is not None:
                self._outbox.push_last(item.frame)
                withheld.sent()
        if self._timers is not None:
            # A client that reads gets what came before the end; from one that doesn't, it must not hide the end.
            self._beat = self._timers.call_after(self._options.close_timeout / 2, self._give_up_backlog)
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

    def _give_up_backlog(self) -> None:
        self._outbox.drop_backlog()

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
