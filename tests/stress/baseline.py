"""What the server holds at rest, before and after: tasks, sockets, descriptors, threads, its own objects, memory. Pure.

The figures come from the server itself; see `app/control/measures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IDLE_THREADS = 12
"""Worker threads that trio keeps for a while after they were used; they end by themselves."""


def check(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What has not come back; nothing is how it should be."""
    wrong: list[str] = []
    if after["tasks"] > before["tasks"]:
        wrong.append(f"{after['tasks'] - before['tasks']} tasks more: {_more(before, after, 'task_names')}")
    wrong += [
        f"{after[name] - before[name]} {name} more than {before[name]}"
        for name in ("sockets", "descriptors", "garbage")
        if after[name] > before[name]
    ]
    if after["threads"] > before["threads"] + IDLE_THREADS:
        wrong.append(f"{after['threads']} threads, and {before['threads']} before")
    if more := _more(before, after, "objects"):
        wrong.append(f"objects that nothing should hold: {more}")
    wrong += [
        f"{after[name]} {name} of the work app, and {before[name]} before"
        for name in ("sessions", "connections", "producers")
        if after[name] > before[name]
    ]
    if after["alive"]:
        wrong.append(f"background tasks go on: {after['alive']}")
    return wrong


def _more(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> str:
    """What there is more of, by kind."""
    return ", ".join(
        f"{kind} +{count - before[name].get(kind, 0)}"
        for kind, count in sorted(after[name].items())
        if count > before[name].get(kind, 0)
    )


def slope(points: list[tuple[float, float]]) -> float:
    """The rise per unit of the straight line that is nearest to these points."""
    count = len(points)
    if count < 2:
        return 0.0
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
