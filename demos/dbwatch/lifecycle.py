"""The application's part: one producer watches the database, however many visitors there are."""

from __future__ import annotations

import logging
import math
import os
import random

import psycopg
import trio

from supervisor import ApplicationContext

from .database import Database, open_database
from .main import Changed
from .shop import shop

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds before it connects again: doubling, and up to a half of it left to chance."""

log = logging.getLogger(__name__)


async def watch(app_context: ApplicationContext) -> None:
    delay = FIRST_DELAY
    await app_context.broadcast(Changed())  # called again after a failure, it has this to tell
    while True:
        try:
            async with open_database(os.environ.get("DBWATCH_DSN", "")) as database:
                # What was announced while nobody listened is lost. So after each connect all of it is read again.
                shop.fill(await database.read_all())
                log.info("watching the database")
                delay = FIRST_DELAY
                await follow(app_context, database)
        except psycopg.OperationalError as error:
            # A database that is away for a while is nobody's bug. Whatever else is raised is: a producer that raises is
            # reported, and called again.
            log.warning("the database is away: %s", error)
        finally:
            shop.is_away = True
        await app_context.broadcast(Changed())
        await trio.sleep(delay * random.uniform(0.5, 1))
        delay = min(delay * 2, LONGEST_DELAY)


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
    app_context.add_callback(watch, app_context)
