"""A shop that is busy: makes, packs, sends and returns orders, one change a second, until it is stopped by Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import random
import time

import psycopg

CUSTOMERS = ["Ada", "Barbara", "Donald", "Edsger", "Grace", "Katherine", "Leslie", "Tony"]
ITEMS = ["Green tea", "Black tea", "Teapot", "Tea strainer", "Set of cups", "Tin of biscuits"]


def do_something(connection: psycopg.Connection) -> None:
    """One change of one order."""
    open_orders = connection.execute("select id, status from orders where status in ('new', 'packed')").fetchall()
    if len(open_orders) < random.randint(2, 7):
        order = random.choice(CUSTOMERS), random.choice(ITEMS), random.randint(1, 4)
        connection.execute("insert into orders (customer, item, quantity) values (%s, %s, %s)", order)
    else:
        id, status = random.choice(open_orders)
        status = "packed" if status == "new" else "sent"
        connection.execute("update orders set status = %s, changed_at = now() where id = %s", [status, id])
    if random.random() < 0.1:
        connection.execute(
            "update orders set status = 'returned', changed_at = now() where id ="
            " (select id from orders where status = 'sent' order by random() limit 1)"
        )


if __name__ == "__main__":
    dsn = os.environ.get("DBWATCH_DSN", "")
    with contextlib.suppress(KeyboardInterrupt), psycopg.connect(dsn, autocommit=True) as connection:
        while True:
            do_something(connection)
            time.sleep(1)
