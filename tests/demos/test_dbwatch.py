"""The dbwatch demo against a real PostgreSQL, in real time: what another program does shows in every session."""

import sys
from functools import partial

import psycopg
import pytest
import trio

from supervisor.protocol.events import Patched
from supervisor.testing import supervise as open_app

from ..docs.proxies import wait_until
from .programs import Postgres

DEADLINE = 120.0


@pytest.fixture(scope="module")
def database(request):
    """A server with the demo's table."""
    with Postgres() as postgres:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute((request.config.rootpath / "demos" / "dbwatch" / "schema.sql").read_text())
        yield postgres


@pytest.fixture
def shop(database, monkeypatch):
    """Another program's connection: `shop(query, *arguments)`. The table is empty, and numbers begin anew."""
    monkeypatch.setenv("DBWATCH_DSN", database.dsn)

    def execute(query, *arguments):
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, arguments or None)
            return cursor.fetchall() if cursor.description else None

    execute("truncate orders restart identity")
    return execute


@pytest.fixture
async def app(demos, shop):
    with trio.fail_after(DEADLINE):
        async with open_app(demos / "dbwatch") as app:
            yield app


def order(shop, customer="Ada", item="Tea", quantity=1):
    [[id]] = shop(
        "insert into orders (customer, item, quantity) values (%s, %s, %s) returning id::text", customer, item, quantity
    )
    return id


async def visit(app, count=1):
    """Clients, each of a session of its own, that see a database which is there."""
    clients = [await (await app.new_session()).connect() for _ in range(count)]
    for client in clients:
        await client.until(lambda data: not data["away"])
    return clients


async def test_what_another_program_does_shows_in_every_session(app, shop):
    clients = await visit(app, 3)
    assert all(client.data["orders"] == {} for client in clients)
    id = order(shop, "Grace", "Teapot", 2)
    for client in clients:
        await client.until(lambda data: id in data["orders"])
        assert client.data["orders"][id].items() >= {
            ("customer", "Grace"), ("item", "Teapot"), ("quantity", 2), ("status", "new"),
        }  # fmt: skip
    shop("update orders set status = 'packed' where id = %s", id)
    for client in clients:
        await client.until(lambda data: data["orders"][id]["status"] == "packed")
    shop("delete from orders")
    for client in clients:
        await client.until(lambda data: data["orders"] == {})


async def test_a_newcomer_sees_what_is_there(app, shop):
    [early] = await visit(app)
    ids = [order(shop) for _ in range(3)]
    await early.until(lambda data: len(data["orders"]) == 3)
    [late] = await visit(app)
    assert late.data == early.data
    assert set(late.data["orders"]) == set(ids)


async def test_a_change_of_one_order_is_a_patch_of_that_order(app, shop):
    ids = [order(shop) for _ in range(20)]
    [client] = await visit(app)
    client.received.clear()
    shop("update orders set quantity = 9 where id = %s", ids[4])
    await client.until(lambda data: data["orders"][ids[4]]["quantity"] == 9)
    [patched] = [event for event in client.received if isinstance(event, Patched)]
    assert set(patched.paths) == {f"/orders/{ids[4]}"}


async def test_many_changes_of_one_transaction_arrive_and_a_rolled_back_one_does_not(app, shop, database):
    [client] = await visit(app)
    with psycopg.connect(database.dsn) as connection:
        connection.execute(
            "insert into orders (customer, item, quantity) select 'Tony', 'Cup', 1 from generate_series(1, 50)"
        )
        connection.execute("delete from orders where id % 2 = 0")
        connection.commit()
        connection.execute("update orders set item = 'never'")
        connection.rollback()
    await client.until(lambda data: len(data["orders"]) == 25)
    order(shop, item="the next one")
    await client.until(lambda data: len(data["orders"]) == 26)
    assert "never" not in str(client.data)


async def test_a_truncated_table_is_empty(app, shop):
    for _ in range(3):
        order(shop)
    [client] = await visit(app)
    assert len(client.data["orders"]) == 3
    shop("truncate orders")
    await client.until(lambda data: data["orders"] == {})


