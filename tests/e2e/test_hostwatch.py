"""The demo in a browser."""

import re

from .contrast import poor_texts
from .waiting import expect, until

LINE = "document.querySelector('[aria-labelledby=cpu-heading] path.line')?.getAttribute('d')"
"""What is drawn of the processor; undefined before there is anything."""


def card(page, name):
    return page.get_by_role("region", name=name)


def choice(page, name):
    return page.get_by_role("checkbox", name=name, exact=True)


def wait_for_a_change(page):
    before = until(page, LINE)
    until(page, f"before => {LINE} !== before", arg=before)


def test_a_change_arrives(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        page = open_page(server.url)
        expect(page.get_by_role("heading", level=1)).to_contain_text("hostwatch on")
        expect(card(page, "Processor").get_by_role("row", name="Busy")).to_contain_text("%")
        for _ in range(3):
            wait_for_a_change(page)


def test_a_choice_is_sent_and_shows_in_ones_own_window_only(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        one, other = open_page(server.url), open_page(server.url)
        expect(card(one, "Memory")).to_be_visible()
        choice(one, "Memory").uncheck()
        choice(one, "Disk").check()
        expect(card(one, "Memory")).to_be_hidden()
        expect(card(one, "Disk").get_by_role("row", name="Written")).to_contain_text("B/s")
        assert headings(one) == ["Processor", "Cores", "Disk", "Network"]
        wait_for_a_change(other)
        assert headings(other) == ["Processor", "Cores", "Memory", "Network"]
        expect(choice(other, "Memory")).to_be_checked()


def headings(page):
    return page.get_by_role("heading", level=2).all_text_contents()


def test_a_choice_outlives_a_reload_and_the_history_is_there(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        page = open_page(server.url)
        choice(page, "Cores").uncheck()
        choice(page, "Network").uncheck()
        page.wait_for_url(re.compile(r"show=cpu%2Cmemory$"))
        until(page, f"{LINE}?.split('L').length > 8")
        page.reload()
        expect(card(page, "Processor")).to_be_visible()
        assert headings(page) == ["Processor", "Memory"]
        assert page.evaluate(f"{LINE}?.split('L').length") > 8


def test_what_the_server_rejects_is_said_and_undone(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        page = open_page(server.url)
        # No checkbox of the page can ask for what isn't there, so the message is changed on its way.
        page.evaluate("""() => {
            const send = WebSocket.prototype.send
            WebSocket.prototype.send = function (frame) { send.call(this, frame.replace('"disk"', '"weather"')) }
        }""")
        choice(page, "Disk").click()
        expect(page.get_by_role("alert")).to_have_text(re.compile("There is no such metric"))
        expect(choice(page, "Disk")).not_to_be_checked()


def test_paused_a_page_stands_still(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        page, other = open_page(server.url), open_page(server.url)
        wait_for_a_change(page)
        page.get_by_role("button", name="Pause").click()
        # What was due is drawn before the second frame from now, and both go the same way: by a timer and a frame.
        page.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done))))")
        line = page.evaluate(LINE)
        for _ in range(3):
            wait_for_a_change(other)
        assert page.evaluate(LINE) == line
        page.get_by_role("button", name="Pause", pressed=True).click()
        wait_for_a_change(page)


def test_it_can_be_used_by_keyboard_alone(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        page = open_page(server.url)
        expect(card(page, "Processor")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Pause")).to_be_focused()
        page.keyboard.press("Tab")
        expect(choice(page, "Processor")).to_be_focused()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Space")
        expect(card(page, "Processor")).to_be_hidden()
        expect(choice(page, "Processor")).to_be_focused()


def test_a_screen_reader_finds_choices_charts_and_numbers(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        page = open_page(f"{server.url}?show=cpu,cores,disk")
        expect(card(page, "Processor")).to_be_visible()
        expect(page.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading /hostwatch on .+/ [level=1]
              - button "Pause"
              - group "Show":
                - checkbox "Processor" [checked]
                - checkbox "Cores" [checked]
                - checkbox "Memory"
                - checkbox "Disk" [checked]
                - checkbox "Network"
            - main:
              - region "Processor":
                - heading "Processor" [level=2]
                - img "Processor, the last 30 seconds as a chart; the table has its numbers"
                - table:
                  - rowgroup:
                    - row "Now Lowest Highest"
                  - rowgroup:
                    - row /Busy \\d+ % \\d+ % \\d+ %/
              - region "Cores":
                - list:
                  - listitem:
                    - paragraph:
                      - text: Core 1
                      - strong: /\\d+ %/
              - region "Disk":
                - table:
                  - rowgroup
                  - rowgroup:
                    - row /Read .+B\\/s .+B\\/s .+B\\/s/
                    - row /Written .+B\\/s .+B\\/s .+B\\/s/
        """)


def test_it_works_under_a_prefix(serve, hostwatch, open_page):
    with serve(hostwatch, "--prefix", "/tools/live") as server:
        assert server.url.endswith("/tools/live/hostwatch")
        page = open_page(server.url.removesuffix("/hostwatch") + "/")
        assert page.url == server.url
        wait_for_a_change(page)
        choice(page, "Disk").check()
        expect(card(page, "Disk")).to_be_visible()


def test_nothing_sticks_out_on_a_desk_or_a_phone_by_day_or_night(serve, hostwatch, open_page, look):
    with serve(hostwatch) as server:
        for device, width, height in (("desk", 1280, 860), ("phone", 390, 844)):
            for scheme in ("light", "dark"):
                page = open_page(
                    f"{server.url}?show=cpu,cores,memory,disk,network",
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                )
                until(page, LINE)
                look(page, f"hostwatch-{device}-{scheme}", full_page=True)
                assert poor_texts(page) == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_where_less_motion_is_wished_the_charts_move_once_a_second(serve, hostwatch, open_page):
    with serve(hostwatch) as server:
        page = open_page(server.url, reduced_motion="reduce")
        until(page, LINE)
        moved_at = page.evaluate("""() => new Promise(done => {
            const times = []
            const line = document.querySelector("[aria-labelledby=cpu-heading] path.line")
            const observer = new MutationObserver(() => times.push(document.timeline.currentTime) === 3 && done(times))
            observer.observe(line, { attributes: true })
        })""")
        assert moved_at[2] - moved_at[0] > 1900
