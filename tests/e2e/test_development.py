"""`serve --dev` in a browser: pages follow their app's files, and show what is wrong with them."""

import re

import pytest

from .waiting import expect, until

STATUS = "the server responded with a status of {}"
MAIN = '''"""A board of prices."""

import attrs

from supervisor import receives


@attrs.frozen
class Raise:
    by: float


def modify_document(doc):
    doc.data = {"prices": {"ACME": 12.5}, "clicks": 0}


@receives(Raise, from_client=True)
def on_raise(doc, message):
    doc.data["clicks"] += 1
    doc.data["prices"]["ACME"] += message.by
'''
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
</head>
<body>
<h1>Board</h1>
<p>ACME: <output>{{ data.prices.ACME }}</output></p>
<script type="module" nonce="{{ nonce }}">
  import { connect } from "{{ client_url }}"
  const session = await connect()
  window.session = session
  session.subscribe("/prices/ACME", (price) => { document.querySelector("output").textContent = price })
</script>
</body>
</html>
"""
LIVE = "window.session?.status.state === 'live'"
NOTICE = "supervisor-dev .box"


@pytest.fixture
def board(tmp_path):
    """An app in a directory of its own, for a test to change."""
    folder = tmp_path / "board"
    (folder / "templates").mkdir(parents=True)
    (folder / "main.py").write_text(MAIN)
    (folder / "templates" / "index.html").write_text(PAGE)
    return folder


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def loads_of(page):
    loads = []
    page.on("load", lambda page: loads.append(page.url))
    return loads


@pytest.mark.parametrize("ids", ["generated", "any"])
def test_a_page_follows_changed_code_by_itself(serve, board, open_page, ids):
    with serve(board, "--dev", "--session-ids", ids) as server:
        page = open_page(server.url)
        until(page, LIVE)
        loads = loads_of(page)
        for before, price in (("12.5", "13.5"), ("13.5", "14.5"), ("14.5", "15.5")):
            change(board / "main.py", before, price)
            expect(page.locator("output")).to_have_text(price)
            until(page, LIVE)
        assert loads == [server.url] * 3
        assert page.url == server.url
        expect(page.locator(NOTICE)).to_be_hidden()
        assert server.stderr.count("application loaded") == 4
        assert server.stderr.count("session created") == 4


def test_tabs_that_share_a_named_session_share_it_again(serve, board, open_page):
    with serve(board, "--dev") as server:
        first = open_page(server.url)
        until(first, LIVE)
        url = f"{server.url}?session={first.evaluate('session.id')}"
        tabs = [open_page(url), open_page(url)]
        for tab in tabs:
            until(tab, LIVE)
        change(board / "main.py", "12.5", "99")
        for tab in tabs:
            expect(tab.locator("output")).to_have_text("99")
            until(tab, LIVE)
            assert tab.url == url
        tabs[0].evaluate("session.send('Raise', { by: 1 })")
        expect(tabs[1].locator("output")).to_have_text("100")


def test_a_changed_template_keeps_the_session(serve, board, open_page):
    with serve(board, "--dev") as server:
        page = open_page(server.url)
        until(page, LIVE)
        session = page.evaluate("session.id")
        page.evaluate("session.send('Raise', { by: 1 })")
        expect(page.locator("output")).to_have_text("13.5")
        change(board / "templates" / "index.html", "<h1>Board</h1>", "<h1>Better board</h1>")
        expect(page.get_by_role("heading")).to_have_text("Better board")
        until(page, LIVE)
        expect(page.locator("output")).to_have_text("13.5")
        assert page.evaluate("session.id") == session
        assert page.url == server.url
        assert server.stderr.count("session created") == 1


def test_a_page_that_says_itself_what_is_wrong_has_no_notice_over_it(serve, board, open_page, console, look):
    broken = board.with_name("broken.py")
    broken.write_text('def on_application_load(app_context):\n    raise LookupError("no feed")\n')
    with serve(board, broken, "--dev", expect_failures=True) as server:
        page = open_page(server.url.replace("/board", "/broken"))
        expect(page.get_by_role("heading")).to_have_text("This application has failed")
        expect(page.locator("body")).to_contain_text("no feed")
        change(broken, "no feed", "still no feed")
        expect(page.get_by_role("heading").first).to_have_text("The application can't be loaded")
        with page.expect_response("**/-/dev"):  # its events begin with the problem
            page.reload()
        page.wait_for_timeout(300)
        expect(page.locator("body")).to_contain_text("still no feed")
        expect(page.locator(NOTICE)).to_be_hidden()
        look(page, "dev-cannot-be-loaded")
    console.forgive("status of 50[03]")


def test_a_syntax_error_is_shown_and_the_old_code_goes_on(serve, board, open_page, look):
    with serve(board, "--dev", expect_failures=True) as server:
        page = open_page(server.url)
        until(page, LIVE)
        session = page.evaluate("session.id")
        change(board / "main.py", "def modify_document(doc):", "def modify_document(doc:")
        notice = page.locator(NOTICE)
        expect(notice).to_be_visible()
        expect(notice).to_contain_text("main.py, line 13: syntax error: '(' was never closed")
        expect(notice).to_contain_text("The code from before goes on.")
        look(page, "dev-syntax-error")
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme="dark")
        look(page, "dev-syntax-error-phone-dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert re.search(r"incident=\w+ \| SyntaxError: '\(' was never closed", server.stderr)
        # It goes on, for this page and for new ones, which hear of it too.
        page.evaluate("session.send('Raise', { by: 1 })")
        expect(page.locator("output")).to_have_text("13.5")
        assert page.evaluate("session.id") == session
        other = open_page(server.url)
        expect(other.locator(NOTICE)).to_be_visible()
        until(other, LIVE)
        # It can be put away, by keyboard too.
        notice.get_by_role("button", name="Hide").focus()
        page.keyboard.press("Enter")
        expect(notice).to_be_hidden()
        # Mended.
        change(board / "main.py", "def modify_document(doc:", "def modify_document(doc):  # mended")
        expect(other.locator(NOTICE)).to_be_hidden()
        until(page, f"{LIVE} && session.id !== '{session}'")
        expect(page.locator("output")).to_have_text("12.5")


def test_a_failing_page_follows_too(serve, board, open_page, console, look):
    change(
        board / "main.py", '    doc.data = {"prices"', '    rates = {}\n    doc.data = {"rate": rates["EUR"], "prices"'
    )
    with serve(board, "--dev", expect_failures=True) as server:
        page = open_page(server.url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Something went wrong")
        traceback = page.get_by_role("region", name="Traceback")
        expect(traceback).to_contain_text("KeyError: 'EUR'")
        expect(traceback.locator("figure").first).to_contain_text("main.py, line 15, in modify_document")
        look(page, "dev-error-500", full_page=True)
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme="dark")
        look(page, "dev-error-500-phone-dark", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        change(board / "main.py", "rates = {}", 'rates = {"EUR": 1.1}')
        until(page, LIVE)
        change(board / "templates" / "index.html", "data.prices.ACME", "data.prises.ACME")
        expect(page.get_by_role("region", name="Traceback")).to_contain_text("index.html, line 12")
        look(page, "dev-template-error")
        change(board / "templates" / "index.html", "data.prises.ACME", "data.prices.ACME")
        until(page, LIVE)
    console.forgive(STATUS.format(500))


def test_an_app_that_vanishes_for_a_moment(serve, board, open_page):
    with serve(board, "--dev", expect_failures=True) as server:
        page = open_page(server.url)
        until(page, LIVE)
        (board / "main.py").rename(board / "aside.txt")
        expect(page.locator(NOTICE)).to_contain_text("it has neither main.py nor lifecycle.py")
        (board / "aside.txt").rename(board / "main.py")
        expect(page.locator(NOTICE)).to_be_hidden()
        until(page, LIVE)
        assert "Traceback" not in server.stderr


def test_the_first_paint_needs_no_websocket(serve, board, open_page, look, console):
    with serve(board) as server:
        page = open_page("about:blank")
        page.route_web_socket(re.compile("."), lambda socket: None)  # connected to nothing
        page.goto(server.url)
        expect(page.locator("output")).to_have_text("12.5")
        assert page.evaluate("window.session === undefined")
        data = page.evaluate("JSON.parse(document.getElementById('supervisor-data').textContent)")
        assert data["data"] == {"prices": {"ACME": 12.5}, "clicks": 0}
        look(page, "first-paint")


def test_a_page_without_development_shows_no_traceback_and_no_dev_script(serve, board, open_page, console):
    change(board / "main.py", "doc.data = ", "doc.data = missing or ")
    with serve(board, expect_failures=True) as server:
        page = open_page(server.url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Something went wrong")
        assert "NameError" not in page.content()
        assert page.locator('meta[name="supervisor-dev"]').count() == 0
    console.forgive(STATUS.format(500))
