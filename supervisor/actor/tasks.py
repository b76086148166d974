"""The tree of tasks, and where each of them waits."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType
from typing import Any

import trio


def all_tasks(root: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """The task and all below it, each before its children. Elsewhere, the loop had better not turn meanwhile."""
    waiting = [root]
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in list(task.child_nurseries):
            waiting.extend(nursery.child_tasks)


def frames_of(task: trio.lowlevel.Task) -> Iterator[FrameType]:
    """The frames of a task that waits, the outermost first."""
    coroutine: Any = task.coro
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
