"""Whether one client is still there: it is pinged now and then, and whatever comes back is a sign of life.

Essay: what counts as silence. Not a missing pong alone, since a client that sends anything is there. And silence counts
only while we read: the library may not be reading, because what it has read waits for the session, or for its turn
under the client's rate, and then the pong may be in the socket. No ping is sent behind a backlog: it would come too
late to tell anything, and nothing would bound the number of pings. The client has its `slow_timeout` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import trio

from supervisor.actor.timers import Alarm, TimerQueue
from supervisor.protocol.messages import Alive, encode
from supervisor.transport.frames import ping_frame, text_frame
from supervisor.transport.outbox import Outbox

# Pages can't see pings, and a line that is dead without a word would look live to them for ever.
_PING = ping_frame() + text_frame(encode(Alive()))


@final
class Heartbeat:
    """The pings of one connection, from `begin` to `end`.

    Args:
        outbox: the connection's, which knows when something came.
        interval: seconds between two pings.
        pong_timeout: seconds for a sign of life after one; None until the next one.
        on_backlog: a plain function, called in place of a ping when something is queued.
        on_silence: a plain function, called when the client is not there any more; then there are no more pings.
    """

    __slots__ = (
        "_alarm",
        "_interval",
        "_on_backlog",
        "_on_silence",
        "_outbox",
        "_pinged_at",
        "_pong_timeout",
        "_timers",
    )

    def __init__(
        self,
        outbox: Outbox,
        *,
        interval: float,
        pong_timeout: float | None,
        on_backlog: Callable[[], None],
        on_silence: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._interval = interval
        self._pong_timeout = pong_timeout
        self._on_backlog = on_backlog
        self._on_silence = on_silence
        self._timers: TimerQueue | None = None
        self._alarm: Alarm | None = None
        # When the last ping was sent; None if a backlog has hidden it.
        self._pinged_at: float | None = None

    def begin(self, timers: TimerQueue) -> None:
        """Send the first ping after one interval."""
        self._timers = timers
        self._ring_after(self._interval, self._ping)

    def end(self) -> None:
        """Send no more pings; may be called again."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ping(self) -> None:
        if self._outbox.close_was_sent:  # nothing may follow it, and it has its own deadline
            return
        if self._outbox.statistics().queued_frames:
            self._pinged_at = None
            self._on_backlog()
        elif self._is_silent():
            self._on_silence()
            return
        else:
            self._pinged_at = trio.current_time()
            self._outbox.push_urgent(_PING)
            if self._pong_timeout is not None:
                self._ring_after(self._pong_timeout, self._listen)
                return
        self._ring_after(self._interval, self._ping)

    def _listen(self) -> None:
        """`pong_timeout` after a ping: as `_ping` does without one, and wait for the next."""
        assert self._pong_timeout is not None
        if self._is_silent() and not self._outbox.statistics().queued_frames:
            self._on_silence()
            return
        self._ring_after(max(0.0, self._interval - self._pong_timeout), self._ping)

    def _is_silent(self) -> bool:
        """Whether nothing came since the last ping, and all the time something could."""
        pinged_at, outbox = self._pinged_at, self._outbox
        return pinged_at is not None and outbox.received_at < pinged_at and outbox.receiving_since <= pinged_at

    def _ring_after(self, seconds: float, ring: Callable[[], None]) -> None:
        assert self._timers is not None
        self._alarm = self._timers.call_after(seconds, ring)
