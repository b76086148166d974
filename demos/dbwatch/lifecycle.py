"""The application's part: one producer watches the database, however many visitors there are."""

from __future__ import annotations

import logging
import math
import os

import psycopg
import trio

from supervisor import ApplicationContext, Backoff

from .database import Database, open_database
from .main import Changed
from .shop import shop

PATIENCE = Backoff(first=0.5, longest=30.0, jitter=0.5)
"""Pauses before it connects again; after the first one again once a connection has held for a minute."""

log = logging.getLogger(__name__)


async def watch(app_context: ApplicationContext) -> None:
    """One connection, until it is lost. A permanent producer: it is called again, after a pause that grows."""
    await app_context.broadcast(Changed())  # called again after a failure, it has this to tell
    try:
        async with open_database(os.environ.get("DBWATCH_DSN", "")) as database:
            # What was announced while nobody listened is lost. So after each connect all of it is read again.
            shop.fill(await database.read_all())
            log.info("watching the database")
            await follow(app_context, database)
    except psycopg.OperationalError as error:
        # A database that is away for a while is nobody's bug. Whatever else is raised is, and is reported.
        log.warning("the database is away: %s", error)
    finally:
        shop.is_away = True
    await app_context.broadcast(Changed())


async def follow(app_context: ApplicationContext, database: Database) -> None:
    while True:
        report = await app_context.broadcast(Changed())
        changed: set[str] = set()
        # A session without room in its mailbox misses nothing for good: it is told again, and looks at the shop then.
        with trio.move_on_after(1.0 if report.lagged else math.inf):
            changed = await database.wait_for_changes()
        found = {} if "" in changed else await database.read(changed)
        if changed - found.keys():
            shop.fill(await database.read_all())  # some are gone, and older ones may take their places
        else:
            shop.change(found)


def on_application_load(app_context: ApplicationContext) -> None:
    app_context.add_callback(watch, app_context, restart="permanent", backoff=PATIENCE)
