"""The page of an exported document: whole in one file, and safe with whatever the document says."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.testing.strategies import json_values
from supervisor.transport.exported import render_exported

JSON = json_values(keys=st.text())


def render(data):
    return render_exported("shop", data, made_at="2026-01-31 12:00 UTC")


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.open = [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "span":
            self.text += data


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_asks_no_network_and_runs_no_script():
    page = render({"a": {"b": 1}})
    reader = read(page)
    assert not {tag for tag, _ in reader.tags} & {"script", "img", "iframe", "object", "form", "base", "a"}
    assert [attrs["href"] for tag, attrs in reader.tags if tag == "link"] == ["data:,"]
    assert not re.search(r"url\(|@import|https?:", page)
    assert "default-src 'none'" in page
    assert "unsafe" not in page


def test_the_policy_allows_just_the_style_that_is_there():
    page = render({})
    [style] = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [
        attrs["content"] for _, attrs in read(page).tags if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert f"style-src 'sha256-{digest}';" in policy


def test_the_page_says_what_it_is_and_when_it_was_made():
    page = render({"a": 1})
    assert "<title>shop</title>" in page
    assert "2026-01-31 12:00 UTC" in page
    assert "doesn't change" in page


def test_each_kind_of_value_is_shown_as_json_has_it():
    page = render({"s": "x", "n": 1.5, "t": True, "f": False, "z": None, "e": {}, "l": []})
    for shown in ('"string">&#34;x&#34;<', '"number">1.5<', ">true<", ">false<", ">null<", "{} empty", "[] empty"):
        assert shown in page


def test_an_empty_document_is_told_as_such():
    assert "The document is empty." in render({})


def test_what_is_deep_or_long_is_folded_at_first():
    page = render({"short": {"a": {"deep": {"b": 1}}}, "long": list(range(51)), "one": [1]})
    found = re.findall(r'<details( open)?><summary><span class="key">(\w+)<', page)
    folded = [key for is_open, key in found if not is_open]
    assert [key for _, key in found] == ["short", "a", "deep", "long", "one"]
    assert folded == ["deep", "long"]
    assert "51 items" in page
    assert "1 item<" in page


@pytest.mark.parametrize("evil", ["</ul><script>alert(1)</script>", "&amp;", '"><b>', "</style>"])
def test_nothing_of_a_document_becomes_markup(evil):
    page = render({evil: evil, "l": [evil]})
    assert read(page).text.count(evil) == 3
    assert evil == "&amp;" or evil not in page.partition("<main")[2]


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_every_document_makes_a_well_formed_page(data):
    read(render(data))


def test_the_deepest_document_there_can_be():
    data = {}
    for _ in range(200):
        data = {"a": data}
    assert render(data).count("<details") == 199
