"""What follows a failure: who goes on, who starts again and after how long, and when to give up. Pure.

The terms are OTP's and Pekko's. OTP counts the restarts of all children of a supervisor together, so that a few bad
children use up the budget of the good ones. Here each supervised thing has its own budget.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, final

import attrs

from supervisor.limits import count, number, one_of, seconds

Directive = Literal["resume", "restart", "stop", "escalate"]
"""What becomes of a session whose handler failed (Pekko's `SupervisorStrategy`): it goes on from the document before
the message; it starts again with a new document; it ends; the whole application ends."""

RestartKind = Literal["permanent", "transient", "temporary"]
"""When what has ended is called again (OTP's child specifications): always; only if it failed; never."""


@final
@attrs.frozen(kw_only=True)
class Backoff:
    """Growing pauses between tries, in seconds: `first`, then `factor` times as long each time, up to `longest`.

    Raises `ValueError` or `TypeError` for what can't be.
    """

    first: float = attrs.field(default=0.5, validator=seconds())
    """The first pause; 0 for none."""
    longest: float = attrs.field(default=60.0, validator=seconds())
    """The longest pause, at least `first`."""
    factor: float = attrs.field(default=2.0, validator=number(1))
    """By how much each pause is longer than the one before."""
    jitter: float = attrs.field(default=0.1, validator=number(0, 1))
    """The share of a pause by which chance makes it longer or shorter, so that what failed together doesn't come back
    together: 0.1 for up to a tenth."""

    def __attrs_post_init__(self) -> None:
        if self.longest < self.first:  # else every pause would be `longest`, whatever `first` says
            raise ValueError(f"longest must be at least first, which is {self.first:g} s, not {self.longest:g}")

    def delay(self, failures: int, *, chance: float) -> float:
        """The pause after so many failures in a row, at least one; `chance` is a random number from 0 to 1."""
        try:
            pause = min(self.first * self.factor ** (failures - 1), self.longest)
        except OverflowError:
            pause = self.longest if self.first else 0.0
        return pause * (1 + self.jitter * (2 * chance - 1))


@final
class RestartBudget:
    """How many restarts are allowed within how long (OTP's intensity and period), and how many there were lately.

    Args:
        max_restarts: restarts within the period; None for any number.
        within: the period in seconds.
    """

    __slots__ = ("_max_restarts", "_times", "_within")

    def __init__(self, *, max_restarts: int | None, within: float) -> None:
        self._max_restarts = max_restarts
        self._within = within
        # Of the last restarts, at most as many as are allowed: nothing grows, however long this lives.
        self._times: deque[float] = deque(maxlen=max_restarts or 1)

    def spend(self, now: float) -> bool:
        """Ask for one restart; False if it would be one too many. `now` is in seconds, and never falls."""
        if self._max_restarts is None:
            return True
        self._forget(now)
        if len(self._times) >= self._max_restarts:
            return False
        self._times.append(now)
        return True

    def spent(self, now: float) -> int:
        """Restarts within the period that ends now; of a budget without a bound always 0."""
        self._forget(now)
        return len(self._times)

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] >= self._within:
            self._times.popleft()

    def __repr__(self) -> str:
        bound = "any number" if self._max_restarts is None else self._max_restarts
        return f"<RestartBudget {bound} within {self._within:g} s>"


@final
@attrs.frozen(kw_only=True)
class FailurePolicy:
    """What follows when a session's handler or callback fails.

    Only restarts count towards the intensity. Each session has its own: one session's failures use up nobody else's.
    Raises `ValueError` or `TypeError` for an impossible value.
    """

    directive: Directive = "resume"
    """The application's default; `@receives(Quote, on_failure="restart")` sets another one for a type of message."""
    max_restarts: int = attrs.field(default=3, validator=count(0))
    """How many restarts of one session are allowed within `within` seconds; the next one is too many."""
    within: float = attrs.field(default=60.0, validator=seconds(zero=False, endless=True))
    """The period in which restarts are counted, in seconds."""
    beyond: Literal["stop", "escalate"] = attrs.field(default="stop", validator=one_of("stop", "escalate"))
    """What becomes of a session that would need one restart too many."""
    backoff: Backoff = Backoff(first=0.1, longest=10.0)
    """The pause before each restart; from `first` again when the session has had no restart for `within` seconds."""

    def __attrs_post_init__(self) -> None:
        check_directive(self.directive)
        check_backoff(self.backoff)


def check_directive(value: object) -> None:
    """Raise `ValueError` for an unknown word, which else would be taken for the weakest."""
    if value not in ("resume", "restart", "stop", "escalate"):
        raise ValueError(f"a failed handler's directive must be resume, restart, stop or escalate, not {value!r}")


def check_backoff(value: object) -> None:
    """Raise `TypeError` for what is no `Backoff`."""
    if not isinstance(value, Backoff):
        raise TypeError(f"backoff must be a Backoff, as in Backoff(first=1.0, longest=30.0), not {value!r}")


def check_restart_kind(value: object) -> None:
    """Raise `ValueError` for an unknown word."""
    if value not in ("permanent", "transient", "temporary"):
        raise ValueError(f"restart must be permanent, transient or temporary, not {value!r}")


def is_called_again(kind: RestartKind, *, failed: bool) -> bool:
    """Whether what has ended is to be called again, if its budget allows."""
    return kind == "permanent" or (kind == "transient" and failed)
