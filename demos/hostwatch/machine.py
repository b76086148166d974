"""What this machine is doing, as psutil tells it: one sample is a row of numbers for each metric."""

from __future__ import annotations

import os
from collections import deque

import attrs
import psutil

INTERVAL = 0.25
"""Seconds from one sample to the next."""
HISTORY = 120
"""So many samples are remembered: half a minute."""


@attrs.frozen
class Metric:
    title: str
    unit: str
    """`%`, with 100 as its top, or `B/s`, which has none."""
    series: list[str]
    """The names of a row's numbers."""


CORES = psutil.cpu_count() or 1
METRICS = {
    "cpu": Metric("Processor", "%", ["Busy"]),
    "cores": Metric("Cores", "%", [f"Core {number}" for number in range(1, CORES + 1)]),
    "memory": Metric("Memory", "%", ["Used"]),
    "disk": Metric("Disk", "B/s", ["Read", "Written"]),
    "network": Metric("Network", "B/s", ["Received", "Sent"]),
}


@attrs.frozen
class Sample:
    """One moment of the machine. Every session gets this very object, so nobody may change it."""

    time: float
    values: dict[str, list[float]]
    """A row of numbers for each of METRICS."""
    notes: dict[str, str]
    """A few words for each of them."""


# The samples of the last half minute, so that who comes sees at once what has been. The producer in lifecycle.py writes
# it and sessions read it. That needs no lock: all of them run in one thread, and nobody awaits while at it.
recent: deque[Sample] = deque(maxlen=HISTORY)


class Machine:
    """Reads psutil, and makes rates of counters. One producer owns it."""

    def __init__(self) -> None:
        self._before: tuple[float, dict[str, list[float]]] | None = None
        psutil.cpu_percent(percpu=True)  # the first call has nothing to compare with, and says 0

    def read(self, time: float) -> Sample:
        """The sample of now. Takes about 0.2 ms, few enough to do it here; what blocks longer belongs in a thread."""
        cores = psutil.cpu_percent(percpu=True)
        memory = psutil.virtual_memory()
        root = psutil.disk_usage(os.path.abspath(os.sep))
        counters = _counters()
        values = {
            "cpu": [round(sum(cores) / len(cores), 1)],
            "cores": (cores + [0.0] * CORES)[:CORES],  # cores can be switched off and on
            "memory": [memory.percent],
            **self._rates(time, counters),
        }
        notes = {
            "cpu": f"load average {psutil.getloadavg()[0]:.2f}",
            "cores": f"{len(cores)} of them",
            "memory": f"{_size(memory.total - memory.available)} of {_size(memory.total)}",
            "disk": f"{_size(root.used)} of {_size(root.total)} full",
            "network": "all interfaces",
        }
        return Sample(time, values, notes)

    def _rates(self, time: float, counters: dict[str, list[float]]) -> dict[str, list[float]]:
        before_time, before = self._before or (time, counters)
        self._before = (time, counters)
        seconds = max(time - before_time, 0.001)
        return {
            # A counter that went back began anew: a disk or a network card was taken out.
            metric: [max(round((now - then) / seconds), 0) for now, then in zip(counts, before[metric], strict=True)]
            for metric, counts in counters.items()
        }


def _counters() -> dict[str, list[float]]:
    disk = psutil.disk_io_counters()  # None on a machine without disks, as some containers are
    network = psutil.net_io_counters()
    return {
        "disk": [disk.read_bytes, disk.write_bytes] if disk else [0, 0],
        "network": [network.bytes_recv, network.bytes_sent] if network else [0, 0],
    }


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB"
