"""How the sessions of an application end that shuts down: in batches, so that clients don't leave all at once.

Pure. Like Phoenix's `PoolDrainer`: a number of connections at once, then a pause. Sessions that nobody is attached to
affect no client, and end with the first batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

SPREAD = 0.5
"""The share of the time for finishing that may go by until the last batch begins: the rest is for that one."""


def in_batches(sizes: Iterable[tuple[T, int]], size: int) -> list[list[T]]:
    """Cut sessions, each given with the number of its connections, into batches of at most `size` connections.

    A session with more is a batch of its own. There is always a first batch, which may be empty.
    """
    batches: list[list[T]] = [[]]
    room = size
    waiting: list[tuple[T, int]] = []
    for session, connections in sizes:
        if connections:
            waiting.append((session, connections))
        else:
            batches[0].append(session)
    for session, connections in waiting:
        if connections > room and room < size:
            batches.append([])
            room = size
        batches[-1].append(session)
        room -= connections
    return batches


def pause_between(batches: int, *, interval: float, within: float) -> float:
    """Seconds from one batch to the next: the interval, or less where there are too many batches for `within` seconds.

    >>> pause_between(10, interval=0.25, within=14.0)
    0.25
    >>> pause_between(101, interval=0.25, within=14.0)
    0.07
    """
    if batches < 2:
        return 0.0
    return max(0.0, min(interval, within * SPREAD / (batches - 1)))
