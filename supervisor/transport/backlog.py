"""What waits for one client that reads more slowly than its session changes, on its way through the outbox.

Essay: two marks and a time. Up to the first mark, frames are queued, as for everybody. Beyond it they are kept back
(see `withheld`), and patches are merged, until the client has read what is queued. Beyond the second mark, or if even
merging leaves too much, everything that the client has not read is dropped, and one snapshot replaces it. From the
first mark on, the client has `slow_timeout` to read what is queued. So the cost of one client is bounded, in bytes and
in time, and nobody else waits for it.

Answers are never left out, and never overtake the patches that their message caused. Presence isn't part of this: a
snapshot doesn't replace it, and its sender repeats it once there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from supervisor.actor.timers import Alarm
from supervisor.transport.outbox import Outbox
from supervisor.transport.wire import SessionWire
from supervisor.transport.withheld import Withheld


@final
class Backlog:
    """Stands between a connection and its outbox. All methods are plain, and belong to trio's thread.

    Args:
        outbox: the connection's; its first mark is its own limit.
        limit: bytes that may be kept back, after merging.
        slow_timeout: seconds for a client to read all that is queued, once something is kept back.
        on_slow: a plain function, called when it has not.
        on_room: a plain function, called when `tell` has refused something and would take it now.
    """

    __slots__ = (
        "_limit",
        "_name",
        "_on_room",
        "_on_slow",
        "_outbox",
        "_patience",
        "_queued_answers",
        "_slow_timeout",
        "_was_untold",
        "_wire",
        "withheld",
    )

    def __init__(
        self,
        outbox: Outbox,
        *,
        limit: int,
        slow_timeout: float,
        on_slow: Callable[[], None],
        on_room: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._limit = limit
        self._slow_timeout = slow_timeout
        self._on_slow = on_slow
        self._on_room = on_room
        self.withheld: Withheld | None = None
        """What is kept back until the client has read what is queued; None while it keeps up."""
        # Something that was to be told had no room.
        self._was_untold = False
        # Answers of which bytes may be queued still; at most as many as a client may have under way.
        self._queued_answers: list[bytes] = []
        # What the session's story calls the client's connection.
        self._name = ""
        # The session whose snapshot stands for what is dropped; None before the client is attached, and after the end.
        self._wire: SessionWire | None = None
        # The end of our patience with a client that doesn't read; set while a backlog was seen that has not drained.
        self._patience: Alarm | None = None

    def begin(self, wire: SessionWire, name: str) -> None:
        """The client is attached; nothing is shown before. `name` is what the session's story calls its connection."""
        self._wire = wire
        self._name = name

    def show(self, frame: bytes) -> None:
        """Keep back what the outbox did not take, or must not while other things are kept back."""
        self._keep_back().show(frame)
        self._check()

    def answer(self, frame: bytes) -> None:
        """Send an answer: it must not overtake what it follows."""
        if self.withheld is not None or not self._outbox.push(frame):
            self._keep_back().answer(frame)
            self._check()
        elif self._outbox.statistics().queued_frames:
            self._queued_answers.append(frame)

    def tell(self, frame: bytes) -> bool:
        """Send what is no part of the document; False if too much waits already: `on_room` will be called."""
        if self.withheld is not None or self._outbox.statistics().queued_bytes > self._limit:
            self._was_untold = True
            return False
        self._outbox.push_urgent(frame)
        return True

    def announce(self, frame: bytes) -> None:
        """Send what tells of the next patch. Unlike an answer it must not wait for a snapshot, and has no need to."""
        self._outbox.push_urgent(frame)
        if self.withheld is not None:
            self.withheld.announced()

    def drained(self) -> None:
        """The client has read all that was queued: bring it up to date."""
        self._stop_waiting()
        self._queued_answers.clear()
        if self.withheld is not None and self._wire is not None and not self._outbox.close_was_sent:
            self._send(self.withheld, self._wire)
        if self._was_untold and self.withheld is None:
            self._was_untold = False
            self._on_room()

    def be_patient(self) -> None:
        """Something is queued: from now on, the client has its time to read it."""
        if self._patience is None and self._wire is not None:
            self._patience = self._wire.session.runtime.timers.call_after(self._slow_timeout, self._on_slow)

    def end(self, within: float | None) -> None:
        """Nothing is shown any more. What was kept back is sent, if the client reads it in so many seconds; else not.

        A client that reads gets what came before the end; from one that doesn't, it must not hide the end.
        """
        wire, self._wire = self._wire, None
        self._stop_waiting()
        withheld, self.withheld = self.withheld, None
        if within is None:
            return
        if withheld is not None and not withheld.awaits_snapshot:
            while (item := withheld.first()) is not None:
                self._outbox.push_last(item.frame)
                withheld.sent()
        if wire is not None:
            self._patience = wire.session.runtime.timers.call_after(within, self._give_up)

    def _give_up(self) -> None:
        self._outbox.drop_backlog()

    def _keep_back(self) -> Withheld:
        """What is to be sent is kept back from now on, since more than the first mark is queued."""
        if self.withheld is None:
            self.withheld = Withheld()
            self.be_patient()
            self._tell_story("reads slowly  → what it is sent is kept back")
        return self.withheld

    def _check(self) -> None:
        """Past the second mark, drop what the client has not taken; a snapshot will stand for it.

        Answers among it are sent again; one that came already is ignored.
        """
        withheld, outbox = self.withheld, self._outbox
        if withheld is None or withheld.awaits_snapshot:
            return
        if withheld.size > self._limit or withheld.is_too_long:
            self._tell_story("is far behind  → a snapshot will stand for what it has not read")
            outbox.drop_backlog()
            withheld.give_way(self._queued_answers)
            self._queued_answers = []
            if not outbox.statistics().queued_frames:  # then nothing is left that could drain
                self.drained()

    def _send(self, withheld: Withheld, wire: SessionWire) -> None:
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
                self.be_patient()
                return
            elif item.is_answer and self._outbox.statistics().queued_frames:
                self._queued_answers.append(item.frame)
            withheld.sent()
        self.withheld = None
        what = "a snapshot of" if is_due else "what was kept back, up to"
        self._tell_story(f"is brought up to date  → {what} revision {wire.session.stored.revision}")

    def _tell_story(self, text: str) -> None:
        story = None if self._wire is None else self._wire.session.story
        if story is not None:
            story.add("connection", f"{self._name} {text}")

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def __repr__(self) -> str:
        return f"<Backlog {self._outbox!r}, {0 if self.withheld is None else self.withheld.size} bytes kept back>"
