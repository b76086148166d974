"""What clients send, on its way through their session's mailbox: messages for the app, and edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from supervisor.actor.brief import TEXT, brief, clip
from supervisor.actor.entry import Doer, Entry
from supervisor.document import pointer
from supervisor.document.base import Patch
from supervisor.document.edit import EditOperation
from supervisor.errors import InvalidValue, Rejected
from supervisor.protocol.bridge import EditTurn
from supervisor.protocol.carrying import operation_at
from supervisor.protocol.messages import ErrorKind, encode_answer, encode_error
from supervisor.session.actor import SessionActor
from supervisor.session.connection import ConnectionContext
from supervisor.session.editing import EditConflict, shown
from supervisor.transport.wire import SessionWire

BUSY = "The session was too busy to take this; try again."
"""The answer to what found no room in the mailbox in time."""


@final
class ClientSend(Entry):
    """A message that a client sent, on its way through the mailbox. Its connection's end doesn't cancel it."""

    __slots__ = ("_answer", "_client", "_number", "_wire", "_work", "message")
    is_answered = True
    told_as = "message"

    def __init__(
        self,
        wire: SessionWire,
        client: str,
        number: int,
        message: object,
        connection: ConnectionContext | None = None,
        on_over: Callable[[], None] = lambda: None,
    ) -> None:
        self._wire = wire
        self._client = client
        self._number = number
        self.message = message
        self._work = _Work(wire.session, connection, on_over)
        self._answer = b""

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        self._work.begin()
        return actor.receive(self.message)

    def check(self, result: object) -> object:
        """See `Entry.check`: an answer that JSON can't carry rolls the handler back."""
        self._answer = encode_answer(self._number, result)
        return result

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`."""
        self._work.end()
        self._wire.answered(self._client, self._number, self._answer)

    def dropped(self) -> None:
        """See `Entry.dropped`."""
        self._work.end()

    def displaced(self, error: Exception) -> None:
        """See `Entry.displaced`: for the client it is as if there had been no room."""
        self.refused()

    def refused(self) -> None:
        """Answer that there was no room."""
        self._work.end()
        self._wire.answered(self._client, self._number, encode_error(self._number, "rejected", BUSY))

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`. The text of an exception is for the log; a client gets the incident's id."""
        self._work.end()
        if isinstance(error, Rejected):
            message = encode_error(self._number, "rejected", sendable(_text_of(error)))
        else:
            message = encode_failed(self._number, incident)
        self._wire.answered(self._client, self._number, message)

    def describe(self) -> str:
        """See `Entry.describe`."""
        return f"message {type(self.message).__qualname__} of a client"

    def told(self) -> str:
        """See `Entry.told`."""
        return f"{brief(self.message)}{self._work.by}"


