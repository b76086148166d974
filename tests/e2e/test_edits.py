"""Edits, presence and the first paint, in the windows of a real browser."""

from .proxy import Proxy
from .waiting import expect, until

LOST = "WebSocket connection to"
"""What Chromium itself says of a connection that was lost or could not be made."""
LIVE = "window.session?.status.state === 'live'"
SESSION = "JSON.parse(document.querySelector('meta[name=supervisor]').content).session"


def open_board(open_page, url):
    page = open_page(url)
    until(page, LIVE)
    return page


def open_beside(open_page, page):
    """Another window on the session that a page shows."""
    return open_board(open_page, page.url.split("?")[0] + "?session=" + page.evaluate(SESSION))


def data(page):
    return page.evaluate("session.data")


def texts(page):
    return page.evaluate("session.data.items.map(({ text }) => text)")


def through(server, proxy):
    return server.url.replace(f":{server.port}", f":{proxy.port}")


EDIT_AT_RANDOM = """async name => {
    window.outcomes = []
    const any = below => Math.floor(Math.random() * below)
    for (let round = 0; round < 120; round++) {
        const { items } = session.data
        const kind = Math.random()
        const edit = kind < 0.45 || items.length < 3
            ? session.insert(`/items/${any(items.length + 1)}`, { text: any(10) ? `${name}${round}` : "no" })
            : kind < 0.65
                ? session.remove(`/items/${any(items.length)}`)
                : kind < 0.9
                    ? session.edit(`/items/${any(items.length)}/text`, `${name}${round}`)
                    : session.edit(`/counts/${"xyz"[any(3)]}`, `${name}${round}`)
        edit.then(() => outcomes.push("done"), ({ kind }) => outcomes.push(kind))
        if (Math.random() < 0.3) await new Promise(done => setTimeout(done, any(8)))
    }
}"""


def test_two_windows_that_edit_at_once_end_with_the_same(serve, apps, open_page):
    with serve(apps / "board") as server:
        one = open_board(open_page, server.url)
        other = open_beside(open_page, one)
        # Both begin before either has ended: `evaluate` waits for a promise, and this gives none.
        one.evaluate(f"() => {{ ({EDIT_AT_RANDOM})('one') }}")
        other.evaluate(f"() => {{ ({EDIT_AT_RANDOM})('other') }}")
        for page in (one, other):
            until(page, "outcomes.length === 120")
            outcomes = page.evaluate("outcomes")
            assert set(outcomes) <= {"done", "rejected", "conflict"}
            assert outcomes.count("done") > 60
        revision = max(one.evaluate("session.revision"), other.evaluate("session.revision"))
        for page in (one, other):
            until(page, "revision => session.revision === revision", arg=revision)
        third = open_beside(open_page, one)
        assert data(one) == data(other) == data(third)
        assert not any(text.startswith("no") for text in texts(one))
        expect(one.locator("li")).to_have_text(texts(one))


def test_an_edit_shows_at_once_and_in_the_other_window(serve, apps, open_page):
    with serve(apps / "board") as server:
        one = open_board(open_page, server.url)
        other = open_beside(open_page, one)
        shown = one.evaluate("() => { window.editing = session.edit('/title', 'Plan'); return session.data.title }")
        assert shown == "Plan"
        one.evaluate("editing")
        expect(other.get_by_role("heading")).to_have_text("Plan")


def test_a_refused_edit_is_undone_and_says_why(serve, apps, open_page):
    with serve(apps / "board") as server:
        page = open_board(open_page, server.url)
        refusal = page.evaluate("session.edit('/title', 'no way').catch(({ kind, text }) => [kind, text])")
        assert refusal == ["rejected", "That is a no."]
        assert page.evaluate("titles") == ["Board", "no way", "Board"]
        expect(page.get_by_role("heading")).to_have_text("Board")
        refusal = page.evaluate("session.edit('/items', []).catch(({ kind }) => kind)")
        assert refusal == "rejected"


def test_after_a_refused_insert_the_next_edit_still_names_the_right_item(serve, apps, open_page):
    with serve(apps / "board") as server:
        page = open_board(open_page, server.url)
        page.evaluate("session.insert('/items/0', { text: 'no' }).catch(() => {})")
        page.evaluate("session.edit('/items/2/text', 'C')")
        assert texts(page) == ["a", "b", "C", "d", "e", "f"]
        # And one that was made before the refusal was known.
        page.evaluate("""async () => {
            const refused = session.insert('/items/0', { text: 'no' }).catch(() => {})
            await Promise.all([refused, session.edit('/items/4/text', 'D')])
        }""")
        assert texts(page) == ["a", "b", "C", "D", "e", "f"]
        third = open_beside(open_page, page)
        assert data(third) == data(page)


def test_an_edit_made_offline_is_done_after_the_return(serve, apps, open_page, console):
    with serve(apps / "board") as server, Proxy(server.port) as proxy:
        page = open_board(open_page, through(server, proxy))
        other = open_board(open_page, server.url + "?session=" + page.evaluate(SESSION))
        proxy.cut()
        until(page, "session.status.state === 'reconnecting'")
        page.evaluate("""() => {
            const [one, other] = [session.edit('/items/5/text', 'F'), session.insert('/items/-', { text: 'g' })]
            window.editing = Promise.all([one, other])
        }""")
        expect(page.locator("li")).to_have_text(["a", "b", "c", "d", "e", "F", "g"])
        other.evaluate("session.remove('/items/0')")
        proxy.mend()
        page.evaluate("editing")
        for window in (page, other):
            expect(window.locator("li")).to_have_text(["b", "c", "d", "e", "F", "g"])
    console.forgive(LOST)


def test_an_edit_whose_connection_is_lost_is_done_once(serve, apps, open_page, console):
    with serve(apps / "board") as server, Proxy(server.port) as proxy:
        page = open_board(open_page, through(server, proxy))
        for number in range(5):
            page.evaluate("number => { window.editing = session.insert('/items/0', { text: `n${number}` }) }", number)
            proxy.cut()
            until(page, "session.status.state === 'reconnecting'")
            proxy.mend()
            page.evaluate("editing")
        assert texts(page) == ["n4", "n3", "n2", "n1", "n0", *"abcdef"]
    console.forgive(LOST)


def test_windows_know_of_each_other(serve, apps, open_page):
    with serve(apps / "board") as server:
        one = open_board(open_page, server.url)
        until(one, "window.peers?.length === 1 && peers[0].self")
        other = open_beside(open_page, one)
        until(one, "peers.length === 2")
        other.evaluate("() => session.presence.set({ cursor: [1, 2] })")
        until(one, "peers.find(({ self }) => !self)?.metadata.cursor?.[1] === 2")
        assert one.evaluate("peers.find(({ self }) => !self).id") == other.evaluate("session.peer")
        other.close()
        until(one, "peers.length === 1")


def test_a_page_draws_what_it_carries_before_its_websocket_is_up(serve, apps, browser, windows, console):
    with serve(apps / "board") as server:
        context = browser.new_context()
        windows.append(context)
        page = context.new_page()
        console.listen(page)
        # A websocket that neither opens nor fails.
        page.add_init_script("window.WebSocket = class { close() {} }")
        page.goto(server.url)
        expect(page.locator("li")).to_have_text([*"abcdef"])
        assert page.evaluate("session.status.state") == "connecting"
