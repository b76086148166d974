"""An app that begins again when its handler fails, since what it remembers may be wrong then."""

import attrs

from supervisor import Backoff, FailurePolicy, receives

failure_policy = FailurePolicy(directive="restart", max_restarts=5, within=60, backoff=Backoff(first=0.5))


@attrs.frozen
class Reading:
    celsius: float


@attrs.frozen
class Note:
    text: str


def on_application_load(app_context):
    app_context.state.failures = []


def on_session_failed(session_context, error):
    session_context.application.state.failures.append(type(error).__name__)


def modify_document(doc):
    doc.data = {"readings": [], "average": None, "notes": []}


@receives(Reading)
def on_reading(doc, reading):
    doc.data["readings"].append(reading.celsius)
    doc.data["average"] = sum(doc.data["readings"]) / len(doc.data["readings"])
    if not -90 < reading.celsius < 60:
        raise RuntimeError(f"the sensor is broken: {reading.celsius} °C")


@receives(Note, from_client=True, on_failure="resume")
def on_note(doc, note):
    """A note that can't be taken is no reason to forget the readings."""
    doc.data["notes"].append(note.text.splitlines()[0])
