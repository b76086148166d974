"""What a client that reads costs while others don't: the latency of a patch, with and without stalled neighbours.

    python tests/benchmarks/neighbours.py

One application, real loopback sockets, two processes. Thirty clients, each with its own session, are told a tick of
some 2 kB thirty times a second by a broadcast. In every other round ten of them never read: their sockets' buffers and
queues fill, their patches are merged, dropped and told anew, all the time. The latency of a tick is from its sending
until one of the other twenty has read it, by the clock that both processes share. Rounds of the two kinds take turns,
because a machine's speed drifts; what is printed are p50 and p99 of each, and the ratios.
"""

import argparse
import json
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time

import attrs
import trio
from broadcast import attach

from supervisor import Application, ApplicationOptions, Server, ServerOptions, receives
from supervisor.application.handlers import NamespaceHandler
from supervisor.cli.collector import tune_collector
from supervisor.transport.listener import open_listeners
from supervisor.transport.websocket_options import WebSocketOptions

HEALTHY, STALLED = 20, 10
TICKS = 150
PERIOD = 0.03
SIZE = 2_000
_AT = re.compile(rb'"at":([0-9.]+)')


@attrs.frozen
class Tick:
    at: float


@receives(Tick)
def on_tick(doc, tick):
    doc.data["tick"] = {"filler": "x" * SIZE, "at": tick.at}


def modify_document(doc):
    doc.data["tick"] = None


async def serve(rounds):
    """Latencies in milliseconds, of rounds without and with stalled clients."""
    app = Application(NamespaceHandler(globals(), where="benchmark"), name="bench")
    # A small second mark, so that merging and snapshots happen too; and patience, so that all stay to the end.
    websocket = WebSocketOptions(max_backlog=64 * 1024, slow_timeout=600)
    options = ServerOptions(application=ApplicationOptions(linger=60), websocket=websocket, stall_limit=0)
    server = Server([app], options=options)
    context = server.applications["bench"].context
    found = {False: [], True: []}
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    listeners[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)  # so that a round is enough to stall
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        tune_collector()  # as `serve` does
        for number in range(2 * rounds):
            stalled = bool(number % 2)
            clients = await trio.to_thread.run_sync(start_clients, port, STALLED if stalled else 0)
            try:
                for _ in range(TICKS):
                    await context.broadcast(Tick(time.monotonic()))
                    await trio.sleep(PERIOD)
                if stalled:
                    assert behind(server.applications["bench"]) == STALLED
                found[stalled] += await trio.to_thread.run_sync(finish, clients)
            finally:
                clients.kill()
                clients.wait()
            for session in context.sessions:
                session.destroy()
        server.stop()
    return found


def behind(actor):
    """From how many connections something is kept back."""
    sessions = [actor.find(context.id) for context in actor.context.sessions]
    return sum(connection._backlog.withheld is not None for session in sessions for connection in session.connections)


def start_clients(port, stalled):
    command = [sys.executable, __file__, "--port", str(port), "--stalled", str(stalled)]
    clients = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert clients.stdout.readline() == "ready\n"
    return clients


def finish(clients):
    out, _ = clients.communicate("end\n", timeout=30)
    return json.loads(out)


def run_clients(port, stalled):
    """The other process: healthy clients are read at once, stalled ones never."""
    selector = selectors.DefaultSelector()
    kept = []
    for number in range(HEALTHY + STALLED):
        one = socket.socket()
        if number >= HEALTHY:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        attach(one, port)
        if number < HEALTHY or not stalled:
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ, (one.recv, number < HEALTHY))
        kept.append(one)
    print("ready", flush=True)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    latencies = []
    while True:
        for key, _ in selector.select():
            if key.data is None:
                print(json.dumps(latencies), flush=True)
                return
            receive, counts = key.data
            data = receive(1 << 20)
            if counts:
                latencies += [(time.monotonic() - float(at)) * 1e3 for at in _AT.findall(data)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each kind (default: 4)")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stalled", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.port:
        run_clients(options.port, options.stalled)
        return
    found = trio.run(serve, options.rounds)
    shown = {}
    for stalled, latencies in found.items():
        assert len(latencies) >= options.rounds * TICKS * HEALTHY * 0.99
        cuts = statistics.quantiles(latencies, n=100)
        shown[stalled] = cuts[49], cuts[98]
        print(f"{STALLED if stalled else 0:2} stalled: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms")
    (p50, p99), (with_p50, with_p99) = shown[False], shown[True]
    print(f"ratios: p50 {with_p50 / p50:.2f}, p99 {with_p99 / p99:.2f}")


if __name__ == "__main__":
    main()
