"""The demo gatekeeper in a browser: two servers behind a real HAProxy."""

import pytest

from ..demos.gatekeeper_site import KEY, load_sign, open_site, run_haproxy, set_environment
from .contrast import poor_texts
from .waiting import expect

STATUS = "the server responded with a status of 403"


@pytest.fixture(scope="module")
def gatekeeper(request):
    return request.config.rootpath / "demos" / "gatekeeper"


@pytest.fixture(scope="module")
def site(gatekeeper, tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        environment = set_environment(monkeypatch, tmp_path_factory.mktemp("gatekeeper"))
        with run_haproxy(gatekeeper, environment) as haproxy:
            with open_site(gatekeeper, environment, monkeypatch, haproxy) as site:
                yield site


@pytest.fixture
def link(site, gatekeeper):
    sign = load_sign(gatekeeper)
    return lambda name, key=KEY: f"http://{site.address}/gatekeeper?session={sign(name, key)}"


def test_who_has_the_link_is_in_the_room_and_hears_every_knock(link, open_page, look):
    options = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
    windows = [open_page(link("tea-at-five"), **options) for _ in range(3)]
    for page in windows:
        expect(page.get_by_role("heading", level=1)).to_have_text("tea-at-five")
    for knocks, page in enumerate(windows, start=1):
        page.get_by_role("button", name="Knock").click()
        for each in windows:
            expect(each.locator("#knocks")).to_have_text("1 knock" if knocks == 1 else f"{knocks} knocks")
    nodes = {page.locator("#node").text_content() for page in windows}
    assert nodes in ({"n1"}, {"n2"})
    look(windows[0], "gatekeeper")


def test_who_has_no_signed_link_stays_outside(link, open_page, console, look):
    page = open_page(link("tea-at-five", "another secret key"))
    expect(page.get_by_role("heading", level=1)).to_have_text("No entry")
    expect(page.get_by_role("main")).to_contain_text("This link is not signed. Ask whoever gave it to you")
    look(page, "gatekeeper-refused")
    console.forgive(STATUS)


def test_nothing_sticks_out_on_a_desk_or_a_phone_by_day_or_night(link, open_page, look):
    for device, width, height in (("desk", 1280, 800), ("phone", 390, 844)):
        for scheme in ("light", "dark"):
            page = open_page(
                link("a-room-with-a-name-that-is-longer-than-a-phone-is-wide"),
                viewport={"width": width, "height": height},
                color_scheme=scheme,
            )
            expect(page.locator("#knocks")).to_have_text("0 knocks")
            look(page, f"gatekeeper-{device}-{scheme}")
            assert poor_texts(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
