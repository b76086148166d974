"""An app whose data comes from a library that blocks: a thread reads it, and hands each value to the server."""

import time

import attrs
import trio

from supervisor import ActorGone, receives


@attrs.frozen
class Reading:
    celsius: float


def read_sensor():
    """Stands for a call that blocks its thread."""
    time.sleep(0.05)
    return 21.5


def watch_sensor(app_context):
    """Runs in a thread of its own, until the application has ended."""
    try:
        while True:
            app_context.call_from_thread(app_context.broadcast, Reading(read_sensor()))
    except ActorGone:
        pass


async def run_thread(app_context):
    await trio.to_thread.run_sync(watch_sensor, app_context, abandon_on_cancel=True)


def on_application_load(app_context):
    app_context.add_callback(run_thread, app_context)


def modify_document(doc):
    doc.data = {"celsius": None}


@receives(Reading)
def on_reading(doc, reading):
    doc.data["celsius"] = reading.celsius
