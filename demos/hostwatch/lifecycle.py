"""The application's part: one producer reads the machine, however many visitors watch it."""

from __future__ import annotations

import trio

from supervisor import ApplicationContext

from .machine import INTERVAL, Machine, recent


async def watch(app_context: ApplicationContext) -> None:
    machine = Machine()
    while True:
        sample = machine.read(round(trio.current_time(), 2))
        recent.append(sample)
        # One message to the mailbox of every session. It waits only for room there: a session that has none within a
        # second misses this sample and delays nobody.
        await app_context.broadcast(sample)
        await trio.sleep(INTERVAL)


def on_application_load(app_context: ApplicationContext) -> None:
    # A producer: it runs as long as the application does, and is started again if it fails.
    app_context.add_callback(watch, app_context)
