"""One session's outgoing history and its clients: what a client gets when it attaches or comes back. Pure.

A client is a page, not a connection: its id outlives the connection by `linger` seconds, together with the record of
what it sent and which answers it may have missed. What is *sent* is encoded once, for all clients; the Feed returns
bytes and remembers them, and knows no socket.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, final

import attrs

from supervisor.errors import ProtocolError
from supervisor.protocol.bridge import EditTurn
from supervisor.protocol.encoding import encode_value
from supervisor.protocol.history import MAX_BYTES, MAX_REVISIONS, History
from supervisor.protocol.messages import Attached, Edit, Editable, Resume, Send, encode
from supervisor.protocol.records import ClientRecord, Kept, New, Repeated

MAX_DETACHED = 1_000
"""Records of clients that left, per session, where its connections have no bound. It allows for all of them being cut
at once, and bounds the cost of a client that attaches again and again."""

MAX_ANSWERS = 4 * 1024 * 1024
"""Bytes of the answers that are kept until clients confirm them, per session: room for thousands of usual ones, or for
a few as large as a document."""


class CommittedPatch(Protocol):
    """What a kind of document returns for one kept transaction."""

    @property
    def base(self) -> int:
        """The revision it starts from."""

    @property
    def revision(self) -> int:
        """The revision it leads to."""

    @property
    def encoded(self) -> bytes:
        """The kind's own encoding; for JSON documents a JSON array of RFC 6902 operations."""


@final
@attrs.frozen(kw_only=True)
class Attachment:
    """What a connection sends first, after its client was attached."""

    client: str
    """The client's id; give it to `accept`, `answered` and `detach`."""
    peer: str
    """What others call it."""
    before: tuple[bytes, ...]
    """What to send first: `attached`, and each kept `edited`."""
    missed: tuple[bytes, ...] | None
    """The patches to send then; None: send a snapshot of the revision that was given, which several may share."""
    after: tuple[bytes, ...]
    """What to send last, before any later patch or answer: the other answers that were kept."""

    @property
    def resumed(self) -> bool:
        """Whether patches were enough."""
        return self.missed is not None


