"""Python's garbage collector, tuned for a process full of sessions.

A session is some dozens of long-lived containers, and a message makes none that outlive it and no cycles. Collections
that look at all of them find nothing: with 500 sessions they were 3 to 4 of the 16 µs that one update costs without
the socket, and their share grows with the number of sessions (`tests/benchmarks/broadcast.py`). So what is there when
serving begins is left alone for good, and the rest is looked at less often.
"""

from __future__ import annotations

import gc

THRESHOLDS = (20_000, 20, 50)
"""Containers made and not freed before a young collection, and the older generations' multiples of it."""


def tune_collector() -> None:
    """For a process that only serves: call it once, when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
