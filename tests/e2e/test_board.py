"""The demo board in a browser: people who write at once, by mouse and by keyboard, with a network that can be cut."""

import pytest

from .contrast import poor_texts
from .proxy import Proxy
from .waiting import expect

LOST = "WebSocket connection to"
"""What Chromium itself says of a connection that was lost or could not be made."""


@pytest.fixture(scope="module")
def demo(request):
    return request.config.rootpath / "demos" / "board"


def enter(open_page, url, name, **options):
    """Open the board under a name."""
    page = open_page(url, **options)
    expect(page.get_by_role("list", name="Who is here").get_by_text("(you)")).to_be_visible()
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Your name").press("Tab")
    expect(page.get_by_text(f"{name} (you)", exact=True)).to_be_visible()
    return page


def notes(page, column=None):
    """The texts of all notes, or of those in a column."""
    place = page if column is None else page.get_by_role("region", name=column)
    return place.get_by_label("Text of a note")


def write(page, column, text):
    page.get_by_role("button", name=f"Add a note to {column}").click()
    page.keyboard.type(text)
    expect(notes(page, column).last).to_have_value(text)


def button(page, name):
    """A button of the first note that has one of this name which can be pressed."""
    return page.get_by_role("button", name=name, disabled=False).first


def test_what_one_does_all_see_and_who_is_writing(serve, demo, open_page):
    with serve(demo) as server:
        ada, bob = enter(open_page, server.url, "Ada"), enter(open_page, server.url, "Bob")
        expect(ada.get_by_role("list", name="Who is here").get_by_role("listitem")).to_have_text(["Ada (you)", "Bob"])
        write(ada, "To do", "<b>Milk</b> and bread")
        expect(notes(bob, "To do")).to_have_value("<b>Milk</b> and bread")
        expect(bob.get_by_text("Ada is writing …")).to_be_visible()
        button(bob, "Vote for this note").click()
        expect(ada.get_by_role("button", name="it has 1 vote")).to_be_visible()
        bob.get_by_title("Drag to another column").drag_to(bob.get_by_role("heading", name="Done"))
        expect(notes(ada, "Done")).to_have_count(1)
        bob.get_by_role("button", name="Throw all notes of Done away").click()
        expect(notes(ada)).to_have_count(0)
        expect(ada.get_by_role("alert")).to_have_text("The note that you were writing was removed.")
        expect(ada.get_by_text("Bob removed a note")).to_be_visible()
        bob.get_by_label("Title of this board").fill(" ")
        bob.get_by_label("Title of this board").press("Enter")
        expect(bob.get_by_role("alert")).to_have_text("A title has 1 to 60 characters.")
        expect(bob.get_by_label("Title of this board")).to_have_value("Kitchen")


def test_two_who_write_in_one_note_in_turn_keep_their_places(serve, demo, open_page):
    with serve(demo) as server:
        ada, bob = enter(open_page, server.url, "Ada"), enter(open_page, server.url, "Bob")
        write(ada, "To do", "milk")
        expect(notes(bob)).to_have_value("milk")
        ada.keyboard.press("Home")
        notes(bob).press("End")
        for written in range(1, 7):
            # One after the other: of two who set one value at the very same moment, the later one stays.
            ada.keyboard.type("fresh "[written - 1])
            expect(notes(bob)).to_have_value(f"{'fresh '[:written]}milk{' today'[: written - 1]}")
            bob.keyboard.type(" today"[written - 1])
            expect(notes(ada)).to_have_value(f"{'fresh '[:written]}milk{' today'[:written]}")


def test_a_note_made_and_written_offline_is_there_after_the_return(serve, demo, open_page, console):
    with serve(demo) as server, Proxy(server.port) as proxy:
        bob = enter(open_page, server.url, "Bob")
        ada = enter(open_page, server.url.replace(f":{server.port}", f":{proxy.port}"), "Ada")
        proxy.cut()
        expect(ada.get_by_text("Connecting again…")).to_be_visible()
        write(ada, "To do", "milk")
        write(bob, "To do", "bread")
        write(ada, "Doing", "honey")
        proxy.mend()
        for page in (ada, bob):
            expect(notes(page)).to_have_count(3)
            for column, texts in (("To do", {"milk", "bread"}), ("Doing", {"honey"})):
                assert {note.input_value() for note in notes(page, column).all()} == texts
        expect(bob.get_by_role("region", name="Doing").get_by_role("listitem")).to_contain_text("Ada")
    console.forgive(LOST)


