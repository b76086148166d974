"""What follows the failures of one session: its application's policy, its own budget, and each decision in words. Pure.

Rule: what is due is the strongest directive of all failures since the last one was carried out: escalate, stop,
restart, resume, in that order. So failures that come together cost one restart between them, and a failure during a
restart is covered by it. The budget is charged at the decision, so that the report of a failure can say which of how
many restarts this is.

A session that is finishing is not restarted, but ends: its new document would be thrown away at once. OTP's supervisors
do the same while they shut down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import attrs

from supervisor.actor.restart import Directive, FailurePolicy, RestartBudget

_STRENGTH: dict[Directive, int] = {"resume": 0, "restart": 1, "stop": 2, "escalate": 3}
_DONE: dict[Directive, str] = {"resume": "resumed", "stop": "stopped", "escalate": "escalated"}


@final
@attrs.frozen(kw_only=True, eq=False)
class Decision:
    """What is to follow a failure."""

    directive: Directive
    words: str
    """For reports: "restarted 2 of 3 within 60 s"."""
    pause: float = 0.0
    """Seconds before a restart."""


ENDING = "the session ends"
"""The decision, in words, on a failure of a session that ends already, or ends instead of a restart."""
RESUMED = Decision(directive="resume", words=_DONE["resume"])


@final
class Decider:
    """Decides for one session (Pekko's word).

    Args:
        policy: the application's
        by_type: the types of messages that have a directive of their own
    """

    __slots__ = ("_budget", "_by_type", "_in_a_row", "_last", "_policy", "due", "is_finishing")

    def __init__(self, policy: FailurePolicy, by_type: Mapping[type, Directive]) -> None:
        self._policy = policy
        self._by_type = by_type
        # Made with the first restart: most sessions have none.
        self._budget: RestartBudget | None = None
        # When a restart was decided last, and how many there were in a row, with less than the period between them.
        self._last: float | None = None
        self._in_a_row = 0
        self.due: Decision | None = None
        """What was decided and is yet to be carried out; None: nothing, or only to resume."""
        self.is_finishing = False
        """Whether the session takes nothing more: what would restart it ends it."""

    @property
    def may_restart(self) -> bool:
        """Whether any failure can lead to a restart."""
        return self._policy.directive == "restart" or "restart" in self._by_type.values()

    def decide(self, message_type: type | None, *, now: float, chance: float) -> Decision:
        """Something failed: a handler of this type of message, or else something that is of no type (None).

        `now` is in seconds and never falls; `chance` is a random number from 0 to 1.
        """
        wanted = self._policy.directive
        if message_type is not None:
            wanted = self._by_type.get(message_type, wanted)
        return self._weigh(wanted, now, chance)

    def restart_failed(self, *, now: float, chance: float) -> Decision:
        """The restart that was due has failed itself, which is one more failure: to resume is impossible then."""
        self.due = None
        wanted = self._policy.directive
        return self._weigh("restart" if wanted == "resume" else wanted, now, chance)

    def carried_out(self, decision: Decision) -> None:
        """This was done; if something stronger has become due meanwhile, that is due still."""
        if self.due is decision:
            self.due = None

    def _weigh(self, wanted: Directive, now: float, chance: float) -> Decision:
        if wanted == "resume":
            return RESUMED
        if self.due is not None and _STRENGTH[self.due.directive] >= _STRENGTH[wanted]:
            return self.due
        self.due = self._restart(now, chance) if wanted == "restart" else _decision(wanted)
        return self.due

    def _restart(self, now: float, chance: float) -> Decision:
        policy = self._policy
        if self.is_finishing:
            return Decision(directive="restart", words=ENDING)
        if self._budget is None:
            self._budget = RestartBudget(max_restarts=policy.max_restarts, within=policy.within)
        if not self._budget.spend(now):
            return _decision(policy.beyond, f" after {policy.max_restarts} restarts within {policy.within:g} s")
        is_near = self._last is not None and now - self._last < policy.within
        self._in_a_row = self._in_a_row + 1 if is_near else 1
        self._last = now
        return Decision(
            directive="restart",
            words=f"restarted {self._budget.spent(now)} of {policy.max_restarts} within {policy.within:g} s",
            pause=policy.backoff.delay(self._in_a_row, chance=chance),
        )

    def __repr__(self) -> str:
        return f"<Decider {self._policy.directive}, due: {self.due and self.due.directive}>"


def _decision(directive: Directive, why: str = "") -> Decision:
    return Decision(directive=directive, words=_DONE[directive] + why)
