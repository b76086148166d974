"""The presence of one scope: its watchers get what its roster says, soon and not too often."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, final

import trio

from supervisor.actor.timers import Alarm, TimerQueue
from supervisor.protocol.messages import Scope
from supervisor.protocol.presence import Attendant, Roster, encode_nobody
from supervisor.transport.frames import text_frame

PERIOD = 0.05
"""Seconds between two times that watchers are told: a person doesn't see sooner, and a crowd that moves its cursors
costs twenty frames a second for each watcher, not the square of itself."""
CROWD = 1_000
"""Watchers above which they are told more seldom, so that all together get 20,000 frames a second at most. A frame
costs 6 to 10 µs, so one client that moves its cursor before 5,000 others would else take most of the server's time."""


class Watcher(Protocol):
    """Who is told."""

    def show(self, frame: bytes) -> None:
        """Send a presence. If it is left out, none that follows may be sent before `PresenceRoom.watch` tells all."""


@final
class PresenceRoom:
    """Who is in one session, or in one application, and who wants to know. While nobody does, it only keeps the list.

    Everything is synchronous and belongs to trio's thread. What it holds is bounded by the connections that there are,
    and by those that came and went within one period.
    """

    __slots__ = ("_alarm", "_newcomers", "_roster", "_timers", "_told_at", "_watchers")

    def __init__(self, scope: Scope, timers: TimerQueue) -> None:
        self._roster = Roster(scope)
        self._timers = timers
        # Those that know what the roster has told, and those that wait for all of it.
        self._watchers: dict[Watcher, None] = {}
        self._newcomers: dict[Watcher, None] = {}
        self._told_at = -math.inf
        self._alarm: Alarm | None = None

    def find(self, peer: str) -> Attendant | None:
        """See `Roster.find`."""
        return self._roster.find(peer)

    def put(self, attendant: Attendant) -> None:
        """See `Roster.put`."""
        if self._roster.put(attendant):
            self._tell_at(trio.current_time() + self._period)

    def remove(self, attendant: Attendant) -> None:
        """See `Roster.remove`; one that isn't here is no error."""
        if self._roster.remove(attendant):
            self._tell_at(trio.current_time() + self._period)

    def watch(self, watcher: Watcher) -> None:
        """Tell who is there, at once if nobody was told anything just now, then what changes. May be called again."""
        if not self._watchers and not self._newcomers:
            self._roster.begin()
        self._watchers.pop(watcher, None)
        self._newcomers[watcher] = None
        at = self._told_at + self._period
        if trio.current_time() >= at:
            self._tell()
        else:
            self._tell_at(at)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it nothing more; one that didn't watch is no error."""
        self._watchers.pop(watcher, None)
        self._newcomers.pop(watcher, None)
        if not self._watchers and not self._newcomers:
            self._roster.end()
            self._silence()

    @property
    def _period(self) -> float:
        return PERIOD * max(1.0, len(self._watchers) / CROWD)

    def _tell_at(self, at: float) -> None:
        if self._alarm is None or self._alarm.at > at:
            self._silence()
            self._alarm = self._timers.call_at(at, self._tell)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _tell(self) -> None:
        self._silence()
        self._told_at = trio.current_time()
        # A watcher may leave, or ask to be told anew, from inside of `show`.
        watchers, newcomers, self._newcomers = tuple(self._watchers), self._newcomers, {}
        self._watchers.update(newcomers)
        difference = self._roster.tell()
        everybody = text_frame(self._roster.everybody()) if newcomers else b""
        if difference is not None:
            frame = text_frame(difference)
            for watcher in watchers:
                watcher.show(frame)
        for watcher in newcomers:
            watcher.show(everybody)

    def __repr__(self) -> str:
        return f"<PresenceRoom {self._roster!r}, {len(self._watchers) + len(self._newcomers)} watch>"


@final
class Watching:
    """One connection's watch over one scope. If the connection has no room, it is told all once it has.

    Args:
        tell: sends a frame, or returns False if there is no room for it.
        room: None where presence isn't shared: then nobody is there, as far as the client is told.
    """

    __slots__ = ("_missed", "_scope", "_tell", "room")

    def __init__(self, tell: Callable[[bytes], bool], scope: Scope, room: PresenceRoom | None) -> None:
        self._tell = tell
        self._scope: Scope = scope
        self.room = room
        """See the class."""
        self._missed = False

    def begin(self) -> None:
        """Have it told who is there, and from then on what changes."""
        self._missed = False
        if self.room is None:
            self.show(text_frame(encode_nobody(self._scope)))
        else:
            self.room.watch(self)

    def show(self, frame: bytes) -> None:
        """See `Watcher.show`."""
        if not self._tell(frame):
            self.end()
            self._missed = True

    def drained(self) -> None:
        """The connection has room again."""
        if self._missed:
            self.begin()

    def end(self) -> None:
        """Have it told nothing more."""
        if self.room is not None:
            self.room.unwatch(self)
