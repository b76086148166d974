"""The page of an app that has none: a live tree to look at, to search, and to edit where the app lets clients."""

from .contrast import poor_texts
from .proxy import Proxy
from .waiting import expect, until

LOST = "WebSocket connection to"
SESSION = "JSON.parse(document.querySelector('meta[name=supervisor]').content).session"


def item(page, name, **options):
    return page.get_by_role("treeitem", name=name, exact=True, **options)


def open_beside(open_page, page):
    """Another window on the session that a page shows."""
    return open_page(page.url.split("?")[0] + "?session=" + page.evaluate(SESSION))


def wait_until_live(page):
    expect(page.locator("#status")).to_have_text("Live")


def search(page, text):
    page.get_by_role("searchbox", name="Search keys and values").fill(text)


def test_it_shows_the_document_as_it_changes(serve, apps, open_page, look):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        expect(item(page, "name press 4")).to_be_visible()
        ticks = "Number(document.body.innerText.match(/ticks (\\d+)/)[1])"
        before = page.evaluate(ticks)
        until(page, f"before => {ticks} > before + 2", arg=before)
        look(page, "generic")


FILLING = """
def modify_document(doc):
    doc.data = {"prices": {}, "others": {}}
    doc.add_periodic_callback(fill, doc, seconds=0.5)


def fill(doc):
    doc.data["prices"]["ACME"] = doc.data["prices"].get("ACME", 0) + 1
    doc.data["others"]["INIT"] = 1
"""


def test_what_was_empty_at_first_unfolds_when_something_comes(serve, open_page, tmp_path):
    (tmp_path / "filling.py").write_text(FILLING)
    with serve(tmp_path / "filling.py") as server:
        page = open_page(server.url)
        expect(item(page, "prices 1 entry")).to_have_attribute("aria-expanded", "true")
        expect(item(page, "ACME 2")).to_be_visible()
        # What the visitor folds stays so.
        item(page, "prices 1 entry").locator(".row").first.click()
        page.keyboard.press("ArrowLeft")
        expect(item(page, "prices 1 entry")).to_have_attribute("aria-expanded", "false")
        page.wait_for_timeout(1200)
        expect(item(page, "prices 1 entry")).to_have_attribute("aria-expanded", "false")


def test_it_says_how_it_is_connected_at_which_revision_and_how_many_are_there(serve, apps, open_page, console):
    with serve(apps / "todo.py") as server, Proxy(server.port) as proxy:
        page = open_page(server.url.replace(f":{server.port}", f":{proxy.port}"))
        wait_until_live(page)
        expect(page.locator("#revision")).to_have_text("Revision 1")
        expect(page.locator("#present")).to_have_text("1 here")
        other = open_page(server.url + "?session=" + page.evaluate(SESSION))
        expect(page.locator("#present")).to_have_text("2 here")
        other.close()
        expect(page.locator("#present")).to_have_text("1 here")
        proxy.cut()
        expect(page.locator("#status")).to_have_text("Connecting again")
        proxy.mend()
        wait_until_live(page)
    console.forgive(LOST)


