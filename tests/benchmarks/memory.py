"""What an idle session costs in memory, and an idle connection: growth of the server process, by the thousand.

    python tests/benchmarks/memory.py             10,000 sessions, then 10,000 with a websocket each
    python tests/benchmarks/memory.py --where     and which lines of code have allocated it, which takes longer

What is printed is the growth of the process (RSS) after a collection, and what of it Python's own allocator counts. A
session has a small document, and nobody ever attached to it; a connection is a websocket over a loopback socket to a
session of its own, whose page was opened, and which is idle. The clients are another process.
"""

import argparse
import gc
import os
import socket
import sys
import time
import tracemalloc
from pathlib import Path

import trio
from broadcast import attach

from supervisor import Application, ApplicationOptions, Server, ServerOptions
from supervisor.application.handlers import NamespaceHandler
from supervisor.session.request import Request
from supervisor.transport.listener import open_listeners
from supervisor.transport.websocket_options import WebSocketOptions

WARM_UP = 200
LINES = 25


def modify_document(doc):
    doc.data["prices"] = {"ACME": -1}


def resident():
    """Bytes of the process in memory, once what can be freed is freed."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def allocated():
    """Blocks that Python's allocator has given out."""
    return sys.getallocatedblocks()


class Growth:
    """From when it is made."""

    def __init__(self, where):
        self._where = where
        self._resident, self._blocks = resident(), allocated()
        self._lines = tracemalloc.take_snapshot() if where else None

    def tell(self, what, count):
        grown = resident() - self._resident
        blocks = allocated() - self._blocks
        print(f"{count:,} {what}: {grown / count / 1024:.1f} KiB each, {blocks / count:.0f} blocks", flush=True)
        if self._where:
            lines = tracemalloc.take_snapshot().compare_to(self._lines, "lineno")
            for line in lines[:LINES]:
                frame = line.traceback[0]
                where = "/".join(frame.filename.split("/")[-2:])
                print(f"  {line.size_diff / count:7.0f} bytes, {line.count_diff / count:5.1f}: {where}:{frame.lineno}")


def run_clients(port, count):
    """The other process: it attaches, then only says now and then that it is there, until it is killed."""
    kept, said_at = [], time.monotonic()
    while True:
        if len(kept) < count:
            kept.append(socket.create_connection(("127.0.0.1", port)))
            attach(kept[-1], port)
        else:
            time.sleep(1)
        if time.monotonic() - said_at > 20:
            said_at = time.monotonic()
            for one in kept:
                one.sendall(b"\x8a\x80\0\0\0\0")  # a pong that nobody has asked for


async def serve(count, where):
    application = ApplicationOptions(max_sessions=10 * count + 1000, first_attach=3600, linger=3600)
    websocket = WebSocketOptions(ping_interval=45)
    options = ServerOptions(application=application, websocket=websocket, stall_limit=0)
    server = Server([Application(NamespaceHandler(globals(), where="benchmark"), name="bench")], options=options)
    actor = server.applications["bench"]
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)

        async def open_sessions(what, number):
            for each in range(number):
                await actor.open_session(f"{what}-{each}", Request())

        async def connect(number):
            command = [sys.executable, __file__, "--port", str(port), "--sessions", str(number)]
            clients = await trio.lowlevel.open_process(command)
            expected = number + sum(len(one.connections) for one in actor.context.sessions)
            while sum(len(one.connections) for one in actor.context.sessions) < expected:  # noqa: ASYNC110 (set-up only)
                await trio.sleep(0.2)
            await trio.sleep(1.5)  # until what is kept for a moment has gone
            return clients

        await open_sessions("warm", WARM_UP)
        growth = Growth(where)
        await open_sessions("idle", count)
        growth.tell("idle sessions", count)
        warm = await connect(WARM_UP)
        growth = Growth(where)
        clients = await connect(count)
        growth.tell("idle sessions with a connection", count)
        for each in (warm, clients):
            each.kill()
            await each.wait()
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--where", action="store_true")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.port:
        run_clients(options.port, options.sessions)
        return
    if options.where:
        tracemalloc.start()
    trio.run(serve, options.sessions, options.where)


if __name__ == "__main__":
    main()