@final
class Feed:
    """The server's side of the wire for one session.

    Args:
        epoch: tells this life of the document from another
        key: admits clients that come back, as long as the session lives
        new_client_id: gives an id that was never given before and can't be guessed
        linger: how long a client that left is remembered, in seconds
        session: the session's id, as clients are told it
        max_revisions: bound of the log, in patches
        max_bytes: bound of the log, in bytes of messages
        max_answers: bound of the answers that clients have yet to confirm, in bytes of messages
        max_detached: bound of the clients that left and are remembered; as many as may be attached, since a network or
            a proxy that fails cuts all of them at once, and a forgotten client can't learn which of its sends were done

    """

    __slots__ = (
        "_attached",
        "_detached",
        "_editable",
        "_encoded_epoch",
        "_epoch",
        "_history",
        "_kept",
        "_key",
        "_linger",
        "_max_answers",
        "_max_detached",
        "_new_client_id",
        "_session",
    )

    def __init__(
        self,
        *,
        session: str,
        epoch: str,
        key: str,
        new_client_id: Callable[[], str],
        linger: float,
        max_revisions: int = MAX_REVISIONS,
        max_bytes: int = MAX_BYTES,
        max_answers: int = MAX_ANSWERS,
        max_detached: int = MAX_DETACHED,
    ) -> None:
        self._session = session
        self._epoch = epoch
        self._encoded_epoch = encode_value(epoch)
        self._key = key
        self._new_client_id = new_client_id
        self._linger = linger
        self._max_answers = max_answers
        self._max_detached = max_detached
        self._kept = Kept()
        self._history = History(max_patches=max_revisions, max_bytes=max_bytes)
        self._editable: tuple[str, ...] = ()
        self._attached: dict[str, ClientRecord] = {}
        # In the order of leaving, so that the first is the first to be forgotten.
        self._detached: OrderedDict[str, ClientRecord] = OrderedDict()

    @property
    def epoch(self) -> str:
        """Tells this life of the document from another."""
        return self._epoch

    @property
    def patterns(self) -> tuple[str, ...]:
        """What clients may edit, as last sent to them."""
        return self._editable

    def admits(self, key: str) -> bool:
        """Whether this is the session's key; every wrong one takes equally long. The key is untrusted."""
        # Bytes, because `compare_digest` takes only ASCII strings, and surrogates would raise.
        return hmac.compare_digest(key.encode(errors="surrogatepass"), self._key.encode())

    def committed(self, patch: CommittedPatch) -> bytes:
        """Log a patch; returns the message that all attached connections send. Once per patch, in order."""
        # Concatenated and not encoded from a struct: this is the hot path, and the patch is JSON already.
        base, revision = patch.base, patch.revision
        message = b'{"type":"patch","from":%d,"to":%d,"operations":%b}' % (base, revision, patch.encoded)
        self._history.append(base, revision, message)
        return message

    def editable(self, patterns: tuple[str, ...]) -> bytes:
        """Clients may edit something else from now on; returns the message that says so."""
        self._editable = patterns
        return encode(Editable(patterns=patterns))

    def renewed(self, *, epoch: str, revision: int) -> None:
        """The session was restarted: its document is another one, at a revision above all that were before.

        Clients keep their ids, the numbers of their sends and the answers that they may lack. Send each of them the
        snapshot. Edits that a client made before it had the snapshot are in conflict.
        """
        self._epoch, self._encoded_epoch = epoch, encode_value(epoch)
        self._history.begin(revision)
        for record in (*self._attached.values(), *self._detached.values()):
            record.begin_epoch()

    def snapshot(self, *, revision: int, data: bytes) -> bytes:
        """The message that brings any client up to a revision; `data` is the document as JSON."""
        return b'{"type":"snapshot","epoch":%b,"revision":%d,"data":%b}' % (
            self._encoded_epoch,
            revision,
            data,
        )

    def expect(self, message: Resume | None, now: float) -> tuple[str, str | None]:
        """A client that is to attach soon: what others will call it, and its id if it is known.

        A known one isn't forgotten while it is expected: call `detach` for it afterwards, whatever became of it.
        """
        self._expire(now)
        record = None
        if message is not None and message.epoch == self._epoch:
            record = self._returning(message)
        if record is None:
            return self._new_client_id(), None
        self._connected(record)
        return record.peer, record.id

    def attach(self, *, revision: int, now: float, peer: str | None = None) -> Attachment:
        """A new client: it gets an id and a snapshot. Call `detach` once when its connection has left.

        Args:
            peer: what `expect` said, if it was expected
            revision: the document's last committed revision
            now: the time in seconds

        """
        self._expire(now)
        record = self._new_record(peer)
        return self._attachment(record, revision=revision, missed=None)

    def resume(self, message: Resume, *, revision: int, now: float, peer: str | None = None) -> Attachment:
        """A client that comes back: it gets what it missed, and the answers that it has not confirmed.

        Check the key with `admits` before. If the client id has a connection still, this one takes over:
        close the older one. Call `detach` once for each of them, when it has left. The message is untrusted.

        Args:
            message: the client's first frame
            peer: what `expect` said, if it was expected
            revision: the document's last committed revision
            now: the time in seconds

        Raises:
            ProtocolError: the client confirms answers that it can't have; nothing was attached

        """
        self._expire(now)
        if message.epoch != self._epoch:
            # Its numbers and its mirror are of another life of the document.
            return self._attachment(self._new_record(peer), revision=revision, missed=None)
        missed = self._history.since(message.revision, current=revision)
        record = self._returning(message)
        if record is None:
            record = self._new_record(peer)
        else:
            record.confirm(message.confirmed)
            self._connected(record)
        return self._attachment(record, revision=revision, missed=missed)

    def accept(self, client_id: str, send: Send, now: float) -> New | Repeated:
        """Decide what a send of an attached client is. The send is untrusted.

        Raises:
            ProtocolError: its number leaves a gap or the window of 64, or `confirmed` is not true

        """
        self._expire(now)
        return self._attached[client_id].accept(send)

    def accept_edit(self, client_id: str, edit: Edit, revision: int, now: float) -> EditTurn | Repeated:
        """Decide what an edit of an attached client is; what is returned finds its place. The edit is untrusted.

        Answer a new one before any that the same client sent later: so its next edits tell which refusals it knows of.

        Raises:
            ProtocolError: as `accept`; or its base has fallen, or is above the document's revision

        """
        self._expire(now)
        if edit.base > revision:
            raise ProtocolError(f"edit {edit.number} is based on revision {edit.base}, but {revision} is the last one")
        record = self._attached[client_id]
        accepted = record.accept(edit)
        return accepted if isinstance(accepted, Repeated) else EditTurn(edit, record.bridge, self._history)

    def answered(self, client_id: str, number: int, message: bytes, *, edited: bool = False) -> bool:
        """Keep the answer to an accepted send until it is confirmed; the caller sends it too, if it can.

        If the kept answers get too large, those of the clients with the most are dropped. A client that then comes back
        without them is treated as a new one, and can't learn what was done.

        `edited` says that the answer is an `edited`, which comes before the state that it announces. Returns False if
        the client was forgotten, so nobody will want the answer.
        """
        record = self._attached.get(client_id) or self._detached.get(client_id)
        if record is None:
            return False
        record.keep(number, message, edited=edited)
        if self._kept.size > self._max_answers:
            self._make_room()
        return True

    def detach(self, client_id: str, now: float) -> None:
        """One connection of this client has left; `linger` seconds after the last one it is forgotten."""
        record = self._attached[client_id]
        record.connections -= 1
        if record.connections == 0:
            del self._attached[client_id]
            record.detached_at = now
            self._detached[client_id] = record
            if len(self._detached) > self._max_detached:
                self._forget(next(iter(self._detached)))
        self._expire(now)

    def _make_room(self) -> None:
        """Drop answers of the clients with the most until half of the bound is free, so that this is rarely needed."""
        records = sorted((*self._attached.values(), *self._detached.values()), key=lambda record: -record.size)
        for record in records:
            if self._kept.size <= self._max_answers / 2:
                return
            record.let_go()

    def _returning(self, message: Resume) -> ClientRecord | None:
        """The client that comes back; None if it isn't remembered, or lacks an answer that was dropped."""
        record = self._attached.get(message.client) or self._detached.get(message.client)
        return None if record is None or record.lost > message.confirmed else record

    def _forget(self, client_id: str) -> None:
        self._detached.pop(client_id).let_go()

    def _connected(self, record: ClientRecord) -> None:
        self._detached.pop(record.id, None)
        self._attached[record.id] = record
        record.connections += 1

    def _new_record(self, peer: str | None) -> ClientRecord:
        record = ClientRecord(self._new_client_id(), peer or self._new_client_id(), self._kept)
        self._attached[record.id] = record
        return record

    def _attachment(self, record: ClientRecord, *, revision: int, missed: tuple[bytes, ...] | None) -> Attachment:
        attached = Attached(
            session=self._session,
            client=record.id,
            peer=record.peer,
            key=self._key,
            epoch=self._epoch,
            revision=revision,
            resumed=missed is not None,
            received=record.received,
            editable=self._editable,
        )
        return Attachment(
            client=record.id,
            peer=record.peer,
            before=(encode(attached), *record.kept_edited()),
            missed=missed,
            after=record.kept(),
        )

    def _expire(self, now: float) -> None:
        """Forget clients that left too long ago; done at every call, because pure code has no timer."""
        detached = self._detached
        while detached:
            first = next(iter(detached.values()))
            if now - first.detached_at < self._linger:
                return
            self._forget(first.id)

    def __repr__(self) -> str:
        """For logs, so without the key and the session's id."""
        return f"<Feed {self._history!r}, {len(self._attached)} attached, {len(self._detached)} detached>"