def test_a_screen_reader_finds_a_tree(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        item(page, "text bread").locator(".row").click()
        expect(page.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading "todo" [level=1]
              - paragraph: /Live Revision \\d+ 1 here/
              - group "The tree":
                - searchbox "Search keys and values"
                - button "Expand all"
                - button "Collapse all"
            - main:
              - tree "The document":
                - treeitem "title Saturday"
                - treeitem "notes 3 items" [expanded]:
                  - group:
                    - treeitem "0 3 entries" [expanded]:
                      - group:
                        - treeitem "text milk"
                        - treeitem "done false"
                        - treeitem "amount 2"
                    - treeitem "1 3 entries" [expanded]:
                      - group:
                        - treeitem "text bread" [selected]
            - contentinfo:
              - region "Selected":
                - code: /notes/1/text
                - button "Copy path"
                - button "Edit"
                - button "Add beside"
                - button "Remove"
        """)


def test_the_keyboard_goes_through_the_tree(serve, apps, open_page):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        # Search, two buttons, and then the tree is one stop, whatever is in it.
        for _ in range(4):
            page.keyboard.press("Tab")
        expect(item(page, "machine 4 entries")).to_be_focused()
        style = "getComputedStyle(document.activeElement.querySelector('.row')).outlineStyle"
        assert page.evaluate(style) == "solid"
        page.keyboard.press("ArrowLeft")
        expect(item(page, "name press 4")).to_be_hidden()
        page.keyboard.press("ArrowRight")
        expect(item(page, "name press 4")).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(item(page, "name press 4")).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(item(page, "running true")).to_be_focused()
        page.keyboard.press("ArrowLeft")
        expect(item(page, "machine 4 entries")).to_be_focused()
        page.keyboard.press("o")
        expect(item(page, "orders 2 items")).to_be_focused()
        page.keyboard.press("ArrowUp")
        expect(item(page, "alarm null")).to_be_focused()
        page.keyboard.press("End")
        expect(item(page, "empty 0 entries")).to_be_focused()
        page.keyboard.press("Home")
        expect(item(page, "machine 4 entries")).to_be_focused()
        page.keyboard.press("l")
        expect(item(page, "log 300 items")).to_be_focused()
        page.keyboard.press("Space")
        expect(item(page, "199 line 199")).to_be_visible()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("e")
        page.keyboard.press("ArrowUp")
        more = page.get_by_role("treeitem", name="Show more (100 left)")
        expect(more).to_be_focused()
        page.keyboard.press("Enter")
        expect(item(page, "200 line 200")).to_be_focused()
        expect(item(page, "299 line 299")).to_be_visible()
        expect(more).to_have_count(0)
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Copy path")).to_be_focused()
        expect(page.locator("#path")).to_have_text("/log/200")


def test_what_is_folded_is_not_made(serve, apps, open_page):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        assert page.locator("[role=treeitem]").count() < 20
        page.get_by_role("button", name="Expand all").click()
        expect(item(page, "199 line 199")).to_be_visible()
        page.get_by_role("button", name="Collapse all").click()
        expect(page.get_by_role("treeitem")).to_have_count(5)


def test_the_search_keeps_what_was_found_and_the_way_to_it(serve, apps, open_page):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        search(page, "LINE 29")
        expect(page.locator("#found")).to_have_text("11 found")
        expect(page.get_by_role("treeitem")).to_have_count(12)
        expect(page.locator("mark").first).to_have_text("line 29")
        search(page, "speed")
        expect(page.get_by_role("treeitem")).to_have_text(["machine 4 entriesspeed 118.5", "speed 118.5"])
        search(page, "nowhere")
        expect(page.locator("#found")).to_have_text("Nothing found")
        page.keyboard.press("Escape")
        expect(page.get_by_role("searchbox")).to_have_value("")
        expect(item(page, "name press 4")).to_be_visible()
        assert page.locator("mark").count() == 0
        # As it was: what was folded before is folded again.
        expect(item(page, "199 line 199")).to_be_hidden()


def test_the_search_follows_the_document(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        other = open_beside(open_page, page)
        wait_until_live(other)
        search(page, "tea")
        expect(page.locator("#found")).to_have_text("Nothing found")
        item(other, "text coffee").locator(".value").click()
        other.keyboard.type("tea")
        other.keyboard.press("Enter")
        expect(item(page, "text tea")).to_be_visible()


def test_a_value_is_edited_where_it_stands_and_the_other_window_flashes(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        other = open_beside(open_page, page)
        wait_until_live(other)
        item(page, "text milk").locator(".value").click()
        field = page.get_by_role("textbox", name="Value of /notes/0/text")
        expect(field).to_be_focused()
        expect(field).to_have_value("milk")
        page.keyboard.type("oat milk")
        page.keyboard.press("Enter")
        expect(item(page, "text oat milk")).to_be_focused()
        expect(item(other, "text oat milk").locator(".value")).to_have_class("value string flash-a")
        # By keyboard, a number: JSON.
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.type("two")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This is not JSON")
        page.keyboard.press("Escape")
        expect(item(page, "amount 2")).to_be_focused()
        page.keyboard.press("F2")
        page.keyboard.type("7")
        page.keyboard.press("Enter")
        expect(item(other, "amount 7")).to_be_visible()
        assert other.evaluate("getComputedStyle(document.querySelector('.flash-a')).animationName") == "flash-a"
        other.emulate_media(reduced_motion="reduce")
        assert other.evaluate("getComputedStyle(document.querySelector('.flash-a')).animationName") == "none"


def test_escape_leaves_it_as_it_was(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        item(page, "title Saturday").locator(".value").click()
        page.keyboard.type("Sunday")
        page.keyboard.press("Escape")
        expect(item(page, "title Saturday")).to_be_focused()
        expect(page.get_by_role("textbox")).to_have_count(0)
        item(page, "changes 0").locator(".value").click()
        expect(page.get_by_role("textbox")).to_have_count(0)
        expect(page.get_by_role("button", name="Edit")).to_be_hidden()


def test_a_refused_edit_is_undone_and_the_reason_stands_beside_it(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        item(page, "text bread").locator(".value").click()
        page.keyboard.press("Backspace")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("Not changed: A note needs a text.")
        expect(page.get_by_role("treeitem", name="text bread")).to_be_focused()


def test_items_and_entries_are_put_in_and_taken_out(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        item(page, "tags 2 items").focus()
        page.get_by_role("button", name="Add inside").click()
        page.get_by_role("textbox", name="New item").fill("quick")
        page.keyboard.press("Enter")
        expect(item(page, "2 quick")).to_be_visible()
        item(page, "1 shop").locator(".key").click()
        page.get_by_role("button", name="Insert before").click()
        page.get_by_role("textbox", name="New item before 1").fill("work")
        page.get_by_role("button", name="Save").click()
        expect(item(page, "1 work")).to_be_visible()
        # The row goes on with its item: the keyboard is where it was.
        expect(item(page, "2 shop")).to_be_focused()
        item(page, "settings 3 entries").focus()
        page.keyboard.press("Insert")
        page.get_by_role("textbox", name="Name of the new entry").fill("size/unit")
        page.get_by_role("textbox", name="Value of the new entry").fill('["cm"]')
        page.keyboard.press("Enter")
        expect(item(page, "size/unit 1 item")).to_be_visible()
        expect(item(page, "0 cm")).to_be_visible()
        item(page, "1 work").focus()
        page.keyboard.press("Delete")
        expect(item(page, "1 shop")).to_be_focused()
        expect(item(page, "1 work")).to_have_count(0)
        page.get_by_role("button", name="Undo").click()
        expect(item(page, "1 work")).to_be_visible()


def test_a_row_that_is_edited_stays_with_its_item_when_others_come_before_it(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        other = open_beside(open_page, page)
        wait_until_live(other)
        item(page, "text coffee").locator(".value").click()
        page.keyboard.type("espresso")
        item(other, "0 3 entries").focus()
        other.keyboard.press("Delete")
        expect(page.get_by_role("treeitem", name="notes 2 items")).to_be_visible()
        expect(page.get_by_role("textbox", name="Value of")).to_be_focused()
        page.keyboard.press("Enter")
        for window in (page, other):
            expect(item(window, "text espresso")).to_be_visible()
            expect(item(window, "text bread")).to_be_visible()


def test_a_container_is_edited_as_json(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        item(page, "settings 3 entries").focus()
        page.keyboard.press("F2")
        field = page.get_by_role("textbox", name="Value of /settings")
        expect(field).to_have_value('{\n  "colour": "green",\n  "limit": 5,\n  "until": null\n}')
        field.fill('{"colour": "blue"}')
        page.keyboard.press("Control+Enter")
        expect(item(page, "settings 1 entry")).to_be_focused()
        expect(item(page, "colour blue")).to_be_visible()


def test_a_path_is_copied(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url, permissions=["clipboard-read", "clipboard-write"])
        wait_until_live(page)
        item(page, "text bread").focus()
        page.keyboard.press("Control+c")
        expect(page.locator("#message")).to_have_text("Copied /notes/1/text")
        assert page.evaluate("navigator.clipboard.readText()") == "/notes/1/text"


def test_it_draws_before_its_websocket_is_up(serve, apps, browser, windows, console):
    with serve(apps / "todo.py") as server:
        context = browser.new_context()
        windows.append(context)
        page = context.new_page()
        console.listen(page)
        page.add_init_script("window.WebSocket = class { close() {} }")
        page.goto(server.url)
        expect(item(page, "text milk")).to_be_visible()
        expect(page.locator("#status")).to_have_text("Connecting")


def test_without_javascript_it_says_that_it_needs_it(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url, java_script_enabled=False)
        assert page.inner_text("main") == "This page shows live data and needs JavaScript."
        expect(page.locator("#status")).to_be_hidden()


def test_a_text_is_told_from_a_number_without_colours(serve, apps, open_page):
    with serve(apps / "todo.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        before = "element => getComputedStyle(element, '::before').content.split(' / ')[0]"
        assert item(page, "text milk").locator(".value").evaluate(before) == '"\\""'
        assert item(page, "amount 2").locator(".value").evaluate(before) == "none"


def test_of_a_large_document_few_rows_are_made(serve, apps, open_page):
    """Which is what keeps it quick."""
    with serve(apps / "large.py") as server:
        page = open_page(server.url)
        expect(page.get_by_role("treeitem", name="rows 20,000 items")).to_be_visible()
        page.get_by_role("treeitem", name="rows 20,000 items").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("treeitem", name="Show more (19,800 left)")).to_be_visible()
        assert page.get_by_role("treeitem").count() < 250
        search(page, "row 19999")
        expect(page.get_by_role("treeitem", name="name row 19999")).to_be_visible()


def test_of_ten_thousand_values_a_part_is_unfolded(serve, apps, open_page):
    """At first, by the button and by the key: rows that nobody asked for would keep the browser for seconds."""
    with serve(apps / "wide.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        expect(page.get_by_role("treeitem")).to_have_count(200)
        page.get_by_role("button", name="Expand all").click()
        expect(page.locator("#message")).to_contain_text("too many rows")
        expect(item(page, "value 49 0")).to_be_visible()
        assert page.get_by_role("treeitem").count() == 2_200
        page.get_by_role("button", name="Collapse all").click()
        expect(page.get_by_role("treeitem")).to_have_count(200)
        page.get_by_role("treeitem").first.focus()
        page.keyboard.press("*")
        expect(item(page, "value 49 0")).to_be_visible()
        assert page.get_by_role("treeitem").count() == 2_200


def test_what_is_selected_stays_so_while_other_rows_change(serve, apps, open_page):
    with serve(apps / "plain.py") as server:
        page = open_page(server.url)
        wait_until_live(page)
        page.evaluate("getSelection().selectAllChildren(document.querySelector('.key'))")
        ticks = "Number(document.body.innerText.match(/ticks (\\d+)/)[1])"
        until(page, f"before => {ticks} > before + 2", arg=page.evaluate(ticks))
        assert page.evaluate("getSelection().toString()") == "machine"


def test_every_text_has_contrast_and_nothing_sticks_out(serve, apps, open_page, look):
    with serve(apps / "todo.py") as server:
        for device, width, height in (("desk", 1280, 860), ("phone", 390, 844)):
            for scheme in ("light", "dark"):
                page = open_page(
                    server.url,
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                )
                wait_until_live(page)
                search(page, "e")
                expect(page.get_by_text("12 found")).to_be_visible()  # rows go by that, and what is clicked moves
                item(page, "text coffee").locator(".value").click()
                expect(page.get_by_role("textbox", name="Value of /notes/2/text")).to_be_focused()
                look(page, f"generic-{device}-{scheme}-editing")
                assert poor_texts(page) == []
                page.keyboard.press("Control+a")
                page.keyboard.press("Backspace")
                page.keyboard.press("Enter")
                expect(page.get_by_role("alert")).to_contain_text("A note needs a text.")
                item(page, "colour green").locator(".key").click()
                page.get_by_role("button", name="Add beside").click()
                page.keyboard.press("Tab")
                page.keyboard.press("Enter")
                expect(page.get_by_role("alert").last).to_have_text("The new entry needs a name.")
                look(page, f"generic-{device}-{scheme}-problems")
                assert poor_texts(page) == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width
