"""The pages of the tutorial, as its reader sees them."""

from pathlib import Path

from .waiting import expect

TUTORIAL = Path(__file__).parents[2] / "docs" / "examples" / "tutorial"


def test_a_visitor_adds_to_the_list_and_reads_the_answer(serve, open_page):
    with serve(TUTORIAL / "2_messages") as server:
        page = open_page(server.url)
        page.get_by_label("What else?").fill("tea")
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_role("listitem")).to_have_text(["milk", "bread", "tea"])
        expect(page.locator("#answer")).to_have_text("3 things to buy.")
        page.get_by_label("What else?").fill("tea")
        page.get_by_role("button", name="Add").click()
        expect(page.locator("#answer")).to_have_text("There is tea on the list already.")


def test_an_offer_comes_and_runs_out(serve, open_page):
    with serve(TUTORIAL / "4_callbacks") as server:
        page = open_page(server.url)
        expect(page.locator("#offer")).to_contain_text("apples for 1.20, ")  # there for three seconds in fifteen
        expect(page.locator("#offer")).to_be_empty()


def test_a_family_edits_one_list(serve, open_page, look):
    with serve(TUTORIAL / "5_sharing") as server:
        ada, ben = open_page(server.url), open_page(server.url)
        for page, name in ((ada, "Ada"), (ben, "Ben")):
            page.get_by_label("Your name").fill(name)
            page.get_by_label("Your name").press("Tab")
        expect(ada.locator("#people")).to_contain_text("Ben")
        expect(ben.locator("#people")).to_contain_text("Ben (you)")
        ada.get_by_label("What else?").fill("tea")
        ada.get_by_role("button", name="Add").click()
        ben.get_by_role("checkbox", name="tea").check()
        expect(ada.get_by_role("checkbox", name="tea")).to_be_checked()
        expect(ada).to_have_title("Groceries (1)")
        ben.get_by_label("What else?").fill(" ")
        ben.get_by_role("button", name="Add").click()
        expect(ben.locator("#answer")).to_have_text("A thing to buy has a name, and is done or not.")
        expect(ben.get_by_role("listitem")).to_have_count(2)
        look(ada, "tutorial")
        ada.get_by_role("button", name="Remove").first.click()
        expect(ben.get_by_role("checkbox")).to_have_count(1)
        expect(ben.get_by_role("checkbox", name="tea")).to_be_checked()