def test_it_can_be_used_by_keyboard_alone(serve, demo, open_page):
    with serve(demo) as server:
        page, other = enter(open_page, server.url, "Ada"), enter(open_page, server.url, "Bob")
        for text in ("milk", "bread"):
            page.get_by_role("button", name="Add a note to To do").press("Enter")
            page.keyboard.type(text)
        expect(notes(other, "To do").last).to_have_value("bread")
        # The focus stays on what was pressed, wherever it goes, so that it can be pressed again.
        button(page, "Move to the column on the right").press("Enter")
        expect(notes(page, "Doing")).to_have_value("milk")
        page.keyboard.press("Enter")
        expect(notes(page, "Done")).to_have_value("milk")
        page.keyboard.press("Enter")  # on the one to the left: there is nothing on the right any more
        expect(notes(page, "Doing")).to_have_value("milk")
        # Another one moves the note in which somebody writes.
        notes(page, "Doing").press("End")
        button(other.get_by_role("region", name="Doing"), "Move to the column on the left").click()
        expect(notes(page, "To do")).to_have_count(2)
        page.keyboard.type(" and honey")
        expect(notes(other, "To do").first).to_have_value("milk and honey")
        for left in (1, 0):
            button(page, "Remove this note").press("Enter")
            expect(notes(page)).to_have_count(left)
        expect(page.get_by_role("button", name="Add a note to To do")).to_be_focused()


def test_a_visitor_can_say_anything_of_themselves(serve, demo, open_page):
    with serve(demo) as server:
        page, other = enter(open_page, server.url, "Ada"), open_page(server.url)
        other.evaluate("""async () => {
            const { connect } = await import(document.querySelector("script[type=module]").textContent
                .match(/"([^"]*supervisor.js)"/)[1])
            window.another = await connect({ banner: false })
            another.presence.set({ name: { toString: 1 }, note: ["x"] })
        }""")
        expect(page.get_by_role("list", name="Who is here").get_by_text("Somebody")).to_have_count(2)
        write(other, "To do", "milk")
        expect(notes(page)).to_have_value("milk")


def test_another_board_is_opened_from_the_page(serve, demo, open_page):
    with serve(demo) as server:
        page, other = enter(open_page, server.url, "Ada"), open_page(server.url)
        page.get_by_label("Name of a board").fill("garden")
        page.get_by_label("Name of a board").press("Enter")
        expect(page.get_by_label("Title of this board")).to_have_value("Garden")
        expect(other.get_by_role("navigation", name="All boards")).to_contain_text("Garden 0 notes, 1 person")


def test_a_full_board_says_so_and_goes_on(serve, demo, open_page):
    with serve(demo) as server:
        page = enter(open_page, server.url, "Ada")
        page.evaluate("""async () => {
            const add = document.querySelectorAll(".add")
            for (let number = 0; number < 200; number++) {
                add[number % 3].click()
                document.activeElement.value = "x".repeat(500)
                document.activeElement.dispatchEvent(new Event("input"))
                if (number % 20 === 19) await new Promise((done) => setTimeout(done, 100))
            }
        }""")
        other = enter(open_page, server.url, "Bob")
        expect(notes(other)).to_have_count(200)
        page.get_by_role("button", name="Add a note to To do").click()
        expect(page.get_by_role("alert")).to_have_text("A board holds 200 notes; throw some away.")
        expect(notes(page)).to_have_count(200)
        notes(other).first.fill("milk")
        expect(notes(page).first).to_have_value("milk")


def test_it_looks_well_on_a_desk_and_a_phone_by_day_and_night(serve, demo, open_page, look):
    with serve(demo) as server:
        bob = enter(open_page, server.url, "Bob")
        ada = enter(open_page, server.url, "Ada", viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        look(ada, "board-empty")
        write(ada, "To do", "Milk and bread")
        write(bob, "To do", "Call the plumber")
        write(bob, "Doing", "Paint the fence")
        write(ada, "Done", "Order seeds")
        button(bob, "Vote for this note").click()
        notes(bob, "To do").last.click()
        ada.get_by_role("heading", name="All boards").click()
        expect(ada.get_by_text("Bob is writing …")).to_be_visible()
        look(ada, "board")
        for device, width, height in (("desk", 1280, 800), ("phone", 390, 844)):
            for scheme in ("light", "dark"):
                page = enter(
                    open_page, server.url, "Grace", viewport={"width": width, "height": height}, color_scheme=scheme
                )
                look(page, f"board-{device}-{scheme}", full_page=True)
                assert poor_texts(page) == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                page.close()


def test_a_screen_reader_finds_columns_notes_and_what_to_do_with_them(serve, demo, open_page):
    with serve(demo) as server:
        page = enter(open_page, server.url, "Ada")
        write(page, "Doing", "Paint the fence")
        expect(button(page, "Remove this note")).to_have_accessible_description("Paint the fence")
        expect(page.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading "Kitchen" [level=1]:
                - textbox "Title of this board": Kitchen
              - textbox "Your name"
              - list "Who is here":
                - listitem: Ada (you)
            - main:
              - region "Doing":
                - heading "Doing" [level=2]
                - list:
                  - listitem "Paint the fence":
                    - textbox "Text of a note"
                    - button "Move to the column on the left"
                    - button "Move to the column on the right"
                    - button "Vote for this note; it has 0 votes"
                    - button "Remove this note"
                - button "Add a note to Doing"
            - contentinfo:
              - navigation "All boards":
                - list:
                  - listitem:
                    - link "Kitchen"
              - region "What happened last":
                - list:
                  - listitem: Ada added a note
        """)
