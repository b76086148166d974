"""How fast one client's messages are accepted: a token bucket. Pure.

Essay: a client that sends too fast waits, and is closed only as a last resort. What it sends faster than the rate stays
in its socket, as when its session has no room. So a person who drags something across the screen, and a program that
fills in a thousand rows, lose nothing and needn't know; and a client that floods costs no more than the rate. Closing
at once would make the program reconnect a dozen times. A client that goes on for a minute isn't dragging any more: it
is closed, and comes back after a pause. It then begins with a full bucket, which has room for everything that it may
have to send again.
"""

from __future__ import annotations

from typing import final


@final
class Pace:
    """One client's messages against a rate. All times in seconds, by one clock that never falls.

    Args:
        rate: messages a second.
        burst: messages that may come at once, after a pause long enough.
        now: the time; the bucket is full then.
    """

    __slots__ = ("_at", "_burst", "_level", "_rate", "_too_fast_since")

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        # Messages that may be taken at once, as of `_at`; below zero while one waits that was taken already.
        self._level = float(burst)
        self._at = now
        # Since when the bucket has not been half full again; None if it never was empty since.
        self._too_fast_since: float | None = None

    def take(self, now: float) -> float:
        """Take one message; returns the seconds that must pass before it may be handled, mostly 0."""
        level = self._level + (now - self._at) * self._rate
        if level > self._burst:
            level = float(self._burst)
        self._at = now
        self._level = level - 1
        if self._too_fast_since is not None and level * 2 >= self._burst:
            self._too_fast_since = None
        if level >= 1:
            return 0.0
        if self._too_fast_since is None:
            self._too_fast_since = now
        return (1 - level) / self._rate

    def too_fast_for(self, now: float) -> float:
        """For how long the client has been too fast without a break; 0 if it isn't."""
        return 0.0 if self._too_fast_since is None else now - self._too_fast_since

    def __repr__(self) -> str:
        return f"<Pace {self._rate:g} a second, {self._level:.1f} of {self._burst} left>"
