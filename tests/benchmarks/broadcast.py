"""Server CPU per delivered update: a broadcast to many sessions, each with one client and a document of its own.

    python tests/benchmarks/broadcast.py            500 sessions beside the floor
    python tests/benchmarks/broadcast.py --linear   and 125, 250, 1,000 and 2,000 sessions

Each session changes its own document and sends its own patch. The floor is a bare loop of `os.write` of a frame of the
same size over as many loopback sockets, measured in the same process in the same run. In both, the same other process
reads. It does nothing else meanwhile, since the two processes may share a processor's core; that every client has
every update is checked at the end. Ours and the floor take turns, because a machine's speed drifts; what is
printed are medians over rounds, and the median of the turns' ratios.
"""

import argparse
import html
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time

import attrs
import trio

from supervisor import Application, ApplicationOptions, Server, ServerOptions, receives
from supervisor.application.handlers import NamespaceHandler
from supervisor.cli.collector import tune_collector
from supervisor.transport.listener import open_listeners
from supervisor.transport.websocket_options import WebSocketOptions

ROUNDS = 40
WARM_UP = 10
PING = b"\x89\x00"


@attrs.frozen
class Tick:
    number: int


@receives(Tick)
def on_tick(doc, tick):
    doc.data["prices"]["ACME"] = tick.number


def modify_document(doc):
    doc.data["prices"] = {"ACME": -1}


async def measure(sessions):
    """Microseconds of server CPU per delivered update, one figure a round; and a frame's size in bytes."""
    application = ApplicationOptions(max_sessions=5 * sessions, linger=60)
    websocket = WebSocketOptions(ping_interval=45)  # clients answer none, and a round may be long on a busy machine
    options = ServerOptions(application=application, websocket=websocket, stall_limit=0)
    app = Application(NamespaceHandler(globals(), where="benchmark"), name="bench")
    server = Server([app], options=options)
    context = server.applications["bench"].context
    figures = []
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        tune_collector()  # as `serve` does
        clients = await trio.to_thread.run_sync(start_clients, "websockets", port, sessions)
        try:
            while sum(len(one.connections) for one in context.sessions) < sessions:  # noqa: ASYNC110 (set-up only)
                await trio.sleep(0.05)
            for number in range(WARM_UP + ROUNDS):
                began = time.process_time()
                report = await context.broadcast(Tick(number))
                assert len(report.accepted) == sessions
                await trio.sleep(0.02 + sessions * 40e-6)  # all is delivered then; sleeping costs no CPU
                spent = time.process_time() - began
                if number >= WARM_UP:
                    figures.append(spent / sessions * 1e6)
            frame = await trio.to_thread.run_sync(finish, clients)
        finally:
            clients.kill()
            clients.wait()
        server.stop()
    return figures, frame


def floor(sessions, size):
    """Microseconds of CPU per bare `os.write`, one figure a round."""
    with socket.create_server(("127.0.0.1", 0), backlog=sessions) as listener:
        clients = start_clients("raw", listener.getsockname()[1], sessions)
        sockets = [listener.accept()[0] for _ in range(sessions)]
    for one in sockets:  # as the server's are: without it the kernel may keep a write back, and the floor is none
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    payload = b"x" * size
    figures = []
    for number in range(WARM_UP + ROUNDS):
        began = time.process_time()
        for one in sockets:
            os.write(one.fileno(), payload)
        time.sleep(0.02 + sessions * 40e-6)
        if number >= WARM_UP:
            figures.append((time.process_time() - began) / sessions * 1e6)
    for one in sockets:
        one.close()
    clients.wait(10)
    return figures


def start_clients(kind, port, count):
    command = [sys.executable, __file__, "--clients", kind, "--port", str(port), "--count", str(count)]
    clients = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert clients.stdout.readline() == "ready\n"
    return clients


def finish(clients):
    """End the clients, who check that they have all; returns the size of the last frame in bytes."""
    size, _ = clients.communicate("end\n", timeout=30)
    return int(size)


def run_clients(kind, port, count):
    """The other process: connect, read."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        if kind == "websockets":
            attach(one, port)
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ, one.recv)
    print("ready", flush=True)
    if kind == "websockets":
        selector.register(sys.stdin, selectors.EVENT_READ, None)
    last = {}
    over = False
    while not over:
        for key, _ in selector.select():
            if key.data is None:
                over = True
                continue
            data = key.data(65536)
            if not data:  # the floor's sockets are closed at its end
                return
            if data := data.replace(PING, b""):
                last[key.fd] = data
    ends = {data.rpartition(b"\x81")[2] for data in last.values()}
    assert len(last) == count
    assert len({end.partition(b'"operations"')[2] for end in ends}) == 1, "all clients have the last update"
    assert f'"to":{WARM_UP + ROUNDS + 1},'.encode() in next(iter(ends))
    print(1 + max(len(end) for end in ends), flush=True)


def attach(one, port):
    one.sendall(f"GET /bench HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    page = b""
    while b"</html>" not in page:
        page += one.recv(65536)
    meta = json.loads(html.unescape(re.search(r'name="supervisor" content="([^"]*)"', page.decode()).group(1)))
    one.sendall(
        f"GET {meta['websocket']} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += one.recv(65536)
    payload = json.dumps({"type": "attach", "token": meta["token"]}).encode()
    assert len(payload) <= 125
    one.sendall(bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload)  # masked with zeros
    snapshot = b""
    while b'"type":"snapshot"' not in snapshot:
        snapshot += one.recv(65536)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--linear", action="store_true")
    parser.add_argument("--repeat", type=int, default=5, help="turns of ours and the floor (default: 5)")
    parser.add_argument("--clients", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.clients:
        run_clients(options.clients, options.port, options.count)
        return
    sizes = [125, 250, 500, 1000, 2000] if options.linear else [options.sessions]
    for sessions in sizes:
        ratios = []
        for _ in range(options.repeat):
            figures, frame = trio.run(measure, sessions)
            bare = floor(sessions, frame)
            ours, theirs = statistics.median(figures), statistics.median(bare)
            ratios.append(ours / theirs)
            print(
                f"{sessions:5} sessions, frames of {frame} bytes: {ours:6.1f} µs per update, "
                f"floor {theirs:5.1f} µs, ratio {ratios[-1]:4.2f}",
                flush=True,
            )
        print(f"{sessions:5} sessions: median ratio {statistics.median(ratios):4.2f}", flush=True)


if __name__ == "__main__":
    main()
