"""The pages that the server makes itself: the generic live page, the index, and the pages that say no."""

import re
import urllib.request

import pytest

from .waiting import expect, until

STATUS = "the server responded with a status of {}"
"""What Chromium itself says of a page with a status of 400 and more."""


def row(page, key):
    """What can be folded of the generic page's tree."""
    return page.locator("summary", has=page.get_by_text(key, exact=True))


def test_an_app_without_a_page_shows_its_document_live(serve, apps, open_page, look):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        expect(page.get_by_text("press 4")).to_be_visible()
        ticks = "Number(document.body.innerText.match(/ticks (\\d+)/)[1])"
        before = page.evaluate(ticks)
        until(page, f"before => {ticks} > before + 2", arg=before)
        look(page, "generic")
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme="dark")
        look(page, "generic-phone-dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_generic_page_is_folded_by_keyboard(serve, apps, open_page):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        expect(page.get_by_text("press 4")).to_be_visible()
        row(page, "machine").focus()
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_text("press 4")).to_be_hidden()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_text("press 4")).to_be_visible()
        page.keyboard.press("ArrowDown")
        expect(row(page, "orders")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_text("71")).to_be_hidden()
        row(page, "log").focus()
        page.keyboard.press("Space")
        expect(page.get_by_text("line 199", exact=True)).to_be_visible()
        more = page.get_by_role("button", name="Show more (100 left)")
        more.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("line 299", exact=True)).to_be_visible()
        expect(more).to_have_count(0)


def test_a_screen_reader_finds_the_document(serve, apps, open_page):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        expect(page.get_by_text("press 4")).to_be_visible()
        expect(page.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading "plain" [level=1]
              - paragraph: /Live Revision \\d+/
              - paragraph:
                - button "Open all"
                - button "Close all"
            - main "The document, live":
              - list:
                - listitem:
                  - group:
                    - text: machine 4 entries
                    - list:
                      - listitem: name press 4
        """)


def test_the_index_lists_the_apps(serve, apps, open_page, look):
    with serve(apps / "plain.py", apps / "counter") as server:
        page = open_page(server.url.removesuffix("/plain") + "/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Applications")
        assert page.get_by_role("link").all_text_contents() == ["plain", "counter"]
        look(page, "index")
        page.get_by_role("link", name="counter").click()
        until(page, "window.seen?.length > 1")


def test_a_refused_visitor_reads_why(serve, apps, open_page, console, look):
    with serve(apps / "refusing.py") as server:
        page = open_page(server.url)
        expect(page.get_by_role("heading", level=1)).to_have_text("No entry")
        expect(page.get_by_role("main")).to_contain_text("Visits are on Tuesdays.")
        expect(page.get_by_role("main")).to_contain_text("Status 403")
        look(page, "error-403")
        assert "session refused" in server.log
    console.forgive(STATUS.format(403))


def test_a_failing_hook_shows_an_incident_that_the_log_has(serve, apps, open_page, console, look):
    with serve(apps / "failing.py", expect_failures=True) as server:
        page = open_page(server.url, color_scheme="dark")
        main = page.get_by_role("main")
        expect(main).to_contain_text("Status 500")
        incident = re.search(r"under incident (\w+)", main.inner_text()).group(1)
        look(page, "error-500-dark")
        server.wait_for_log(rf"incident={incident}\b")
        assert "hunter2" in server.log
        assert "hunter2" not in page.content()
    console.forgive(STATUS.format(500))


@pytest.mark.parametrize("prefix", ["", "/tools"])
def test_an_unknown_address_leads_to_a_page_that_says_so(serve, apps, open_page, console, look, prefix):
    with serve(apps / "plain.py", "--prefix", prefix) as server:
        page = open_page(server.url + "/nowhere")
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is here")
        look(page, "error-404")
        page.get_by_role("link").click()
        expect(page.get_by_text("press 4")).to_be_visible()
    console.forgive(STATUS.format(404))


def test_a_session_that_is_over_is_not_found(serve, apps, open_page, console):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url + "?session=nobody")
        expect(page.get_by_role("heading", level=1)).to_have_text("This session is over")
    console.forgive(STATUS.format(404))


def test_health_and_url_answer_from_the_first_moment(serve, apps):
    with serve(apps / "plain.py") as server:
        for url in (server.url, server.url + "?x=1", server.url.removesuffix("/plain") + "/-/health"):
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert (answer.status, answer.url) == (200, url)
