"""One session on the wire: its feed, and the connections that see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, final

import trio

from supervisor.actor.entry import Doer, Entry
from supervisor.document.base import Patch
from supervisor.errors import Rejected
from supervisor.protocol.feed import Attachment, Feed
from supervisor.protocol.messages import Resume, encode_answer, encode_error
from supervisor.session.actor import SessionActor
from supervisor.transport.frames import text_frame


class Viewer(Protocol):
    """A connection that sees the session."""

    def show(self, frame: bytes) -> None:
        """Send a patch; it may be left out if a snapshot follows."""

    def answer(self, frame: bytes) -> None:
        """Send an answer, after all that was shown before."""

    def cancel(self) -> None:
        """End at once."""


@final
class SessionWire:
    """What a session's connections share. It is the session's audience; made with the session.

    A patch is encoded once, framed once, and pushed to every connection in the same step in which it was committed.
    """

    __slots__ = ("_by_client", "_viewers", "feed", "session")

    def __init__(self, session: SessionActor, *, key: str, new_client_id: Callable[[], str], linger: float) -> None:
        self.session = session
        self.feed = Feed(session=session.id, epoch=session.epoch, key=key, new_client_id=new_client_id, linger=linger)
        # In order of attaching; a dict, because leaving must not search.
        self._viewers: dict[Viewer, None] = {}
        self._by_client: dict[str, Viewer] = {}

    def committed(self, patch: Patch) -> None:
        """See `Audience.committed`."""
        message = self.feed.committed(patch)
        if self._viewers:
            frame = text_frame(message)
            for viewer in self._viewers:
                viewer.show(frame)

    def attach(self, viewer: Viewer, resume: Resume | None) -> Attachment:
        """A connection begins to see the session: send it what is returned before anything else happens.

        Raises:
            ProtocolError: the client that comes back says what can't be.
        """
        now = trio.current_time()
        stored = self.session.stored
        if resume is None:
            attachment = self.feed.attach(revision=stored.revision, snapshot=stored.snapshot, now=now)
        else:
            attachment = self.feed.resume(resume, revision=stored.revision, snapshot=stored.snapshot, now=now)
        older = self._by_client.get(attachment.client)
        if older is not None:  # its link is dead, and the server hasn't noticed yet
            self._viewers.pop(older, None)
            older.cancel()
        self._by_client[attachment.client] = viewer
        self._viewers[viewer] = None
        return attachment

    def detach(self, viewer: Viewer, client: str) -> None:
        """A connection sees the session no more."""
        self._viewers.pop(viewer, None)
        if self._by_client.get(client) is viewer:
            del self._by_client[client]
        self.feed.detach(client, trio.current_time())

    def answered(self, client: str, number: int, message: bytes) -> None:
        """Keep the answer to a send, and send it if its client is there."""
        viewer = self._by_client.get(client)
        if self.feed.answered(client, number, message) and viewer is not None:
            viewer.answer(text_frame(message))

    def snapshot_frame(self) -> bytes:
        """The frame that brings any connection up to date."""
        stored = self.session.stored
        return text_frame(self.feed.snapshot(revision=stored.revision, data=stored.snapshot()))


@final
class ClientSend(Entry):
    """A message that a client sent, on its way through the mailbox. Its connection's end doesn't cancel it."""

    __slots__ = ("_answer", "_client", "_message", "_number", "_wire")

    def __init__(self, wire: SessionWire, client: str, number: int, message: object) -> None:
        self._wire = wire
        self._client = client
        self._number = number
        self._message = message
        self._answer = b""

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        return actor.receive(self._message)

    def check(self, result: object) -> object:
        """See `Entry.check`: an answer that JSON can't carry rolls the handler back."""
        self._answer = encode_answer(self._number, result)
        return result

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`."""
        self._wire.answered(self._client, self._number, self._answer)

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`. The text of an exception is for the log; a client gets the incident's id."""
        if isinstance(error, Rejected):
            message = encode_error(self._number, "rejected", sendable(_text_of(error)))
        else:
            message = encode_failed(self._number, incident)
        self._wire.answered(self._client, self._number, message)

    def describe(self) -> str:
        """See `Entry.describe`."""
        return f"message {type(self._message).__qualname__} of a client"


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
