"""What is said over a connection once it is open: the first frame, and then message after message to the session.

It knows no socket. The connection hands it a function that waits for the next frame, and is told what to send.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable
from types import MappingProxyType
from typing import Any, Protocol, final

import attrs
import trio

from supervisor.actor.entry import Entry
from supervisor.actor.policy import MailboxPolicy
from supervisor.actor.story import Story
from supervisor.application.actor import ApplicationActor
from supervisor.errors import ActorGone, HandlerFailed, InvalidMessage, MailboxFull
from supervisor.identity import TokenRefused
from supervisor.protocol.codes import CloseCode
from supervisor.protocol.feed import Attachment
from supervisor.protocol.fields import ClientMessages
from supervisor.protocol.messages import Attach, Edit, Present, Resume, Scope, Send, Watch, encode_error
from supervisor.protocol.presence import read_metadata
from supervisor.protocol.records import Repeated
from supervisor.protocol.server import ServerConnection
from supervisor.session.actor import RESTARTING, SessionActor
from supervisor.session.connection import Connection, Ending
from supervisor.transport.entries import ClientEdit, ClientSend, LateEdit, encode_failed, sendable
from supervisor.transport.frames import text_frame
from supervisor.transport.intake import Intake, size_of
from supervisor.transport.pace import Pace
from supervisor.transport.presence import PresenceRoom, Watching
from supervisor.transport.wire import SessionWire, Viewer


@final
@attrs.frozen(kw_only=True)
class Door:
    """What the connections of one application need to find their sessions."""

    application: ApplicationActor
    messages: ClientMessages
    """What clients of this application may send."""
    check_token: Callable[[str], str]
    """The session's id that a page's token stands for; raises `TokenRefused`."""
    new_connection_id: Callable[[], str]
    """Names a connection."""
    random: Callable[[], float]
    """From 0 to 1, for the delay that clients are given when the server restarts."""
    presence: PresenceRoom
    """Who is attached to the application."""


_CODES = {
    "destroyed": CloseCode.DESTROYED,
    "restarting": CloseCode.RESTARTING,
    "replaced": CloseCode.GONE,  # so that pages are loaded anew
}
FAILED = 1011
"""RFC 6455, 7.4.1: the server met something that it didn't expect; so the client comes back."""


