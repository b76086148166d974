"""What becomes of a page when its connection, its session or its server ends."""

from ..docs.proxies import find_free_port
from .proxy import Proxy
from .waiting import expect, until

LOST = "WebSocket connection to"
"""What Chromium itself says of a connection that was lost or could not be made."""
BANNER = "supervisor-banner .box"


def wait_for_numbers(page, count):
    """Wait until the page has seen so many numbers more."""
    until(page, "wanted => seen.length >= wanted", arg=page.evaluate("seen.length") + count)


def test_a_page_that_was_cut_off_comes_back_without_a_gap(serve, apps, open_page, console, look):
    with serve(apps / "counter") as server, Proxy(server.port) as proxy:
        page = open_page(server.url.replace(f":{server.port}", f":{proxy.port}"))
        until(page, "window.seen?.length > 3")
        for times in (1, 2):
            proxy.cut()
            expect(page.get_by_role("status")).to_contain_text("The connection was lost. Connecting again…")
            banner = page.locator(BANNER)
            expect(banner).to_be_visible()
            look(page, "banner-reconnecting")
            before = page.evaluate("seen.length")
            page.evaluate("new Promise(done => setTimeout(done, 500))")  # five numbers are missed
            assert page.evaluate("seen.length") == before
            proxy.mend()
            if times == 2:  # once by itself, once because the browser says that it is online again
                page.evaluate("() => { window.dispatchEvent(new Event('online')) }")
            until(page, "session.status.state === 'live'")
            wait_for_numbers(page, 10)
            expect(banner).to_be_hidden()
            assert page.evaluate("states").count("live") == 1 + times

        seen, revisions = page.evaluate("[seen, revisions]")
        assert seen == list(range(len(seen)))
        assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))
        assert set(page.evaluate("states")) == {"connecting", "live", "reconnecting"}
        assert server.stderr.count("session created") == 1
    console.forgive(LOST)


def test_a_message_sent_while_cut_off_is_applied_once(serve, apps, open_page, console):
    with serve(apps / "plain.py") as server, Proxy(server.port) as proxy:
        page = open_page(server.url.replace(f":{server.port}", f":{proxy.port}"))
        expect(page.get_by_text("press 4")).to_be_visible()
        page.evaluate("""async () => {
            const { connect } = await import("/-/client/supervisor.js")
            window.states = []
            window.session = await connect({ banner: false, onStatus: ({ state }) => states.push(state) })
        }""")
        proxy.cut()
        until(page, "states.at(-1) === 'reconnecting'")
        page.evaluate("() => { window.answer = session.send('Rename', { name: 'press 5' }) }")
        proxy.mend()
        page.evaluate("answer")
        expect(page.get_by_text("press 5")).to_be_visible()
    console.forgive(LOST)


def test_a_page_whose_session_begins_again_stays_and_shows_the_new_document(serve, apps, open_page):
    with serve(apps / "fragile.py", expect_failures=True) as server:
        page = open_page(server.url)
        page.evaluate("""async () => {
            const { connect } = await import("/-/client/supervisor.js")
            window.states = []
            window.restarts = 0
            window.session = await connect({ banner: false, onStatus: ({ state }) => states.push(state) })
            session.onRestart(() => { restarts += 1 })
        }""")
        page.evaluate("session.send('Turn', { by: 30 })")
        until(page, "session.data.angle === 30")
        failed = page.evaluate("session.send('Turn', { by: 180 }).catch(error => [error.kind, error.incident])")
        page.evaluate("() => { window.answer = session.send('Turn', { by: 45 }) }")  # it waits for the new document
        assert failed[0] == "failed"
        page.evaluate("answer")
        assert page.evaluate("session.data") == {"angle": 45, "turns": [45]}
        expect(page.get_by_text("45").first).to_be_visible()
        assert page.evaluate("[states.at(-1), restarts]") == ["live", 1]
        assert "reconnecting" not in page.evaluate("states")
        assert server.stderr.count("session created") == 1
        assert f"incident={failed[1]}" in server.stderr


