"""The demo embed in a browser: a live session in a frame of somebody else's page, which is another origin."""

import contextlib
import os
import re
import subprocess
import sys
import urllib.request

import pytest

from ..demos.programs import wait_until
from ..docs.proxies import end, find_free_port
from .conftest import DEADLINE, Server
from .contrast import poor_texts
from .waiting import expect, until

REFUSED = "frame-ancestors|Refused to frame|Framing "
"""What Chromium says of a frame that a page's policy forbids."""


@pytest.fixture(scope="module")
def demo(request):
    return request.config.rootpath / "demos" / "embed"


@pytest.fixture(scope="module")
def hosts(demo, tmp_path_factory):
    """Run the foreign site: `with hosts(port, poll_url) as url`."""

    @contextlib.contextmanager
    def run(port, poll_url):
        command = [sys.executable, "-m", "uvicorn", "--app-dir", demo, "host:site", "--port", str(port)]
        log = tmp_path_factory.mktemp("host") / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                env={**os.environ, "POLL_URL": poll_url},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            url = f"http://localhost:{port}/"
            wait_until(lambda: process.poll() is not None or answers(url), "the foreign site answers")
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            end(process)

    return run


@pytest.fixture(scope="module")
def server(demo, hosts):
    """The live server, with the foreign site's URL as `host`."""
    port = find_free_port()
    server = Server(demo / "poll", "--port", 0, "--allow-embedding", f"http://localhost:{port}")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.host = stack.enter_context(hosts(port, server.url))
        yield server


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE):
            return True
    except OSError:
        return False


@pytest.fixture
def frame_of():
    return lambda page: page.frame_locator("iframe[title='A live poll']")


def vote(frame, option):
    frame.get_by_role("button", name=option).click()


def test_a_live_session_shows_within_a_foreign_page(server, open_page, frame_of):
    one, other = open_page(server.host), open_page(server.host)
    assert one.url.startswith("http://localhost:")
    for page in (one, other):
        expect(page.get_by_role("heading", name="A third ferry, or a bridge?")).to_be_visible()
        expect(frame_of(page).get_by_role("heading", name="How shall we cross the harbour?")).to_be_visible()
    vote(frame_of(one), "A bridge")
    for page in (one, other):
        expect(frame_of(page).get_by_role("button", name=re.compile("^A bridge .*1$"))).to_be_visible()
        expect(frame_of(page).locator("#total")).to_have_text("1 vote")
    vote(frame_of(other), "A third ferry")
    expect(frame_of(one).locator("#total")).to_have_text("2 votes")
    expect(frame_of(one).get_by_role("button", name="A bridge", pressed=True)).to_be_disabled()
    frame_of(one).get_by_role("button", name="A cable car").click(force=True)  # once is enough
    expect(frame_of(one).get_by_role("button", pressed=True)).to_have_count(1)
    expect(frame_of(other).locator("#total")).to_have_text("2 votes")


def test_who_votes_by_keyboard_keeps_their_place(server, open_page):
    page = open_page(server.url)
    button = page.get_by_role("button", name="A cable car")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="A cable car", pressed=True)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="A bridge")).to_be_focused()


def test_the_frame_is_as_high_as_what_is_in_it(server, open_page, frame_of):
    page = open_page(server.host, viewport={"width": 390, "height": 844})
    body = frame_of(page).locator("body")
    expect(frame_of(page).get_by_role("button", name="A cable car")).to_be_visible()
    until(page, "document.getElementById('poll').style.height !== ''")
    wanted = body.evaluate("body => body.offsetHeight")
    until(page, "wanted => document.getElementById('poll').offsetHeight === wanted", arg=wanted)
    # What anybody else says of the height doesn't count.
    page.evaluate("() => { postMessage({ height: 33 }, '*') }")
    page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert page.evaluate("document.getElementById('poll').offsetHeight") == wanted


def test_a_page_that_was_not_named_can_show_nothing(server, hosts, open_page, frame_of, console):
    with hosts(find_free_port(), server.url) as url:
        page = open_page(url)
        until(page, "document.readyState === 'complete'")
        console.wait_for(page, "frame-ancestors")
        expect(frame_of(page).get_by_role("heading", name="How shall we cross the harbour?")).to_have_count(0)
    console.forgive(REFUSED)


def test_it_looks_well_on_a_desk_and_a_phone_by_day_and_night(server, open_page, frame_of, look):
    for option in ("A bridge", "A bridge", "A third ferry"):
        page = open_page(server.url)
        page.get_by_role("button", name=option).click()
        expect(page.get_by_role("button", name=option, pressed=True)).to_be_visible()
    for device, width, height in (("desk", 1280, 800), ("phone", 390, 844)):
        for scheme in ("light", "dark"):
            viewport = {"width": width, "height": height}
            page = open_page(server.host, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
            expect(frame_of(page).locator("#total")).to_have_text(re.compile("[0-9]+ votes"))
            until(page, "document.getElementById('poll').style.height !== ''")
            look(page, f"embed-{device}-{scheme}")
            assert [poor_texts(frame) for frame in page.frames] == [[], []]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
