"""The pages that the server makes itself: the index, and those that say no. The generic page has a file of its own."""

import re
import urllib.request

import pytest

from .conftest import DEADLINE
from .waiting import expect, until

STATUS = "the server responded with a status of {}"
"""What Chromium itself says of a page with a status of 400 and more."""


def test_the_index_lists_the_apps(serve, apps, open_page, look):
    with serve(apps / "plain.py", apps / "counter") as server:
        page = open_page(server.url.removesuffix("/plain") + "/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Applications")
        assert page.get_by_role("link").all_text_contents() == ["plain", "counter"]
        expect(page.get_by_role("listitem").first).to_contain_text("An app without a page of its own")
        look(page, "index")
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme="dark")
        look(page, "index-phone-dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("link", name="counter").click()
        until(page, "window.seen?.length > 1")


def test_a_refused_visitor_reads_why(serve, apps, open_page, console, look):
    with serve(apps / "refusing.py") as server:
        page = open_page(server.url)
        expect(page.get_by_role("heading", level=1)).to_have_text("No entry")
        expect(page.get_by_role("main")).to_contain_text("Visits are on Tuesdays.")
        expect(page.get_by_role("main")).to_contain_text("Status 403")
        look(page, "error-403")
        incident = re.search(r"incident (\w+)", page.get_by_role("main").inner_text()).group(1)
        assert re.search(rf"session refused .*incident={incident} reason='Visits are on Tuesdays\.'", server.stderr)
    console.forgive(STATUS.format(403))


def test_a_failing_hook_shows_an_incident_that_the_log_has(serve, apps, open_page, console, look):
    with serve(apps / "failing.py", expect_failures=True) as server:
        page = open_page(server.url, color_scheme="dark")
        main = page.get_by_role("main")
        expect(main).to_contain_text("Status 500")
        incident = re.search(r"incident (\w+), also in the server's log", main.inner_text()).group(1)
        look(page, "error-500-dark")
        server.until_log_matches(rf"incident={incident}\b")
        assert "hunter2" in server.stderr
        assert "hunter2" not in page.content()
    console.forgive(STATUS.format(500))


@pytest.mark.parametrize("prefix", ["", "/tools"])
def test_an_unknown_address_leads_to_a_page_that_says_so(serve, apps, open_page, console, look, prefix):
    with serve(apps / "plain.py", "--prefix", prefix) as server:
        page = open_page(server.url + "/nowhere")
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is here")
        look(page, "error-404")
        page.get_by_role("link", name="Open plain").click()
        expect(page.get_by_text("press 4")).to_be_visible()
    console.forgive(STATUS.format(404))


@pytest.mark.parametrize("prefix", ["", "/tools"])
def test_of_several_apps_an_error_leads_to_all(serve, apps, open_page, console, prefix):
    with serve(apps / "plain.py", apps / "counter", "--prefix", prefix) as server:
        page = open_page(server.url + "/nowhere")
        page.get_by_role("link", name="All applications").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Applications")
    console.forgive(STATUS.format(404))


def test_a_server_without_room_says_when_to_come_again(serve, apps, open_page, console, look):
    with serve(apps / "plain.py", "--max-sessions", "1", "--linger", "1") as server:
        first = open_page(server.url)
        expect(first.get_by_text("press 4")).to_be_visible()
        page = open_page(server.url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Busy")
        expect(page.get_by_role("main")).to_contain_text("Try again in 1 s.")
        look(page, "error-503")
        incident = re.search(r"incident (\w+)", page.get_by_role("main").inner_text()).group(1)
        assert f"incident={incident} reason='live sessions: 1, ending ones: 0'" in server.stderr
        first.close()
        server.until_log_matches("session destroyed")
        page.get_by_role("link", name="Try again").click()
        expect(page.get_by_text("press 4")).to_be_visible()
    console.forgive(STATUS.format(503))


def test_a_session_that_is_over_is_not_found(serve, apps, open_page, console, look):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url + "?session=nobody")
        expect(page.get_by_role("heading", level=1)).to_have_text("This session is over")
        look(page, "error-404-session")
        page.get_by_role("link", name="Open a new session").click()
        expect(page.get_by_text("press 4")).to_be_visible()
    console.forgive(STATUS.format(404))


def test_health_and_url_answer_from_the_first_moment(serve, apps):
    with serve(apps / "plain.py") as server:
        for url in (server.url, server.url + "?x=1", server.url.removesuffix("/plain") + "/-/health"):
            with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
                assert (answer.status, answer.url) == (200, url)


def test_a_page_runs_nothing_that_it_does_not_name(serve, apps, open_page, console):
    """And a browser says so, as the other tests of pages rely on."""
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        page.evaluate(
            """() => {
                const elements = '<button onclick="window.evil = 1">x</button><p style="--evil: 1">y</p>'
                document.body.insertAdjacentHTML("beforeend", elements)
                const script = document.createElement("script")
                script.textContent = "window.evil = 2"
                document.body.append(script)
                document.body.querySelector("button[onclick]").click()
            }"""
        )
        for what in ("inline event handler", "inline style", "inline script"):
            console.wait_for(page, rf"(?i){what}.*Content Security Policy")
        assert page.evaluate("window.evil") is None
        assert page.evaluate("getComputedStyle(document.querySelector('p[style]')).getPropertyValue('--evil')") == ""
    console.forgive("Content Security Policy")
