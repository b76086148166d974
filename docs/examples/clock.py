"""A first app: a clock that ticks on every page, and counts the ticks that this visitor has seen."""

import time

import attrs
import trio

from supervisor import receives


@attrs.frozen
class Tick:
    now: str


async def run_clock(app_context):
    while True:
        await app_context.broadcast(Tick(time.strftime("%H:%M:%S")))
        await trio.sleep(1)


def on_application_load(app_context):
    app_context.add_callback(run_clock, app_context)


def modify_document(doc):
    doc.data = {"now": None, "ticks": 0}


@receives(Tick)
def on_tick(doc, tick):
    doc.data["now"] = tick.now
    doc.data["ticks"] += 1
