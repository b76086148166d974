"""The client's end, across all of its connections: mirror, sends, and what to do after a close. Pure.

How to drive it, with any websocket:

    client = ClientConnection(token=token)
    open a websocket, write client.opened()
    for each text frame:  client.receive(frame), then write all of client.outgoing()
    for each send:        client.send(name, fields), then write all of client.outgoing()
    for each edit:        client.edit(op, path, value), the same
    on ProtocolError:     close the websocket with 4400
    when it is closed:    client.closed(code, reason, random=random()) says when to open the next one, if at all
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from typing import Any, final

from supervisor.errors import ProtocolError, SendUnsent, SessionGone
from supervisor.protocol import events, messages
from supervisor.protocol.carrying import Operation
from supervisor.protocol.codes import HAVE_A_DELAY, Reaction, reaction_to
from supervisor.protocol.encoding import encode_value
from supervisor.protocol.events import Decision, Event, Status
from supervisor.protocol.mirror import apply
from supervisor.protocol.pending import Pending, PendingEdit, take_apart
from supervisor.protocol.presence import Peers
from supervisor.protocol.sends import Message, Send, Sends

NO_REVISION = -1
"""The revision of a client without a usable mirror; no log reaches back to it, so that a snapshot follows."""

FIRST_DELAY = 0.5
"""Seconds before the first new attempt at most: a lost connection is often a short one."""
MAX_DELAY = 30.0
"""Seconds before any new attempt at most: so long a person waits for a page to come back by itself."""


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
        messages.Edited,
        messages.Editable,
        messages.Presence,
        messages.Restarting,
        messages.Alive,
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
        max_message_size: characters of a frame that the server takes; None if that isn't known

    """

    def __init__(
        self,
        *,
        token: str | None = None,
        session: str | None = None,
        was_reload: bool = False,
        max_message_size: int | None = None,
    ) -> None:
        self._token = token
        self._was_reload = was_reload
        self._session = session
        self._client: str | None = None
        self._key = ""
        self._epoch: str | None = None
        # Whether the mirror is of an epoch before that one.
        self._is_of_before = False
        self._revision = NO_REVISION
        self._data: dict[str, Any] = {}
        self._status = Status.CONNECTING
        self._link = _Link.NONE
        # Whether this connection, not the client, was live at some time.
        self._link_was_live = False
        self._closing: messages.Closing | None = None
        # Connections in a row that were lost before they were live, or that the server spoilt.
        self._failures = 0
        self._sends = Sends(max_message_size)
        self._pending = Pending()
        self._editable: tuple[str, ...] = ()
        self._peer: str | None = None
        self._peers = Peers()

    @property
    def data(self) -> dict[str, Any]:
        """The mirror, with the client's own pending edits on top: read it, don't change it.

        Whenever it changes it is another object; what didn't change in it is shared. See `mirror`.
        """
        return self._pending.on_top_of(self._data)

    @property
    def confirmed(self) -> tuple[str | None, int, dict[str, Any]]:
        """(epoch, revision, data): what the server has told, without pending edits. No epoch: it is of one before."""
        return None if self._is_of_before else self._epoch, self._revision, self._data

    @property
    def editable(self) -> tuple[str, ...]:
        """What may be edited, as patterns."""
        return self._editable

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
    def peer(self) -> str | None:
        """What others call this client; None before the first `Attached`."""
        return self._peer

    def peers(self, scope: messages.Scope) -> Mapping[str, messages.Peer]:
        """Who is there, by id; nobody in a scope that isn't watched. A value: `PresenceChanged` tells of a new one."""
        return self._peers.of(scope)

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
            if message is None:
                return []
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
            SendUnsent: this client has ended, too many sends wait already, or it is larger than the server takes
            TypeError, ValueError: the fields can't be sent as JSON, or the name is empty or too long

        """
        self._raise_if_ended()
        if not 1 <= len(name) <= messages.MAX_NAME:
            raise ValueError(f"a message's name has 1 to {messages.MAX_NAME} characters, got {len(name)}")
        encoded = encode_value(fields, what=f"the fields of {name!r}")
        if not encoded.startswith(b"{"):
            raise TypeError(f"the fields of {name!r} must be a mapping, got {type(fields).__name__}")
        return self._sends.add(Message(encode_value(name), encoded), attached=self._link is _Link.ATTACHED)

    def edit(self, op: messages.EditName, path: str, value: object = None) -> int:
        """Change what is shown at once, and queue the edit; returns its ticket, as `send` does.

        Args:
            op: `set` a key or an index, `insert` before an index, or `remove`
            path: the place as a JSON Pointer; `-` as the last step of an insert is the end of the list
            value: encoded now; `remove` has none

        Raises:
            SendUnsent: as of `send`
            SendConflict: it doesn't fit what is shown
            TypeError, ValueError: the path is not a JSON Pointer or names the root, or the value can't be sent as JSON

        """
        self._raise_if_ended()
        edit = self._pending.make(op, path, value, self.data)
        ticket = self._sends.add(edit, attached=self._link is _Link.ATTACHED)
        self._pending.add(edit)
        return ticket

    def _raise_if_ended(self) -> None:
        if self._status is Status.ENDED:
            raise SendUnsent("This client has ended, so this was not sent.", kind="unsent")

    def watch(self, scope: messages.Scope) -> None:
        """Ask who is there, now and on each further connection. Write all of `outgoing` next."""
        self._peers.watch(scope)

    def unwatch(self, scope: messages.Scope) -> None:
        """Don't hear of it any more."""
        self._peers.unwatch(scope)

    def present(self, metadata: Mapping[str, Any]) -> None:
        """Tell others something about this client, replacing what it said before. Write all of `outgoing` next.

        Raises:
            TypeError, ValueError: it is not a mapping, can't be sent as JSON, or is longer than 1,024 bytes

        """
        self._peers.present(metadata)

    def outgoing(self) -> list[str]:
        """The frames to write now, in order; each is given once per connection."""
        if self._link is not _Link.ATTACHED:
            return []
        edits = self._revision != NO_REVISION and not self._pending.is_stale
        return [*self._peers.outgoing(), *self._sends.outgoing(revision=self._revision, edits=edits)]

    def closed(self, code: int, reason: str = "", *, random: float) -> Decision:
        """The websocket was closed, or could not be opened.

        Args:
            code: the close code; `NO_CLOSE_FRAME` if there was none
            reason: the close reason
            random: evenly from 0 to 1, so that many clients don't come back at the same moment

        """
        closing, self._closing = self._closing, None
        broken, self._link = self._link is _Link.BROKEN, _Link.NONE
        if closing is not None:
            # The close frame may have been lost, or the code replaced by 1006 on the way.
            code, reason = closing.code, closing.reason
        was_ever_live = self._status.is_connected or self._status is Status.RECONNECTING
        # A close that we made because the server was wrong says nothing about the session: come back and see.
        reaction = Reaction.COME_BACK if broken and closing is None else reaction_to(code)
        if reaction is Reaction.COME_BACK:
            if was_ever_live:
                self._status = Status.RECONNECTING
            if self._link_was_live and not broken:
                self._failures = 0
            self._link_was_live = False
            delay = self._next_delay(random)
            if closing is not None and closing.retry_after is not None and code in HAVE_A_DELAY:
                delay = closing.retry_after
            return events.Reconnect(after=delay)
        self._status = Status.ENDED
        arrived = map(_arrived, self._pending.clear())
        settled: tuple[events.Arrived | events.Refused, ...] = (*arrived, *self._sends.abandon())
        if reaction is Reaction.RELOAD and (was_ever_live or not self._was_reload):
            return events.Reload(code=code, reason=reason, settled=settled)
        return events.Ended(code=code, reason=reason, settled=settled)

    def _take(self, message: messages.ServerMessage) -> list[Event]:
        if isinstance(message, messages.Patch):
            return self._take_patch(message)
        if isinstance(message, messages.Snapshot):
            return self._take_snapshot(message)
        if isinstance(message, messages.Attached):
            return self._take_attached(message)
        if isinstance(message, messages.Presence):
            return [events.PresenceChanged(scope=message.scope)] if self._peers.take(message) else []
        if isinstance(message, messages.Restarting):
            return self._take_restarting(message)
        if isinstance(message, messages.Alive):  # whoever drives this hears the ping
            return []
        if isinstance(message, messages.Closing):
            self._closing = message
            return [events.Closing(code=message.code, reason=message.reason, retry_after=message.retry_after)]
        if isinstance(message, messages.Editable):
            self._editable = message.patterns
            return [events.Editable(patterns=message.patterns)]
        return self._take_answer(message)

    def _take_answer(self, message: messages.Answer | messages.Error | messages.Edited) -> list[Event]:
        send = self._sends.unsettled(message.number)
        if send is None:  # it was answered before
            return []
        _check_kind(send, message)
        self._sends.settle(message.number)
        if isinstance(message, messages.Answer):
            return [events.Answered(ticket=send.ticket, value=message.value)]
        if isinstance(message, messages.Error):
            refused = events.Refused(
                ticket=send.ticket, kind=message.kind, text=message.text, incident=message.incident
            )
            return [*self._undo(send), refused] if isinstance(send, PendingEdit) else [refused]
        assert isinstance(send, PendingEdit)
        send.revision = message.revision
        edited = events.Edited(ticket=send.ticket)
        if message.revision <= self._revision:
            return [edited, *self._undo(send), _arrived(send)]
        return [edited]

    def _undo(self, edit: PendingEdit) -> list[Event]:
        """The edit is pending no more, and the mirror doesn't have it."""
        if edit.state == "gone":
            return []
        was_shown = edit.state == "shown"
        lost = self._pending.leave(edit)
        return [*([events.Redrawn()] if was_shown else []), *self._give_up(lost)]

    def _give_up(self, lost: list[PendingEdit]) -> list[Event]:
        """Edits that were lost: those that were never written have no other answer than this one."""
        unwritten = [edit for edit in lost if not edit.was_written]
        for edit in unwritten:
            self._sends.withdraw(edit)
            self._pending.leave(edit)
        return [_refused(edit, "conflict", _LOST) for edit in unwritten]

    def _take_attached(self, message: messages.Attached) -> list[Event]:
        if self._session is not None and message.session != self._session:
            raise ProtocolError("attached to another session than the one asked for")
        if message.resumed and (message.epoch != self._epoch or self._revision == NO_REVISION):
            raise ProtocolError("resumed, but there is nothing here to resume")
        if message.resumed and message.revision < self._revision:
            raise ProtocolError(f"resumed at revision {message.revision}, but {self._revision} was here already")
        same_client = message.client == self._client and message.epoch == self._epoch
        lost: list[Event] = [*self._sends.attached(message.received, same_client=same_client)]
        if not same_client and self._client is not None:
            lost = [*self._forget_edits(other_epoch=message.epoch != self._epoch), *lost]
            self._is_of_before = self._is_of_before or message.epoch != self._epoch
        self._session, self._client, self._key = message.session, message.client, message.key
        self._epoch = message.epoch
        self._link = _Link.ATTACHED
        self._editable = message.editable
        self._peer = message.peer
        self._peers.attached()
        if message.resumed:
            self._go_live()
        else:
            # What is here is of a revision from which no patch will start; it stays to be seen until the
            # snapshot.
            self._revision = NO_REVISION
        return [events.Attached(resumed=message.resumed, revision=message.revision), *lost]

    def _take_snapshot(self, message: messages.Snapshot) -> list[Event]:
        forgotten = self._begin_epoch(message) if message.epoch != self._epoch else []
        if message.revision < self._revision:
            raise ProtocolError(f"a snapshot of revision {message.revision} after {self._revision}")
        self._data, self._revision = message.data, message.revision
        restarted, self._is_of_before = self._is_of_before, False
        if restarted or self._status is not Status.RESTARTING:  # else one of before, since this client reads slowly
            self._go_live()
        done = self._pending.done_at(message.revision)
        lost = self._pending.snapshotted(message.revision)
        return [events.Snapshotted(restarted=restarted), *forgotten, *map(_arrived, done), *self._give_up(lost)]

    def _take_restarting(self, message: messages.Restarting) -> list[Event]:
        if not self._status.is_connected:
            raise ProtocolError("restarting, before there is a mirror")
        self._status = Status.RESTARTING
        return [events.Restarting(after=message.after)]

    def _begin_epoch(self, message: messages.Snapshot) -> list[Event]:
        """The session was restarted. What was written is answered still; edits of the old document are shown no more.

        That of an edit is `conflict`, because its base is below the first revision of the epoch.
        """
        if self._revision == NO_REVISION or message.revision <= self._revision:
            raise ProtocolError(f"a snapshot of another epoch, of revision {message.revision} after {self._revision}")
        self._epoch = message.epoch
        self._is_of_before = True
        return self._forget_edits(other_epoch=True)

    def _forget_edits(self, *, other_epoch: bool) -> list[Event]:
        """The server knows this client no more: what was written is unknown, and the rest has perhaps no document."""
        if not self._pending:
            return []
        if other_epoch:
            done = map(_arrived, self._pending.clear())
            text = "The document is another one now."
            unsent = (_refused(edit, "unsent", text) for edit in self._sends.withdraw_edits())
            return [events.Redrawn(), *done, *unsent]
        return [events.Redrawn(), *self._give_up(self._pending.forget_written())]

    def _take_patch(self, message: messages.Patch) -> list[Event]:
        if message.base != self._revision:
            raise ProtocolError(f"a patch from revision {message.base}, but {self._revision} is here")
        patched = events.Patched(operations=tuple(message.operations))
        if not self._pending:
            self._data = apply(self._data, message.operations)
            self._revision = message.revision
            return [patched]
        taken: list[Operation] = []
        for operation in message.operations:
            taken.append(take_apart(self._data, operation))
            self._data = apply(self._data, [operation])
        self._revision = message.revision
        done = self._pending.done_at(message.revision)
        lost = self._pending.patched(message.revision, message.operations, taken)
        return [patched, *map(_arrived, done), *self._give_up(lost)]

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


_LOST = "What this was to change has changed meanwhile."


def _arrived(edit: PendingEdit) -> events.Arrived:
    return events.Arrived(ticket=edit.ticket)


def _refused(edit: PendingEdit, kind: events.RefusalKind, text: str) -> events.Refused:
    return events.Refused(ticket=edit.ticket, kind=kind, text=text)


def _check_kind(send: Send, message: messages.Answer | messages.Error | messages.Edited) -> None:
    """Sends are answered as sends, and edits as edits."""
    if isinstance(send, PendingEdit):
        is_wrong = isinstance(message, messages.Answer)
    else:
        is_wrong = isinstance(message, messages.Edited) or (
            isinstance(message, messages.Error) and message.kind == "conflict"
        )
    if is_wrong:
        raise ProtocolError(f"this is not an answer to what was sent as {message.number}")
