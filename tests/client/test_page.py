"""What is read in a page."""

import html
import json

import pytest

from supervisor.client.page import MAX_SENTENCE, Entry, read_entry, read_sentence

CONTENT = {"session": "s-1", "token": "t'\"<1>", "websocket": "/a/-/websocket"}


def meta(content):
    return f'<meta name="supervisor" content="{html.escape(json.dumps(content))}">'


@pytest.mark.parametrize(
    "text",
    [
        f"<!doctype html><html><head><title>x</title>{meta(CONTENT)}</head><p>Hello",
        f"<META NAME=other content=x>{meta(CONTENT)}",
        meta(CONTENT).replace('<meta name="supervisor"', "<meta id=a  name='supervisor'"),
        meta(CONTENT)[:-1] + "/>",
        meta(CONTENT) + meta({"session": "another", "token": "t", "websocket": "/"}),
    ],
)
def test_the_element_is_found_wherever_it_stands(text):
    assert read_entry(text) == Entry(session="s-1", token="t'\"<1>", websocket="/a/-/websocket")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "<!-- " + meta(CONTENT) + " -->",
        f"<script>'{meta(CONTENT)}'</script>",
        '<meta name="supervisor">',
        '<meta name="supervisor" content="nonsense">',
        f'<meta name="supervisor" content="{"[" * 100_000}">',
        meta([]),
        meta({**CONTENT, "token": 5}),
        meta({**CONTENT, "token": ""}),
        meta({"session": "s"}),
    ],
)
def test_a_page_without_one_that_makes_sense_has_none(text):
    assert read_entry(text) is None


@pytest.mark.parametrize(("said", "read"), [(2048, 2048), (None, None), ("2048", None), (True, None)])
def test_what_the_server_takes_is_known_if_it_says_so(said, read):
    assert read_entry(meta({**CONTENT, "max_message_size": said})).max_message_size == read


def test_the_token_is_in_no_repr():
    assert "t-1" not in repr(Entry(session="s", token="t-1", websocket="/"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "<html><title>No entry</title><style>p {}</style><h1>No entry</h1>\n<p>Please\n  log <b>in</b>.</p><p>More",
            "No entry. Please log in",
        ),
        ("<title>404 Not Found</title><center>nginx", "404 Not Found"),
        ("Busy, come back later.\nReally.", "Busy, come back later"),
        ("<p>Gone.</p>", "Gone"),
        ("<h1>A\x1b[31m\u202eB</h1>", "A[31mB"),
        ("<h1>" + "x" * 1000, "x" * (MAX_SENTENCE - 1) + "…"),
        ("", ""),
    ],
)
def test_an_error_says_what_its_page_says(text, sentence):
    assert read_sentence(text) == sentence
