"""The database, for one trio task: psycopg's connection, with trio in place of psycopg's own wait.

psycopg is the client that the PostgreSQL world keeps; its async half knows asyncio only. But what must be async is one
wait, the long one for a notification, and a connection is a socket on which trio can wait. What asks and is answered
goes through a thread, each time for a moment, with timeouts that the server and the socket keep.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime

import attrs
import psycopg
import trio
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row

SHOWN = 100
"""So many orders are watched: those with the highest numbers."""

# A database that is unplugged says no goodbye: the socket finds out by itself, after about half a minute.
_SOCKET: dict[str, int | str] = {
    "application_name": "dbwatch",
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
    "options": "-c statement_timeout=5s",
}

_COLUMNS = "select id::text, customer, item, quantity, status, changed_at from orders"


@attrs.frozen(kw_only=True)
class Order:
    id: str
    customer: str
    item: str
    quantity: int
    status: str
    changed_at: datetime


class Database:
    """One connection that listens. Its calls are made by one task, one after the other."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    async def read_all(self) -> dict[str, Order]:
        return await self._read(f"{_COLUMNS} order by orders.id desc limit {SHOWN}")

    async def read(self, ids: Collection[str]) -> dict[str, Order]:
        """Those of these orders that there are."""
        return await self._read(f"{_COLUMNS} where id = any(%s)", [int(id) for id in ids])

    async def _read(self, query: str, *arguments: object) -> dict[str, Order]:
        def read() -> dict[str, Order]:
            with self._connection.cursor(row_factory=class_row(Order)) as cursor:
                return {order.id: order for order in cursor.execute(query, arguments)}

        return await trio.to_thread.run_sync(read)

    async def wait_for_changes(self) -> set[str]:
        """Wait until something has changed since the connection was made, or since the last call; which ones.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        while True:
            # All that has come already, some of it in the middle of an answer. This takes no time.
            changed = {notification.payload for notification in self._connection.notifies(timeout=0)}
            if changed:
                return changed
            await trio.lowlevel.wait_readable(self._connection)


@asynccontextmanager
async def open_database(dsn: str) -> AsyncIterator[Database]:
    """Connect, and listen from the first moment on: what is read afterwards can only be newer than what is announced.

    Args:
        dsn: as libpq takes it; what it doesn't say is read from the environment (PGHOST, PGSERVICE, …).

    Raises:
        psycopg.OperationalError: there is no such database, or not now.
    """

    def connect() -> psycopg.Connection:
        connection = psycopg.connect(make_conninfo(dsn, **_SOCKET), autocommit=True)
        connection.execute("listen orders")
        return connection

    connection = await trio.to_thread.run_sync(connect)
    try:
        yield Database(connection)
    finally:
        connection.close()
