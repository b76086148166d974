"""The built documentation in a real browser: nothing from elsewhere, and readable on a phone."""

import pytest

from ..docs.building import DOCS
from ..docs.building import built as built

PAGES = sorted(str(path.relative_to(DOCS).with_suffix(".html")) for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_ask_no_server_and_fit_a_phone(built, browser, console, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    try:
        page = context.new_page()
        console.listen(page)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        too_wide = []
        for name in PAGES:
            page.goto((built / name).as_uri())
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                too_wide.append(name)
        assert too_wide == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    finally:
        context.close()


def test_drawings_are_in_the_colours_of_the_page(built, browser):
    colours = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto((built / "explanation" / "session-lifecycle.html").as_uri())
        colours[scheme] = page.evaluate("getComputedStyle(document.querySelector('.drawing svg text')).fill")
        context.close()
    assert colours["light"] != colours["dark"]