def test_a_page_whose_session_pauses_before_it_begins_again_says_so(serve, apps, open_page, look):
    with serve(apps / "weary.py", expect_failures=True) as server:
        page = open_page(server.url)
        status, banner = page.locator("#status"), page.get_by_role("status").filter(has_text="restarting")
        expect(status).to_have_text("Live")
        page.evaluate("""async () => {
            const { connect } = await import("/-/client/supervisor.js")
            window.session = await connect({ banner: false })
            await session.send("Fail").catch(() => {})
        }""")
        expect(status).to_have_text("Restarting")
        expect(banner).to_contain_text("The session has failed and is restarting.")
        expect(banner.get_by_role("button")).to_be_hidden()
        look(page, "restarting")
        late = open_page(f"{server.url}?session={page.evaluate('session.id')}")
        expect(late.locator("#status")).to_have_text("Restarting")
        for each in (page, late):
            expect(each.locator("#status")).to_have_text("Live")
            expect(each.locator(BANNER)).to_be_hidden()


def test_a_page_whose_session_was_destroyed_says_why(serve, apps, open_page, look):
    with serve(apps / "counter") as server:
        page = open_page(server.url)
        until(page, "window.seen?.length > 1")
        page.evaluate("session.send('End', { reason: 'The shift is over.' })")
        banner = page.get_by_role("status")
        expect(banner).to_contain_text("The shift is over.")
        look(page, "banner-destroyed")
        assert page.evaluate("session.status.state") == "ended"
        banner.get_by_role("button", name="Load again").click()
        until(page, "window.session?.status.state === 'live'")
        expect(page.locator(BANNER)).to_be_hidden()


def test_a_page_recovers_from_a_restart_of_the_server_by_one_reload(serve, apps, open_page, console):
    port = find_free_port()
    with serve(apps / "counter", port=port, keep_windows=True) as server:
        page = open_page(server.url)
        loads = []
        page.on("load", lambda page: loads.append(page.url))
        until(page, "window.seen?.length > 1")
        before = page.evaluate("session.id")
    with serve(apps / "counter", port=port) as server:
        until(page, "before => window.session?.status.state === 'live' && session.id !== before", arg=before)
        wait_for_numbers(page, 2)
        assert len(loads) == 1
        assert server.stderr.count("session created") == 1
    console.forgive(LOST)


def test_a_page_whose_server_is_gone_waits_for_it(serve, apps, open_page, console, look):
    with serve(apps / "counter", port=find_free_port(), keep_windows=True) as server:
        page = open_page(server.url, color_scheme="dark")
        until(page, "window.seen?.length > 1")
    expect(page.get_by_role("status")).to_contain_text("Connecting again…")
    look(page, "banner-restarting-dark")
    assert page.evaluate("session.status.state") == "reconnecting"
    console.forgive(LOST)


def test_a_page_that_is_too_old_to_attach_is_loaded_anew_once(serve, apps, open_page, tmp_path):
    """Its token has expired: the page was kept from connecting for longer than a token counts."""
    aged = tmp_path / "aged"
    with serve(aged, program=[apps / "ageing.py"]) as server:
        page = open_page("about:blank")
        held = []
        page.route("**/-/client/supervisor.js", lambda route: route.continue_() if held else held.append(route))
        loads = []
        page.on("framenavigated", lambda frame: loads.append(frame.url))
        page.goto(server.url, wait_until="commit")
        while not held:
            page.wait_for_timeout(20)
        first = page.evaluate("performance.timeOrigin")
        aged.touch()
        held[0].continue_()
        until(page, "window.session?.status.state === 'live'")
        wait_for_numbers(page, 2)
        assert page.evaluate("performance.timeOrigin") != first
        assert loads == [server.url] * 2
        expect(page.locator(BANNER)).to_be_hidden()