@final
class ClientEdit(Entry):
    """An edit of a client, on its way through the mailbox. Its connection's end doesn't cancel it."""

    __slots__ = ("_client", "_connection", "_told", "_turn", "_wire", "_work")
    is_answered = True
    told_as = "edit"

    def __init__(
        self,
        wire: SessionWire,
        client: str,
        turn: EditTurn,
        connection: ConnectionContext,
        on_over: Callable[[], None] = lambda: None,
    ) -> None:
        self._wire = wire
        self._client = client
        self._turn = turn
        self._connection = connection
        self._work = _Work(wire.session, connection, on_over)
        self._told = False

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        self._work.begin()
        message, session = self._turn.message, self._wire.session
        edit = EditOperation(op=message.op, keys=message.path, value=self._turn.value)
        stored = session.stored
        return session.edit_rules.take(lambda: stored.root, session.document, edit, self._connection, self._place)

    def refuse(self) -> object:
        """Start, and only say that there was no room; in its turn, since edits are answered in order."""
        self._work.begin()
        self._place()
        raise Rejected(BUSY)

    def _place(self) -> tuple[str | int, ...] | None:
        stored = self._wire.session.stored
        return self._turn.place(stored.revision, (operation_at(each["op"], each["path"]) for each in stored.changes))

    def check(self, result: object) -> object:
        """See `Entry.check`: the commit comes next. That it would be too large is an answer, and no failure."""
        try:
            self._wire.session.stored.check_size()
        except InvalidValue as error:
            raise Rejected(shown(str(error))) from None
        self._wire.before_patch = self.committed
        return None

    def committed(self, patch: Patch) -> None:
        """The edit is part of this patch, which is shown next."""
        self._wire.before_patch = None
        self._turn.done(patch.revision, patch.encoded)
        self._told = True
        self._wire.edited(self._client, self._turn.message.number, patch.revision)

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`."""
        self._over()
        if not self._told:  # it changed nothing
            self._turn.unchanged()
            self._wire.edited(self._client, self._turn.message.number, self._wire.session.stored.revision)

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `ClientSend.failed`."""
        self._over()
        self._turn.refused()
        number = self._turn.message.number
        if isinstance(error, Rejected):
            kind: ErrorKind = "conflict" if isinstance(error, EditConflict) else "rejected"
            message = encode_error(number, kind, sendable(_text_of(error)))
        else:
            message = encode_failed(number, incident)
        self._wire.answered(self._client, number, message)

    def dropped(self) -> None:
        """See `Entry.dropped`."""
        self._over()

    def _over(self) -> None:
        if self._work.end():
            self._wire.before_patch = None

    def describe(self) -> str:
        """See `Entry.describe`."""
        return f"edit of {shown(pointer.join(self._turn.message.path))} of a client"

    def told(self) -> str:
        """See `Entry.told`."""
        message = self._turn.message
        value = "" if message.op == "remove" else f" {brief(self._turn.value, length=TEXT)}"
        return f"{message.op} {clip(pointer.join(message.path), TEXT)}{value}{self._work.by}"


@final
class LateEdit(Entry):
    """An edit for which there was no room in time. As a tick it needs none: a client has a window of them at most."""

    __slots__ = ("_edit",)
    counted = False
    told_as = "edit"

    def __init__(self, edit: ClientEdit) -> None:
        self._edit = edit

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        return self._edit.refuse()

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`."""
        self._edit.failed(error, incident)

    def describe(self) -> str:
        """See `Entry.describe`."""
        return self._edit.describe()

    def told(self) -> str:
        """See `Entry.told`."""
        return self._edit.told()


@final
class _Work:
    """While a client's entry is in hand, its session knows whose it is; `on_over` hears when it is over."""

    __slots__ = ("_begun", "_connection", "_on_over", "_session")

    def __init__(
        self, session: SessionActor, connection: ConnectionContext | None, on_over: Callable[[], None]
    ) -> None:
        self._session = session
        self._on_over = on_over
        self._connection = connection
        self._begun = False

    @property
    def by(self) -> str:
        """Whose it is, in words."""
        return "" if self._connection is None else f" of connection {self._connection.id[:8]}"

    def begin(self) -> None:
        self._begun = True
        self._session.connection_in_hand = self._connection

    def end(self) -> bool:
        """It is over, once. Whether it had begun: else another entry may be in hand, as the session ends."""
        self._on_over()
        if self._begun:
            self._session.connection_in_hand = None
        return self._begun


def encode_failed(number: int, incident: str | None) -> bytes:
    """The answer to a send that failed: where to look, and no text of the exception."""
    text = f"The server could not do this. The log has the details under incident {incident}."
    return encode_error(number, "failed", text, incident)


def sendable(text: str) -> str:
    """The text as UTF-8 can carry it: an author's text may hold lone surrogates, which become question marks."""
    return text.encode("utf-8", "replace").decode()


def _text_of(error: Rejected) -> str:
    try:
        return str(error)
    except Exception:  # of what the author gave it; this runs in the session's loop, which must not end for that
        return "The message was rejected."
