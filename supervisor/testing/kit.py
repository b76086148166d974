"""What a test has of one block of `supervise` beside its server: time, faults, and what has failed or is left."""

from __future__ import annotations

import traceback
from typing import final

import attrs

from supervisor.application.source import is_own
from supervisor.instruments import Incident
from supervisor.testing.checks import Checks, Left
from supervisor.testing.clock import Clock
from supervisor.testing.faults import Faults
from supervisor.testing.incidents import Incidents
from supervisor.testing.stories import StoryBook
from supervisor.transport.reports import OUTSIDE

MAX_NOTES = 10
"""Failures of the app that are told with one of the test: a periodic callback may have failed a thousand times."""


@final
@attrs.frozen(kw_only=True, eq=False)
class Kit:
    """The parts know nothing of each other, but that the checks look at what was seen."""

    seen: Incidents = attrs.field(factory=Incidents)
    clock: Clock = attrs.field(factory=Clock)
    faults: Faults = attrs.field(factory=Faults)
    checks: Checks = attrs.field(default=attrs.Factory(lambda self: Checks(None, self.seen), takes_self=True))
    stories: StoryBook = attrs.field(factory=StoryBook)

    def verdict(self, failure: BaseException | None, left: Left | None) -> BaseException | None:
        """What the block raises in the end, if anything.

        A test's own failure comes first, and has all else as notes; then what failed in the app and nobody heard of;
        then what the app has left behind.
        """
        if failure is not None:
            return self._with_notes(failure, left)
        errors = [_with_note(incident) for incident in self.checks.unheard()]
        verdict: BaseException | None = left
        if errors:
            parts = errors if left is None else [*errors, left]
            verdict = BaseExceptionGroup("the app failed while the test ran", parts)
        if verdict is not None:
            self.stories.tell(verdict, self.seen.incidents)
        return verdict

    def _with_notes(self, failure: BaseException, left: Left | None) -> BaseException:
        incidents = self.seen.incidents
        for incident in incidents[:MAX_NOTES]:
            failure.add_note(f"{_where(incident)} failed meanwhile: {incident.error!r}{_line(incident.error)}")
        if len(incidents) > MAX_NOTES:
            failure.add_note(f"and {len(incidents) - MAX_NOTES} failures more: see app.incidents")
        if left is not None:
            failure.add_note(f"Beside that, {left}")
        return failure


def _with_note(incident: Incident) -> BaseException:
    incident.error.add_note(f"in {_where(incident)}")
    return incident.error


def _where(incident: Incident) -> str:
    what = f"the test, or other {OUTSIDE}" if incident.what == OUTSIDE else incident.what
    session = "" if incident.session == "-" else f", session {incident.session}"
    return f"{what}{session}, incident {incident.id}"


def _line(error: BaseException) -> str:
    """Where the app's code raised it: ", in on_quote, line 12 of /srv/ticker/main.py"; nothing if it did not."""
    lines = [
        f", in {frame.f_code.co_qualname}, line {number} of {frame.f_code.co_filename}"
        for frame, number in traceback.walk_tb(error.__traceback__)
        if is_own(frame.f_code.co_filename)
    ]
    return lines[-1] if lines else ""
