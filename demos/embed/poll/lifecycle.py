"""The application's part: one producer tells all sessions of new votes, a few times a second at most."""

from __future__ import annotations

import trio

from supervisor import ApplicationContext

from .main import Counted
from .votes import votes

INTERVAL = 0.2
"""Seconds from one telling to the next: a thousand votes in between are one change."""


async def tell(app_context: ApplicationContext) -> None:
    while True:
        await votes.wait_for_changes()
        await app_context.broadcast(Counted())
        await trio.sleep(INTERVAL)


def on_application_load(app_context: ApplicationContext) -> None:
    app_context.add_callback(tell, app_context)
