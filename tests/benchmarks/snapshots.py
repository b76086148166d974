"""What a large document costs where nothing of it changes, or little: lent to a thread, and shown by pages.

    python tests/benchmarks/snapshots.py              ratios to the same with an empty document
    python tests/benchmarks/snapshots.py --source DIR   and the same of another checkout, to compare with

A loan is an `ask()` of a handler that runs in a worker thread. The floor is the same with a document that is empty, in
the same process and in turns; for what one snapshot costs, the time that a bare encoding takes is told too. Each figure
is the least of many, since a disturbance only adds.
"""

import argparse
import os
import subprocess
import sys
from time import perf_counter

import attrs
import msgspec
import trio

from supervisor import Application, Server, ServerOptions, receives
from supervisor.application.handlers import NamespaceHandler
from supervisor.session.request import Request
from supervisor.testing.http import get
from supervisor.testing.memory import MemoryListener

TURNS = 150
ROWS = 10_000


def rows(count):
    return {"n": 0, "rows": [{"id": number, "name": f"row {number}", "price": number / 7} for number in range(count)]}


@attrs.frozen
class Look:
    pass


@attrs.frozen
class Count:
    pass


@attrs.frozen
class Change:
    pass


@receives(Look, thread=True)
def on_look(doc, message):
    pass


@receives(Count, thread=True)
def on_count(doc, message):
    doc.data["n"] += 1


@receives(Change, thread=True)
def on_change(doc, message):
    rows = doc.data["rows"]
    if rows:
        rows[len(rows) // 2]["price"] += 1
    else:
        doc.data["n"] += 1


async def measure():
    """Seconds, by what was done and with how many rows in the document."""
    app = Application(NamespaceHandler(globals(), where="benchmark"), name="bench")
    server, listener = Server([app], options=ServerOptions(stall_limit=0)), MemoryListener()
    application = server.applications["bench"]
    least = {}

    async def note(what, size, func, *args):
        began = perf_counter()
        await func(*args)
        least[what, size] = min(perf_counter() - began, least.get((what, size), 1))

    async def open_page(session):
        response = await get(await listener.connect(), f"/bench?session={session.id}")
        assert response.status == 200

    async def attach(session):
        session.audience.snapshot_frame()

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        sessions = {}
        for size in (0, ROWS):
            sessions[size] = (await application.open_session(f"s{size}", Request())).session
            async with sessions[size].context.locked_document() as doc:
                doc.data = rows(size)
        plain = rows(ROWS)
        for _ in range(TURNS):
            began = perf_counter()
            msgspec.json.encode(plain)
            least["encoding", ROWS] = min(perf_counter() - began, least.get(("encoding", ROWS), 1))
            for size, session in sessions.items():
                await note("a loan that changes nothing", size, session.context.ask, Look())
                await note("a loan that changes a number", size, session.context.ask, Count())
                await note("a loan that changes a row", size, session.context.ask, Change())
                await note("a page after a change", size, open_page, session)
                await note("a page of the same revision", size, open_page, session)
                await note("the snapshot of who attaches", size, attach, session)
        server.stop()
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="another checkout, which is measured in turns with this one")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.plain:
        for turn in range(3):
            for name, where in [("here", None), (options.source, options.source)][: 1 if options.source is None else 2]:
                print(f"turn {turn + 1}, {name}:")
                environment = None if where is None else {**os.environ, "PYTHONPATH": where}
                subprocess.run([sys.executable, __file__, "--plain"], check=True, env=environment)
        return
    least = trio.run(measure)
    encoding = least.pop(("encoding", ROWS))
    print(f"  {ROWS:,} rows, encoded in {encoding * 1e6:.0f} µs")
    for what in dict.fromkeys(what for what, _ in least):
        floor, took = least[what, 0], least[what, ROWS]
        more = (took - floor) / encoding
        print(f"  {what:30} {took / floor:6.2f} times that of an empty document, {more:5.2f} encodings more")


if __name__ == "__main__":
    main()
