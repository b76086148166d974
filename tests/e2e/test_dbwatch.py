"""The demo dbwatch in a browser, with a real PostgreSQL behind it."""

import psycopg
import pytest

from ..demos.programs import Postgres
from .contrast import poor_texts
from .waiting import expect, until


@pytest.fixture(scope="module")
def database(request):
    with Postgres() as postgres:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute((request.config.rootpath / "demos" / "dbwatch" / "schema.sql").read_text())
        yield postgres


@pytest.fixture
def shop(database, monkeypatch):
    """Another program's connection: `shop(query, *arguments)`. Some orders are there."""
    monkeypatch.setenv("DBWATCH_DSN", database.dsn)

    def execute(query, *arguments):
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            connection.execute(query, arguments or None)

    execute("truncate orders restart identity")
    execute(
        "insert into orders (customer, item, quantity, status) values ('Ada', 'Green tea', 2, 'sent'),"
        " ('Donald', 'Set of cups', 1, 'sent'), ('Barbara', 'Teapot', 1, 'returned'), ('Tony', 'Black tea', 4, 'sent'),"
        " ('Grace', 'Tin of biscuits', 3, 'packed'), ('Leslie', 'Tea strainer', 1, 'packed'),"
        " ('Edsger', 'Green tea', 1, 'new'), ('Katherine', 'Set of cups', 2, 'new'), ('Grace', 'Teapot', 1, 'new')"
    )
    execute("update orders set changed_at = now() - (10 - id) * (10 - id) * interval '41 seconds'")
    return execute


@pytest.fixture
def dbwatch(request):
    return request.config.rootpath / "demos" / "dbwatch"


WATCH_FLASHES = """() => {
    window.flashed = new Set()
    new MutationObserver((mutations) => {
        for (const { target } of mutations) {
            if (target.classList.contains("changed")) flashed.add(target.querySelector("th").textContent)
        }
    }).observe(document.querySelector("tbody"), { subtree: true, attributeFilter: ["class"] })
}"""
"""Notes the numbers of the rows that flash, each for three seconds."""


def row(page, number):
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=str(number), exact=True))


def test_a_change_shows_and_flashes_in_every_window(serve, dbwatch, shop, open_page):
    with serve(dbwatch) as server:
        windows = [open_page(server.url), open_page(server.url)]
        for page in windows:
            expect(row(page, 9)).to_contain_text("Teapot")
            assert page.locator("tr.changed").count() == 0  # what was there when it came is not new
            expect(page.locator("#counts")).to_have_text("3 new · 2 packed · 3 sent · 1 returned")
            page.evaluate(WATCH_FLASHES)
        shop("update orders set status = 'packed' where id = 9")
        for page in windows:
            expect(row(page, 9)).to_contain_text("packed")
            assert page.evaluate("[...flashed]") == ["9"]
            expect(page.locator("#counts")).to_have_text("2 new · 3 packed · 3 sent · 1 returned")
        shop("insert into orders (customer, item, quantity) values ('Ada', '<b>Tea</b>', 1)")
        shop("delete from orders where id = 1")
        for page in windows:
            expect(page.locator("tbody tr").first).to_contain_text("<b>Tea</b>")
            expect(row(page, 1)).to_have_count(0)
            expect(page.locator("tr.changed")).to_have_count(0)


def test_a_database_that_is_away_is_said_and_all_is_shown_when_it_is_back(
    serve, dbwatch, shop, database, open_page, look
):
    with serve(dbwatch) as server:
        page = open_page(server.url, color_scheme="dark")
        away = page.get_by_role("status").filter(has_text="The database can't be reached")
        expect(row(page, 9)).to_be_visible()
        expect(away).to_be_hidden()
        database.stop()
        expect(away).to_be_visible()
        expect(row(page, 9)).to_be_visible()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            look(page, f"dbwatch-away-{scheme}")
            assert poor_texts(page) == []
        database.start()
        shop("update orders set status = 'sent' where id = 9")
        expect(away).to_be_hidden()
        expect(row(page, 9)).to_contain_text("sent")


def test_an_empty_table_says_so(serve, dbwatch, shop, open_page):
    shop("truncate orders")
    with serve(dbwatch) as server:
        page = open_page(server.url)
        expect(page.get_by_text("There are no orders yet.")).to_be_visible()
        expect(page.get_by_text("The database can't be reached")).to_be_hidden()


def test_a_database_that_was_never_there_is_not_called_empty(serve, dbwatch, open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("DBWATCH_DSN", f"host={tmp_path}")
    with serve(dbwatch) as server:
        page = open_page(server.url)
        expect(page.get_by_text("The database can't be reached")).to_be_visible()
        expect(page.get_by_text("There are no orders yet.")).to_be_hidden()


def test_nothing_sticks_out_on_a_desk_or_a_phone_by_day_or_night(serve, dbwatch, shop, open_page, look):
    with serve(dbwatch) as server:
        for device, width, height in (("desk", 1280, 800), ("phone", 390, 844)):
            for scheme in ("light", "dark"):
                page = open_page(
                    server.url,
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                    locale="en-GB",
                )
                expect(row(page, 9)).to_be_visible()
                shop("update orders set quantity = quantity % 4 + 1, changed_at = now() where id in (7, 9)")
                until(page, "document.querySelectorAll('tr.changed').length === 2")
                look(page, f"dbwatch-{device}-{scheme}")
                assert poor_texts(page) == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_screen_reader_finds_a_table_on_a_phone_too(serve, dbwatch, shop, open_page):
    with serve(dbwatch) as server:
        page = open_page(server.url, viewport={"width": 390, "height": 844})
        expect(row(page, 5)).to_be_visible()
        expect(page.get_by_role("table", name="The last orders, newest first")).to_match_aria_snapshot("""
            - table "The last orders, newest first":
              - rowgroup:
                - row /9 .*Teapot Grace new .+/:
                  - rowheader "9"
                  - cell /Teapot/
                  - cell "Grace"
                  - cell "new"
        """)
