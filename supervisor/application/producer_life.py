"""The life of a producer: when it is called, when it is called again, and when it has failed for good. Pure.

    waiting ──called──► running ──ended, to be called again──► backing off
                         │  ▲                                      │
                         │  └───────────────called─────────────────┘
                         ├──returned, and that was all──► done
                         └──failed for good──► failed

A producer has failed for good if it raises and is temporary, or if it needs a restart and its budget is used up. Unless
it is done, it can be removed: in the state failed too, which is how an app says that it has dealt with the failure.
"""

from __future__ import annotations

from typing import Literal, final

from supervisor.actor.restart import (
    Backoff,
    RestartBudget,
    RestartKind,
    check_backoff,
    check_restart_kind,
    is_called_again,
)

ProducerState = Literal["waiting", "running", "backing off", "done", "failed", "removed"]
"""Waiting: for the load hooks. Running: called, and not back yet. Backing off: it is called again after a pause. Done:
it returned. Failed: for good. Removed: by the app, or by its end."""


@final
class ProducerLife:
    """The state of one producer. Times are in seconds, and never fall.

    Args:
        restart: when it is called again: see `RestartKind`.
        max_restarts: restarts within `within` seconds; the next one is too many. None for any number.
        within: the period in which restarts are counted; and who has run that long begins with the first pause again.
        backoff: the pauses before restarts.

    Raises:
        TypeError: the backoff is no `Backoff`.
        ValueError: another one can't be.
    """

    def __init__(
        self,
        *,
        restart: RestartKind = "transient",
        max_restarts: int | None = None,
        within: float = 60.0,
        backoff: Backoff | None = None,
    ) -> None:
        check_restart_kind(restart)
        is_count = isinstance(max_restarts, int) and not isinstance(max_restarts, bool)
        if not (max_restarts is None or (is_count and max_restarts >= 0)):
            raise ValueError(f"max_restarts must be a whole number, at least 0, or None, not {max_restarts!r}")
        if not within > 0:
            raise ValueError(f"within must be a number of seconds above 0, not {within!r}")
        if backoff is not None:
            check_backoff(backoff)
        self.restart: RestartKind = restart
        self.state: ProducerState = "waiting"
        self.failures = 0
        """How often it has raised."""
        self.restarts = 0
        """How often it was, or is to be, called again."""
        self.next_call_at: float | None = None
        """When it is called again; None unless it backs off."""
        self._within = within
        self._backoff = backoff or Backoff()
        self._budget = RestartBudget(max_restarts=max_restarts, within=within)
        self._called_at = 0.0
        # Ends in a row, none of which came after a long run.
        self._ends = 0

    @property
    def is_over(self) -> bool:
        """Whether it is never called again."""
        return self.state in ("done", "failed", "removed")

    def call(self, now: float) -> None:
        """It is called now. It must wait, or back off."""
        assert self.state in ("waiting", "backing off"), self.state
        self.state, self._called_at, self.next_call_at = "running", now, None

    def end(self, now: float, *, failed: bool, chance: float) -> None:
        """It has come back, or raised; `chance` is a random number from 0 to 1. One that was removed stays so."""
        self.failures += failed
        if self.is_over:
            return
        assert self.state == "running", self.state
        if not is_called_again(self.restart, failed=failed):
            self.state = "failed" if failed else "done"
        elif not self._budget.spend(now):
            self.state = "failed"
        else:
            self._ends = 1 if now - self._called_at >= self._within else self._ends + 1
            self.state = "backing off"
            self.restarts += 1
            self.next_call_at = now + self._backoff.delay(self._ends, chance=chance)

    def decision(self, now: float) -> str:
        """What follows, in words, as incidents have it; empty when its own end, or its application's, came first."""
        if self.next_call_at is not None:
            return f"called again in {self.next_call_at - now:.2g} s"
        return "failed for good" if self.state == "failed" else ""

    def give_up(self) -> None:
        """It can't go on, by whatever nobody foresaw."""
        if not self.is_over:
            self.state, self.next_call_at = "failed", None

    def remove(self) -> None:
        """Nobody wants it any more. What is done stays so."""
        if self.state != "done":
            self.state, self.next_call_at = "removed", None

    def __repr__(self) -> str:
        return f"<ProducerLife {self.restart} {self.state} failures={self.failures} restarts={self.restarts}>"
