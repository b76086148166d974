"""What the watchdog costs: processor time of a turn of the loop with it and without, in the same process and in turns.

    python tests/benchmarks/watchdog.py [--seconds 5] [--tasks 1]

A turn in which one task does nothing is the worst case: it is the shortest there is. With more tasks in a turn, or any
work in one, the same cost is a smaller part.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time

import trio

from supervisor.actor.watchdog import Watchdog
from supervisor.instruments import Instruments
from supervisor.transport.places import STACKS

SLICE = 0.1
"""Seconds of each measurement, so that what else the machine does falls on both alike."""


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="in all")
    parser.add_argument("--tasks", type=int, default=1, help="in each turn")
    options = parser.parse_args()
    plain, watched = [], []
    until = time.perf_counter() + options.seconds
    while time.perf_counter() < until:
        plain.append(await seconds_per_turn(options.tasks))
        with Watchdog(0.1, stacks=STACKS, instruments=Instruments()).watching():
            watched.append(await seconds_per_turn(options.tasks))
    without, with_it = statistics.median(plain), statistics.median(watched)
    print(f"tasks in a turn      {options.tasks}")
    print(f"without              {without * 1e6:.2f} µs a turn")
    print(f"with                 {with_it * 1e6:.2f} µs a turn")
    print(f"ratio                {with_it / without:.3f}")


async def seconds_per_turn(tasks: int) -> float:
    turns = 0
    began = time.thread_time()
    until = time.perf_counter() + SLICE

    async def idle() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(tasks - 1):
            nursery.start_soon(idle)
        while time.perf_counter() < until:
            turns += 1
            await trio.lowlevel.checkpoint()
        took = time.thread_time() - began
        nursery.cancel_scope.cancel()
    return took / turns


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main)
