"""A program that serves the counter; its wall clock is 10 minutes ahead once there is the file that it is given."""

import pathlib
import signal
import sys
import time

import trio

from supervisor import Server

COUNTER = pathlib.Path(__file__).parent / "counter"


async def main(file, port):
    def now():
        return time.time() + (600 if pathlib.Path(file).exists() else 0)

    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with Server(COUNTER, port=port, wall_clock=now) as server:
            sys.stdout.write(f"{server.urls['counter']} is served\n")
            sys.stdout.flush()
            await anext(signals)


trio.run(main, sys.argv[1], int(sys.argv[3]))
