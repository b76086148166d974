"""One session on the wire: its feed, and the connections that see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, final

import trio

from supervisor.actor.timers import TimerQueue
from supervisor.document.base import Patch
from supervisor.protocol.feed import MAX_DETACHED, Attachment, Feed
from supervisor.protocol.messages import Resume, encode_edited, encode_restarting
from supervisor.session.actor import SessionActor
from supervisor.transport.frames import text_frame
from supervisor.transport.presence import PresenceRoom

KEEP_SNAPSHOT = 1.0
"""Seconds: clients that fall behind do so within a commit, and those that come back within a few seconds."""


class Viewer(Protocol):
    """A connection that sees the session."""

    def show(self, frame: bytes) -> None:
        """Send a patch; it may be left out if a snapshot follows."""

    def answer(self, frame: bytes) -> None:
        """Send an answer, after all that was shown before."""

    def announce(self, frame: bytes) -> None:
        """Send what tells of a patch or snapshot before that comes; it is never left out."""

    def cancel(self) -> None:
        """End at once."""


@final
class SessionWire:
    """What a session's connections share. It is the session's audience; made with the session.

    A patch is encoded once, framed once, and pushed to every connection in the same step in which it was committed.
    """

    __slots__ = (
        "_by_client",
        "_expected",
        "_restarts_at",
        "_snapshot",
        "_viewers",
        "before_patch",
        "editable_frame",
        "feed",
        "presence",
        "session",
        "was_full",
    )

    def __init__(
        self,
        session: SessionActor,
        *,
        key: str,
        new_client_id: Callable[[], str],
        linger: float,
        max_detached: int = MAX_DETACHED,
    ) -> None:
        self.session = session
        self.feed = Feed(
            session=session.id,
            epoch=session.epoch,
            key=key,
            new_client_id=new_client_id,
            linger=linger,
            max_detached=max_detached,
        )
        self.presence = PresenceRoom("session", session.runtime.timers)
        """Who is attached to it."""
        # Told of the next patch before it is shown. An edit sets it when its work is done and only the commit is left.
        self.before_patch: Callable[[Patch], None] | None = None
        # What said last that clients may edit something else; None if nobody had to be told.
        self.editable_frame: bytes | None = None
        # When the new document is to be built; None: no restart is under way.
        self._restarts_at: float | None = None
        self.was_full = False
        """Whether a connection was refused since the last one left."""
        # In order of attaching; a dict, because leaving must not search.
        self._viewers: dict[Viewer, None] = {}
        # The last snapshot that was made, for a moment; see `_snapshot_of_now`.
        self._snapshot: _Snapshot | None = None
        self._by_client: dict[str, Viewer] = {}
        # The newest connection of each client that came back and waits for the opened hooks.
        self._expected: dict[str, Viewer] = {}

    def committed(self, patch: Patch) -> None:
        """See `Audience.committed`."""
        message = self.feed.committed(patch)
        if self.before_patch is not None:
            self.before_patch(patch)
        if self._viewers:
            frame = text_frame(message)
            for viewer in self._viewers:
                viewer.show(frame)

    def editable(self, patterns: tuple[str, ...]) -> None:
        """See `Audience.editable`."""
        message = self.feed.editable(patterns)
        if self._viewers:
            self.editable_frame = text_frame(message)
            for viewer in self._viewers:
                viewer.show(self.editable_frame)

    def restarting(self, pause: float) -> None:
        """See `Audience.restarting`."""
        self._restarts_at = trio.current_time() + pause
        if self._viewers:
            frame = text_frame(encode_restarting(pause))
            for viewer in self._viewers:
                viewer.announce(frame)

    def renewed(self, patterns: tuple[str, ...]) -> None:
        """See `Audience.renewed`: those who see the session get one snapshot, in a new epoch."""
        self._restarts_at = None
        self.feed.renewed(epoch=self.session.epoch, revision=self.session.stored.revision)
        if patterns != self.feed.patterns:
            self.editable(patterns)
        if self._viewers:
            frame = self.snapshot_frame()
            for viewer in self._viewers:
                viewer.show(frame)

    @contextmanager
    def expected(self, viewer: Viewer, resume: Resume | None) -> Iterator[str]:
        """While the opened hooks run for it, a client that comes back isn't forgotten; gives its peer.

        An older connection that it had here waits for nobody: else that one may attach last, and end this one.
        """
        peer, client = self.feed.expect(resume, trio.current_time())
        if client is None:
            yield peer
            return
        older = self._expected.get(client)
        if older is not None:
            older.cancel()
        self._expected[client] = viewer
        try:
            yield peer
        finally:
            if self._expected.get(client) is viewer:
                del self._expected[client]
            self.feed.detach(client, trio.current_time())

    def attach(self, viewer: Viewer, resume: Resume | None, *, peer: str | None = None) -> Attachment:
        """A connection begins to see the session: send it `frames()` of what is returned before anything else happens.

        `peer` is what `Feed.expect` said, if the client was expected.

        Raises:
            ProtocolError: the client that comes back says what can't be.
        """
        now = trio.current_time()
        stored = self.session.stored
        if resume is None:
            attachment = self.feed.attach(revision=stored.revision, now=now, peer=peer)
        else:
            attachment = self.feed.resume(resume, revision=stored.revision, now=now, peer=peer)
        # Also where the client is a new one to the feed: else its older connections could fill the session.
        older = None if resume is None else self._by_client.pop(resume.client, None)
        if older is not None:  # its link is dead, and the server hasn't noticed yet
            self._viewers.pop(older, None)
            older.cancel()
        self._by_client[attachment.client] = viewer
        self._viewers[viewer] = None
        return attachment

    def frames(self, attachment: Attachment) -> Iterator[bytes]:
        """What to send to who has just attached, in order."""
        yield from map(text_frame, attachment.before)
        if attachment.missed is None:
            yield self.snapshot_frame()
        else:
            yield from map(text_frame, attachment.missed)
        yield from map(text_frame, attachment.after)
        if self._restarts_at is not None:
            yield text_frame(encode_restarting(max(0.0, self._restarts_at - trio.current_time())))

    def is_there(self, client: str) -> bool:
        """Whether a connection of this client is attached."""
        return client in self._by_client

    def detach(self, viewer: Viewer, client: str) -> None:
        """A connection sees the session no more."""
        self._viewers.pop(viewer, None)
        if not self._viewers and self._snapshot is not None:
            self._snapshot.drop()
        self.was_full = False
        if self._by_client.get(client) is viewer:
            del self._by_client[client]
        self.feed.detach(client, trio.current_time())

    def answered(self, client: str, number: int, message: bytes) -> None:
        """Keep the answer to a send, and send it if its client is there."""
        viewer = self._by_client.get(client)
        if self.feed.answered(client, number, message) and viewer is not None:
            viewer.answer(text_frame(message))

    def edited(self, client: str, number: int, revision: int) -> None:
        """Keep the answer to an edit that was done, and send it if its client is there, before the patch is shown."""
        message = encode_edited(number, revision)
        viewer = self._by_client.get(client)
        if self.feed.answered(client, number, message, edited=True) and viewer is not None:
            viewer.announce(text_frame(message))

    def snapshot(self) -> bytes:
        """The last committed state as JSON, for a page: its connection will want the same a moment later."""
        frame, size = self._snapshot_of_now()
        return frame[-1 - size : -1]

    def snapshot_frame(self) -> bytes:
        """The frame that brings any connection up to date."""
        return self._snapshot_of_now()[0]

    def _snapshot_of_now(self) -> tuple[bytes, int]:
        """The frame with the last committed state, and the size of that, which stands before the frame's last byte.

        Many may want it at once: who all open the page, fell behind, or come back. So those of one revision share one
        frame, which is made once, and which all their queues hold once. It is kept for `KEEP_SNAPSHOT` seconds and no
        longer, since else each session would have its document twice.
        """
        stored, kept = self.session.stored, self._snapshot
        of = (self.feed.epoch, stored.revision)
        if kept is not None and kept.of == of and kept.frame is not None:
            return kept.frame, kept.size
        data = stored.snapshot()
        frame = text_frame(self.feed.snapshot(revision=stored.revision, data=data))
        if kept is not None:
            kept.drop()
        self._snapshot = _Snapshot(of, frame, len(data), self.session.runtime.timers)
        return frame, len(data)


@final
class _Snapshot:
    """The frame of one revision, until it is dropped."""

    __slots__ = ("_alarm", "frame", "of", "size")

    def __init__(self, of: tuple[str, int], frame: bytes, size: int, timers: TimerQueue) -> None:
        self.of = of
        self.frame: bytes | None = frame
        self.size = size
        # It knows the snapshot only: a session that ends meanwhile is not kept by it.
        self._alarm = timers.call_after(KEEP_SNAPSHOT, self.drop)

    def drop(self) -> None:
        self.frame = None
        self._alarm.cancel()
