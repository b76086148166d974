from __future__ import annotations

import attrs
import pytest

from supervisor.protocol import events


def test_the_states_have_the_words_of_the_vectors():
    assert [status.value for status in events.Status] == ["connecting", "live", "restarting", "reconnecting", "ended"]


@pytest.mark.parametrize(
    "value",
    [
        events.Attached(resumed=True, revision=1),
        events.Snapshotted(),
        events.Patched(operations=()),
        events.Answered(ticket=1, value=None),
        events.Edited(ticket=1),
        events.Arrived(ticket=1),
        events.Refused(ticket=1, kind="unsent", text="x"),
        events.Closing(code=1012, reason="x", retry_after=None),
        events.Reconnect(after=1.0),
        events.Reload(code=4404, reason="x", settled=()),
        events.Ended(code=1000, reason="x", settled=()),
    ],
)
def test_events_and_decisions_are_values(value):
    assert attrs.evolve(value) == value
