"""The client's end, across all of its connections: mirror, sends, and what to do after a close. Pure.

How to drive it, with any websocket:

    client = ClientConnection(token=token)
    open a websocket, write client.opened()
    for each text frame:  client.receive(frame), then write all of client.outgoing()
    for each send:        client.send(name, fields), then write all of client.outgoing()
    on ProtocolError:     close the websocket with 4400
    when it is closed:    client.closed(code, reason, random=random()) says when to open the next one, if at all
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from typing import Any, final

from supervisor.errors import ProtocolError, SessionGone
from supervisor.protocol import events, messages
from supervisor.protocol.codes import CloseCode, Reaction, reaction_to
from supervisor.protocol.encoding import encode_value
from supervisor.protocol.events import Decision, Event, Status
from supervisor.protocol.mirror import apply
from supervisor.protocol.sends import Sends

NO_REVISION = -1
"""The revision of a client without a usable mirror; no log reaches back to it, so that a snapshot follows."""

FIRST_DELAY = 0.5
"""Seconds before the first new attempt at most: a lost connection is often a short one."""
MAX_DELAY = 30.0
"""Seconds before any new attempt at most: so long a person waits for a page to come back by itself."""

_RETRIED = (CloseCode.RESTARTING, CloseCode.TOO_SLOW)
"""The codes whose `retry_after` counts."""


@unique
class _Link(Enum):
    """Where the websocket of the moment is."""

    NONE = "no connection"
    OPENED = "the first frame was written"
    ATTACHED = "attached"
    BROKEN = "the server broke the rules"


_EXPECTED: dict[_Link, tuple[type[messages.ServerMessage], ...]] = {
    _Link.NONE: (),
    _Link.OPENED: (messages.Attached, messages.Closing),
    _Link.ATTACHED: (
        messages.Snapshot,
        messages.Patch,
        messages.Answer,
        messages.Error,
        messages.Closing,
    ),
    _Link.BROKEN: (),
}


@final
class ClientConnection:
    """One client of one session.

    Args:
        token: the page's token; admits the first attach
        session: the session's id, if it is known before
        was_reload: this page load was itself a reload that this client asked for

    """

    def __init__(self, *, token: str | None = None, session: str | None = None, was_reload: bool = False) -> None:
        self._token = token
        self._was_reload = was_reload
        self._session = session
        self._client: str | None = None
        self._key = ""
        self._epoch: str | None = None
        self._revision = NO_REVISION
        self._data: dict[str, Any] = {}
        self._status = Status.CONNECTING
        self._link = _Link.NONE
        # Whether this connection, not the client, was live at some time.
        self._link_was_live = False
        self._closing: messages.Closing | None = None
        # Connections in a row that were lost before they were live, or that the server spoilt.
        self._failures = 0
        self._sends = Sends()

    @property
    def data(self) -> dict[str, Any]:
        """The mirror: read it, don't change it. It is changed in place; a snapshot brings another object."""
        return self._data

    @property
    def epoch(self) -> str | None:
        """The document's life; None before the first `Attached`."""
        return self._epoch

    @property
    def revision(self) -> int:
        """The mirror's revision; `NO_REVISION` if the next thing it needs is a snapshot."""
        return self._revision

    @property
    def session(self) -> str | None:
        """The session's id; None while it isn't known."""
        return self._session

    @property
    def status(self) -> Status:
        """Where this client is in its life."""
        return self._status

    @property
    def unsettled(self) -> int:
        """How many sends have no answer yet."""
        return len(self._sends)

    def opened(self) -> str:
        """A websocket has opened: the first frame to write.

        Raises:
            SessionGone: this client has ended
            ValueError: there is no token, and it was never attached

        """
        if self._status is Status.ENDED:
            raise SessionGone("this client has ended")
        first: messages.Message
        if self._client is None:
            if self._token is None:
                raise ValueError("a client that was never attached needs a token")
            first = messages.Attach(token=self._token)
        else:
            assert self._session is not None
            assert self._epoch is not None
            first = messages.Resume(
                session=self._session,
                key=self._key,
                client=self._client,
                epoch=self._epoch,
                revision=self._revision,
                confirmed=self._sends.confirmed,
            )
        self._link = _Link.OPENED
        self._link_was_live = False
        self._closing = None
        return messages.encode(first).decode()

    def receive(self, frame: str | bytes) -> list[Event]:
        """Take one frame and say what it brought. Write all of `outgoing` next.

        Raises:
            ProtocolError: the server broke the rules. Close the websocket with the error's code, and call
                `closed`: the client comes back for a snapshot

        """
        try:
            message = messages.decode_server_message(frame)
            if not isinstance(message, _EXPECTED[self._link]):
                kind = type(message).__name__.lower()
                raise ProtocolError(f"a message {kind!r} can't come here: {self._link.value}")
            return self._take(message)
        except ProtocolError:
            self._link = _Link.BROKEN
            self._revision = NO_REVISION
            raise

    def send(self, name: str, fields: Mapping[str, object]) -> int:
        """Queue a message for the app, and return its ticket; an event with this ticket tells its outcome.

        The fields are encoded now. Write all of `outgoing` next. A connection that is lost loses no send: it
        is written again, and done once.

        Raises:
            SessionGone: this client has ended
            MailboxFull: too many sends wait already; this one was not taken
            TypeError, ValueError: the fields can't be sent as JSON, or the name is empty or too long

        """
        if self._status is Status.ENDED:
            raise SessionGone("this client has ended")
        if not 1 <= len(name) <= messages.MAX_NAME:
            raise ValueError(f"a message's name has 1 to {messages.MAX_NAME} characters, got {len(name)}")
        encoded = encode_value(fields, what=f"the fields of {name!r}")
        if not encoded.startswith(b"{"):
            raise TypeError(f"the fields of {name!r} must be a mapping, got {type(fields).__name__}")
        return self._sends.add(encode_value(name), encoded, attached=self._link is _Link.ATTACHED)

    def outgoing(self) -> list[str]:
        """The frames to write now, in order; each is given once per connection."""
        return self._sends.outgoing() if self._link is _Link.ATTACHED else []

    def closed(self, code: int, reason: str = "", *, random: float) -> Decision:
        """The websocket was closed, or could not be opened.

        Args:
            code: the close code; 1006 if there was none
            reason: the close reason
            random: evenly from 0 to 1, so that many clients don't come back at the same moment

        """
        closing, self._closing = self._closing, None
        broken, self._link = self._link is _Link.BROKEN, _Link.NONE
        if closing is not None:
            # The close frame may have been lost, or the code replaced by 1006 on the way.
            code, reason = closing.code, closing.reason
        was_ever_live = self._status in (Status.LIVE, Status.RECONNECTING)
        # A close that we made because the server was wrong says nothing about the session: come back and see.
        reaction = Reaction.COME_BACK if broken and closing is None else reaction_to(code)
        if reaction is Reaction.COME_BACK:
            if was_ever_live:
                self._status = Status.RECONNECTING
            if self._link_was_live and not broken:
                self._failures = 0
            self._link_was_live = False
            delay = self._next_delay(random)
            if closing is not None and closing.retry_after is not None and code in _RETRIED:
                delay = closing.retry_after
            return events.Reconnect(after=delay)
        self._status = Status.ENDED
        refused = self._sends.abandon()
        if reaction is Reaction.RELOAD and (was_ever_live or not self._was_reload):
            return events.Reload(code=code, reason=reason, refused=refused)
        return events.Ended(code=code, reason=reason, refused=refused)

    def _take(self, message: messages.ServerMessage) -> list[Event]:
        if isinstance(message, messages.Patch):
            return self._take_patch(message)
        if isinstance(message, messages.Snapshot):
            return self._take_snapshot(message)
        if isinstance(message, messages.Attached):
            return self._take_attached(message)
        if isinstance(message, messages.Closing):
            self._closing = message
            return [events.Closing(code=message.code, reason=message.reason, retry_after=message.retry_after)]
        ticket = self._sends.settle(message.number)
        if ticket is None:
            return []
        if isinstance(message, messages.Answer):
            return [events.Answered(ticket=ticket, value=message.value)]
        return [events.Refused(ticket=ticket, kind=message.kind, text=message.text, incident=message.incident)]

    def _take_attached(self, message: messages.Attached) -> list[Event]:
        if self._session is not None and message.session != self._session:
            raise ProtocolError("attached to another session than the one asked for")
        if message.resumed and (message.epoch != self._epoch or self._revision == NO_REVISION):
            raise ProtocolError("resumed, but there is nothing here to resume")
        if message.resumed and message.revision < self._revision:
            raise ProtocolError(f"resumed at revision {message.revision}, but {self._revision} was here already")
        same_client = message.client == self._client and message.epoch == self._epoch
        lost = self._sends.attached(message.received, same_client=same_client)
        self._session, self._client, self._key = message.session, message.client, message.key
        self._epoch = message.epoch
        self._link = _Link.ATTACHED
        if message.resumed:
            self._go_live()
        else:
            # What is here is of a revision from which no patch will start; it stays to be seen until the
            # snapshot.
            self._revision = NO_REVISION
        return [events.Attached(resumed=message.resumed), *lost]

    def _take_snapshot(self, message: messages.Snapshot) -> list[Event]:
        if message.epoch != self._epoch:
            raise ProtocolError("a snapshot of another epoch than the one attached to")
        if message.revision < self._revision:
            raise ProtocolError(f"a snapshot of revision {message.revision} after {self._revision}")
        self._data, self._revision = message.data, message.revision
        self._go_live()
        return [events.Snapshotted()]

    def _take_patch(self, message: messages.Patch) -> list[Event]:
        if message.base != self._revision:
            raise ProtocolError(f"a patch from revision {message.base}, but {self._revision} is here")
        self._data = apply(self._data, message.operations)
        self._revision = message.revision
        return [events.Patched(paths=tuple(operation.path for operation in message.operations))]

    def _go_live(self) -> None:
        self._status = Status.LIVE
        self._link_was_live = True

    def _next_delay(self, random: float) -> float:
        # The exponent is bounded because 2.0 ** 1024 overflows, and a page may be offline for days.
        longest = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return longest * (0.5 + random / 2)

    def __repr__(self) -> str:
        """For logs, so without token, key and the session's id."""
        state = f"{self._status.value}, revision {self._revision}, {self.unsettled} unsettled"
        return f"<ClientConnection {state}>"
