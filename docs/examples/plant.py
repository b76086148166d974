"""An app that depends on two machines: it can do without the one, and not without the other."""

import attrs
import trio

from supervisor import Backoff, receives

machines = {"boiler": [90.0, 91.5], "archive": []}


@attrs.frozen
class Measured:
    celsius: float


@attrs.frozen
class Missing:
    machine: str
    is_missing: bool


async def follow_boiler(app_context):
    """Stands for a connection to a machine, which is lost sooner or later."""
    await app_context.broadcast(Missing("boiler", False))
    for celsius in machines["boiler"]:
        await app_context.broadcast(Measured(celsius))
        await trio.sleep(1)
    raise ConnectionError("the boiler has hung up")


async def write_archive(app_context):
    raise ConnectionError("there is no archive")


def on_application_load(app_context):
    app_context.add_callback(follow_boiler, app_context, backoff=Backoff(first=1, longest=30), name="boiler")
    app_context.add_callback(write_archive, app_context, max_restarts=3, within=60, name="archive")


async def on_callback_failed(app_context, callback, error):
    await app_context.broadcast(Missing(callback.name, True))


def modify_document(doc):
    doc.data = {"celsius": None, "missing": []}


@receives(Measured)
def on_measured(doc, measured):
    doc.data["celsius"] = measured.celsius


@receives(Missing)
def on_missing(doc, message):
    missing = set(doc.data["missing"]) - {message.machine}
    doc.data["missing"] = sorted(missing | {message.machine} if message.is_missing else missing)