async def test_the_newest_hundred_are_shown(app, shop):
    shop("insert into orders (customer, item, quantity) select 'Tony', 'Cup', 1 from generate_series(1, 120)")
    [client] = await visit(app)
    await client.until(lambda data: len(data["orders"]) == 100)
    id = order(shop)
    await client.until(lambda data: id in data["orders"])
    assert sorted(map(int, client.data["orders"])) == list(range(22, 122))
    shop("delete from orders where id = 50")
    await client.until(lambda data: "50" not in data["orders"])
    assert sorted(map(int, client.data["orders"])) == [21, *range(22, 50), *range(51, 122)]


async def test_what_was_missed_while_the_database_was_away_is_read_again(app, shop, database):
    clients = await visit(app, 2)
    kept, changed = order(shop), order(shop)
    for client in clients:
        await client.until(lambda data: changed in data["orders"])
    try:
        await trio.to_thread.run_sync(database.stop)
        for client in clients:
            await client.until(lambda data: data["away"])
            assert set(client.data["orders"]) == {kept, changed}
        # Who comes now sees what was true before, and that the database is away.
        late = await (await app.new_session()).connect()
        assert late.data == clients[0].data
        # What happens while nobody listens is announced to nobody, then or later.
        await trio.to_thread.run_sync(partial(database.start, hidden=True))
        with psycopg.connect(database.hidden_dsn, autocommit=True) as connection:
            connection.execute("update orders set item = 'missed' where id = %s", [changed])
            connection.execute("delete from orders where id = %s", [kept])
        await trio.to_thread.run_sync(database.stop)
    finally:
        await trio.to_thread.run_sync(database.start)
    for client in [*clients, late]:
        await client.until(lambda data: not data["away"])
        await client.until(lambda data: list(data["orders"]) == [changed])
        assert client.data["orders"][changed]["item"] == "missed"
    id = order(shop)
    for client in clients:
        await client.until(lambda data: id in data["orders"])


async def test_a_connection_that_is_cut_is_made_again(app, shop):
    [client] = await visit(app)
    shop("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dbwatch'")
    await client.until(lambda data: data["away"])
    await client.until(lambda data: not data["away"])
    id = order(shop)
    await client.until(lambda data: id in data["orders"])


async def test_what_is_announced_in_the_middle_of_an_answer_is_not_lost(app, shop):
    """The numbers of the race: notifications arrive while the connection reads, and psycopg takes them in then."""
    [client] = await visit(app)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(trio.to_thread.run_sync, lambda: [order(shop) for _ in range(15)])
    await client.until(lambda data: len(data["orders"]) == 60)


async def test_a_database_that_was_never_there(demos, monkeypatch, tmp_path):
    monkeypatch.setenv("DBWATCH_DSN", f"host={tmp_path}")
    async with open_app(demos / "dbwatch") as app:
        client = await (await app.new_session()).connect()
        assert client.data == {"orders": {}, "away": True}


async def test_an_end_waits_for_no_notification(demos, shop):
    with trio.fail_after(DEADLINE):
        async with open_app(demos / "dbwatch") as app:
            await visit(app)
            began = trio.current_time()
        assert trio.current_time() - began < 2
    # The database takes its time to notice.
    left = "select count(*) from pg_stat_activity where application_name = 'dbwatch'"
    await trio.to_thread.run_sync(wait_until, lambda: shop(left) == [(0,)], "no connection is left")


async def test_a_missing_table_is_reported(app, shop):
    [client] = await visit(app)
    shop("alter table orders rename to others")
    try:
        shop("notify orders, '1'")
        await client.until(lambda data: data["away"])
    finally:
        shop("alter table others rename to orders")
    assert isinstance(app.incidents[0].error, psycopg.errors.UndefinedTable)
    await visit(app)
    app.incidents.clear()


async def test_the_busy_shop_is_busy(app, shop, demos):
    [client] = await visit(app)
    command = [sys.executable, str(demos / "dbwatch" / "busy.py")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.run_process, command, check=False))
        await client.until(lambda data: len(data["orders"]) >= 2)
        nursery.cancel_scope.cancel()  # which ends the process