class Goodbye(Exception):
    """Ends a conversation: the connection is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def goodbye_of(ending: Ending) -> Goodbye:
    """What the connections of a session are told that ends."""
    return Goodbye(_CODES[ending.kind], sendable(ending.reason))


class Speaker(Connection, Viewer, Protocol):
    """The connection that a conversation is held over."""

    def tell(self, frame: bytes) -> bool:
        """Send who is there. False: too much waits for the client already; `drained` will be called."""

    def begin(self, wire: SessionWire, attachment: Attachment) -> None:
        """The client is attached: send what is there for it, before anything else happens."""


@final
class Conversation:
    """One client's talk with a session. `hold` is its life; afterwards `leave` must be called."""

    def __init__(
        self,
        speaker: Speaker,
        door: Door,
        intake: Intake,
        *,
        first_frame_timeout: float,
        room_timeout: float,
        pace: Pace | None = None,
        flood_timeout: float = math.inf,
        on_first_frame: Callable[[], None] = lambda: None,
    ) -> None:
        self.protocol = ServerConnection()
        self.wire: SessionWire | None = None
        """The session on the wire, while the client is attached to it."""
        self.is_at_the_door = False
        """Whether it waits for the opened hooks to let it in."""
        self._speaker = speaker
        self._door = door
        self._intake = intake
        self._first_frame_timeout = first_frame_timeout
        self._room_timeout = room_timeout
        # How fast messages are taken; None for as fast as they come.
        self._pace = pace
        self._flood_timeout = flood_timeout
        self._on_first_frame = on_first_frame
        # Once attached: the client's id.
        self._client = ""
        # The session whose opened hooks have let this connection in: its closed hooks are due.
        self._let_in: SessionActor | None = None
        # What the client wants to know of.
        self._watching: dict[Scope, Watching] = {}

    async def hold(self, receive: Callable[[], Awaitable[str | bytes]]) -> None:
        """Take frame after frame; `receive` waits for the next one, and what it raises passes.

        Raises:
            Goodbye: the connection is to be closed
            ProtocolError: so it is, because the client broke the rules
        """
        application, frame = self._door.application, None
        with application.stopping.waiting(self._first_frame_timeout):
            frame = await receive()
        if application.is_stopping:  # there is no session any more for it, or soon will not be
            raise goodbye_of(application.ending)
        if frame is None:
            raise Goodbye(CloseCode.NO_FIRST_FRAME, "no first frame in time")
        self._on_first_frame()
        message = self.protocol.receive(frame)
        assert isinstance(message, Attach | Resume)
        wire = self._admit(message)
        resume = message if isinstance(message, Resume) else None
        name = self._door.application.name_connection(self._speaker.context.request)
        if name is not None:
            self._describe(name=sendable(name))
        if wire.session.asks_porter:
            self._check_room(wire, resume)
            with wire.expected(self._speaker, resume) as peer:
                await self._be_let_in(wire, peer)
                self._attach(wire, resume, peer)
        else:
            self._attach(wire, resume, None)
        while True:
            frame = await receive()
            if self._pace is not None and (wait := self._pace.take(trio.current_time())):
                await self._slow_down(self._pace, wait)
            message = self.protocol.receive(frame)
            if isinstance(message, Send):
                await self._take_send(wire, message, size_of(frame))
            elif isinstance(message, Edit):
                await self._take_edit(wire, message, size_of(frame))
            elif isinstance(message, Present):
                self._present(wire, message)
            else:
                assert isinstance(message, Watch)
                self._watch(wire, message.scope)

    async def _slow_down(self, pace: Pace, wait: float) -> None:
        """Make a client that sends too fast wait; end it if that has gone on for too long."""
        if pace.too_fast_for(trio.current_time()) >= self._flood_timeout:
            raise Goodbye(CloseCode.TOO_MANY, "too many messages")
        await trio.sleep(wait)

    def leave(self, code: int) -> None:
        """Leave the session; the last thing that a connection does. `code` says how it was closed."""
        self.be_absent()
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.session.runtime.instruments.connection_detached(
                application=self._door.application.application,
                session=wire.session.shown_id,
                connection=self._speaker.context.id,
                code=code,
            )
            if wire.session.story is not None:
                wire.session.story.add("connection", f"{self._speaker.context.id[:8]} detached, with code {int(code)}")
            wire.detach(self._speaker, self._client)
            wire.session.detach(self._speaker)
        session, self._let_in = self._let_in, None
        if session is not None:
            session.depart(self._speaker.context)

    def be_absent(self) -> None:
        """End its presence, and stop watching others, as soon as it is clear that the connection ends."""
        for watching in self._watching.values():
            watching.end()
        self._watching.clear()
        if self.wire is not None:
            for room in (self.wire.presence, self._door.presence):
                room.remove(self._speaker.context)

    def drained(self) -> None:
        """The client has read all: tell it what it had no room for."""
        for watching in self._watching.values():
            watching.drained()

    def _admit(self, message: Attach | Resume) -> SessionWire:
        """The session that the first frame is for, if the frame may open it."""
        if isinstance(message, Attach):
            try:
                id = self._door.check_token(message.token)
            except TokenRefused as error:
                raise Goodbye(CloseCode.TOKEN_REFUSED, str(error)) from None
        else:
            id = message.session
        session = self._door.application.find(id)
        wire = None if session is None else session.audience
        # One answer for a wrong key and for no session: nobody learns which ids exist.
        if not isinstance(wire, SessionWire) or (isinstance(message, Resume) and not wire.feed.admits(message.key)):
            raise Goodbye(CloseCode.GONE, "there is no such session any more")
        return wire

    def _check_room(self, wire: SessionWire, resume: Resume | None) -> None:
        """Whether the session may have one more connection. A client that comes back takes its older one's place."""
        limit, session = self._door.application.options.max_connections_per_session, wire.session
        if limit is None or len(session.connections) < limit or (resume is not None and wire.is_there(resume.client)):
            return
        if not wire.was_full:  # once until somebody leaves
            wire.was_full = True
            session.runtime.instruments.connection_refused(
                application=self._door.application.application,
                reason=f"connections to {session}: {limit:,}; --max-connections-per-session allows more",
            )
        raise Goodbye(CloseCode.TOO_MANY, "too many connections to this session")

    async def _be_let_in(self, wire: SessionWire, peer: str) -> None:
        self._describe(peer=peer)
        session = wire.session
        self.is_at_the_door = True
        try:
            refusal = await session.let_in(self._speaker.context)
        except HandlerFailed as error:
            raise Goodbye(FAILED, str(error)) from None
        except trio.TooSlowError:
            raise Goodbye(FAILED, "the session was too busy to open a connection") from None
        except ActorGone:
            raise goodbye_of(session.ending or RESTARTING) from None
        finally:
            self.is_at_the_door = False
        if refusal is not None:
            raise Goodbye(CloseCode.REFUSED, sendable(refusal) or "This application does not let you in.")
        self._let_in = session
        if session.has_ended:  # after the hooks, and before this task's turn
            raise goodbye_of(session.ending or RESTARTING)
        # A client that has left in the meantime isn't attached, not even for a moment. No other task has a turn here.
        await trio.lowlevel.checkpoint_if_cancelled()

    def _attach(self, wire: SessionWire, resume: Resume | None, peer: str | None) -> None:
        """Join the session, in one step with sending what is there already."""
        self._check_room(wire, resume)
        attachment = wire.attach(self._speaker, resume, peer=peer)
        self.wire = wire
        self._client = attachment.client
        # What takes the place of an older connection has what that one said of itself, until it says something else.
        older = wire.presence.find(attachment.peer)
        metadata = self._speaker.context.metadata if older is None else older.metadata
        self._describe(peer=attachment.peer, metadata=metadata)
        wire.session.attach(self._speaker)
        for room in (wire.presence, self._door.presence):
            room.put(self._speaker.context)
        self._speaker.begin(wire, attachment)
        if wire.session.story is not None:
            self._tell_attached(wire, wire.session.story, resume, attachment)
        wire.session.runtime.instruments.connection_attached(
            application=self._door.application.application,
            session=wire.session.shown_id,
            connection=self._speaker.context.id,
            resumed=attachment.resumed,
        )

    def _tell_attached(self, wire: SessionWire, story: Story, resume: Resume | None, attachment: Attachment) -> None:
        revision = wire.session.stored.revision
        how = "attached" if resume is None else "is back"
        sent = f"snapshot of revision {revision}"
        if resume is not None and attachment.missed is not None:
            sent = f"{len(attachment.missed)} missed patches, up to revision {revision}"
        story.add("connection", f"{self._speaker.context.id[:8]} {how}  → {sent}")

    def _describe(self, **changes: Any) -> None:
        self._speaker.context = attrs.evolve(self._speaker.context, **changes)

    def _present(self, wire: SessionWire, message: Present) -> None:
        """Note what the client says of itself, and let others know."""
        self._describe(metadata=MappingProxyType(read_metadata(message)))
        for room in (wire.presence, self._door.presence):
            room.put(self._speaker.context)

    def _watch(self, wire: SessionWire, scope: Scope) -> None:
        """Tell the client from now on who is there; asked again, tell it anew."""
        room: PresenceRoom | None = wire.presence
        if scope == "application":
            room = self._door.presence if self._door.application.shares_presence else None
        watching = self._watching.get(scope)
        # The same one, if it can be: where nobody else watches, to end one makes the next describe all who are there.
        if watching is None or watching.room is not room:
            watching = self._watching[scope] = Watching(self._speaker.tell, scope, room)
        watching.begin()

    async def _take_send(self, wire: SessionWire, send: Send, size: int) -> None:
        """Hand a message to the session."""
        accepted = wire.feed.accept(self._client, send, trio.current_time())
        if isinstance(accepted, Repeated):
            self._answer_again(accepted)
            return
        try:
            decoded = self._door.messages.decode(send.name, send.fields)
        except InvalidMessage as error:
            wire.answered(self._client, send.number, encode_error(send.number, "invalid", sendable(str(error))))
            return
        except (Exception, SystemExit) as error:  # of validators and converters that the app has written
            incident = wire.session.report(f"fields of message {send.name} of a client", error)
            wire.answered(self._client, send.number, encode_failed(send.number, incident))
            return
        session = wire.session
        policy = session.policies.get(type(decoded))
        key: Hashable = None
        if policy is not None:
            try:
                key = policy.key_of(decoded)
            except (Exception, SystemExit) as error:  # of the app's own function
                incident = session.report(f"key of message {send.name} of a client", error)
                wire.answered(self._client, send.number, encode_failed(send.number, incident))
                return
        answered = self._intake.taken(size)
        entry = ClientSend(wire, self._client, send.number, decoded, self._speaker.context, answered)
        if not await self._deliver(session, entry, policy, key):
            entry.refused()

    async def _take_edit(self, wire: SessionWire, edit: Edit, size: int) -> None:
        """Hand an edit to the session."""
        session = wire.session
        accepted = wire.feed.accept_edit(self._client, edit, session.stored.revision, trio.current_time())
        if isinstance(accepted, Repeated):
            self._answer_again(accepted)
            return
        entry = ClientEdit(wire, self._client, accepted, self._speaker.context, self._intake.taken(size))
        if not await self._deliver(session, entry) and not session.mailbox.is_closed:
            session.mailbox.put_tick(LateEdit(entry))

    def _answer_again(self, repeated: Repeated) -> None:
        for message in repeated.messages:
            self._speaker.answer(text_frame(message))

    async def _deliver(
        self, session: SessionActor, entry: Entry, policy: MailboxPolicy | None = None, key: Hashable = None
    ) -> bool:
        """Wait until the session has room for an entry; False if it had none in time, or if that isn't waited for.

        An accepted number is answered, whatever happens: its client won't send it again. So the end of this connection
        doesn't interrupt.
        """
        with trio.CancelScope(shield=True), trio.move_on_after(self._room_timeout) as waited:
            try:
                await session.deliver(entry, policy, key)
            except MailboxFull:
                return False
        return not waited.cancelled_caught
