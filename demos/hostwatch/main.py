"""A session's part: its document has the metrics that this visitor chose, and their last half minute.

    {"chosen": ["cpu"], "points": {"cpu": [[12.25, 3.1], …]}, "notes": {"cpu": "load average 0.31"},
     "metrics": {"cpu": {"title": "Processor", "unit": "%", "series": ["Busy"]}, …}, "seconds": 30, "host": "…"}

A point is a time and one number for each of the metric's series; the last point is what is now.
"""

from __future__ import annotations

import platform

import attrs

from supervisor import Document, Rejected, receives

from .machine import HISTORY, INTERVAL, METRICS, Sample, recent

AT_FIRST = "cpu,cores,memory,network"


@attrs.frozen
class Choose:
    """A visitor wants to see a metric, or no longer."""

    metric: str
    shown: bool


def modify_document(doc: Document) -> None:
    # What a page's address asks for is untrusted: of /hostwatch?show=cpu,nonsense only what we know counts.
    asked = doc.session_context.request.arguments.get("show", (AT_FIRST,))[0].split(",")
    doc.data = {
        "host": platform.node(),
        "seconds": HISTORY * INTERVAL,
        "metrics": {name: attrs.asdict(metric) for name, metric in METRICS.items()},
        "chosen": [],
        "points": {},
        "notes": {},
    }
    for metric in METRICS:
        if metric in asked:
            show(doc, metric)


@receives(Choose, from_client=True)  # its fields are validated before we see it: a str and a bool, nothing else
def on_choose(doc: Document, choose: Choose) -> None:
    if choose.metric not in METRICS:
        raise Rejected(f"There is no such metric. There are {', '.join(METRICS)}.")  # to the page, which shows it
    if choose.shown and choose.metric not in doc.data["chosen"]:
        show(doc, choose.metric)
    elif not choose.shown and choose.metric in doc.data["chosen"]:
        doc.data["chosen"].remove(choose.metric)
        del doc.data["points"][choose.metric]
        del doc.data["notes"][choose.metric]


def show(doc: Document, metric: str) -> None:
    chosen: list[str] = doc.data["chosen"]
    chosen.append(metric)
    chosen.sort(key=list(METRICS).index)
    doc.data["points"][metric] = [point(sample, metric) for sample in recent]
    doc.data["notes"][metric] = recent[-1].notes[metric] if recent else ""


@receives(Sample)  # from the producer only: no from_client
def on_sample(doc: Document, sample: Sample) -> None:
    for metric in doc.data["chosen"]:
        points: list[list[float]] = doc.data["points"][metric]
        # A sample that waited in the mailbox while show() read `recent` is there already.
        if points and points[-1][0] >= sample.time:
            continue
        # What browsers get of this is one point more and one less, not the list.
        points.append(point(sample, metric))
        if len(points) > HISTORY:
            del points[0]
        doc.data["notes"][metric] = sample.notes[metric]  # sent only if it is another than before


def point(sample: Sample, metric: str) -> list[float]:
    return [sample.time, *sample.values[metric]]
