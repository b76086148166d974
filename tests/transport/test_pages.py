"""Pages: templates, the <meta> element, the headers that each of them carries."""

import html
import itertools
import json
import os
import re

import attrs
import jinja2
import pytest

from supervisor.transport.pages import (
    MAX_DATA,
    DevContext,
    Listed,
    PageContext,
    Pages,
    WayOut,
    insert_at_end,
    insert_into_head,
    page_headers,
)

PAGE = PageContext(
    title="app", session="s-1", token="t<&\"'>{}", websocket="/tools/app/-/websocket", max_message_size=1_000_000
)


@pytest.fixture
def pages():
    nonces = (f"nonce{number}" for number in itertools.count(1))
    return Pages(prefix="/tools", new_nonce=lambda: next(nonces))


@pytest.fixture
def template(tmp_path):
    """Write an app's template: `template(text)`; returns the app's directory."""

    def write(text, name="index.html"):
        (tmp_path / "templates").mkdir(exist_ok=True)
        (tmp_path / "templates" / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def text_of(response):
    return response.body.decode()


DATA = re.compile(r'<script type="application/json" id="supervisor-data" nonce="(\w+)">(.*?)</script>', re.DOTALL)


def rendered(response):
    """The page without what every live page carries for the browser client."""
    return DATA.sub("", text_of(response))


def meta_of(text):
    [content] = re.findall(r'<meta name="supervisor" content="([^"]*)">', text)
    return json.loads(html.unescape(content))


def test_the_generic_page_has_what_the_client_needs_and_runs_under_its_own_policy(pages):
    response = pages.live_page(None, PAGE)
    text = text_of(response)
    assert meta_of(text) == {
        "session": "s-1",
        "token": PAGE.token,
        "websocket": PAGE.websocket,
        "max_message_size": 1_000_000,
    }
    assert "'nonce-nonce1'" in response.headers["content-security-policy"]
    assert re.findall(r'nonce="([^"]*)"', text) == ["nonce1"] * 4
    assert '"/tools/-/client/generic.js"' in text
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_an_apps_directory_without_a_template_gets_the_generic_page(pages, tmp_path):
    assert "generic.js" in text_of(pages.live_page(tmp_path, PAGE))


def test_a_template_gets_its_variables(pages, template):
    directory = template("<head></head>{{ nonce }}|{{ client_url }}|{{ static_url }}|{{ title }}|{{ prefix }}")
    assert rendered(pages.live_page(directory, PAGE)).endswith(
        "</head>nonce1|/tools/-/client/supervisor.js|/tools/app/static|app|/tools"
    )


def test_a_template_may_place_the_meta_element_itself(pages, template):
    directory = template("<head><title>x</title>{{ supervisor_meta }}</head>")
    text = text_of(pages.live_page(directory, PAGE))
    assert text.startswith("<head><title>x</title><meta ")
    assert meta_of(text)["session"] == "s-1"


def test_a_template_may_extend_another_and_escapes_by_itself(pages, template):
    template("<head></head><p>{% block main %}{% endblock %}</p>", "layout.html")
    directory = template("{% extends 'layout.html' %}{% block main %}{{ '<b>&' }}{% endblock %}")
    assert rendered(pages.live_page(directory, PAGE)).endswith("<p>&lt;b&gt;&amp;</p>")


def test_a_template_that_changes_is_read_again(pages, template):
    directory = template("one")
    assert rendered(pages.live_page(directory, PAGE)).endswith("one")
    file = directory / "templates" / "index.html"
    file.write_text("two")
    os.utime(file, (1, 1))
    assert rendered(pages.live_page(directory, PAGE)).endswith("two")


@pytest.mark.parametrize("text", ["{{ unknown }}", "{% if %}", "{{ 1 // 0 }}", "{% include 'missing.html' %}"])
def test_a_wrong_template_raises(pages, template, text):
    with pytest.raises((jinja2.TemplateError, ZeroDivisionError)):
        pages.live_page(template(text), PAGE)


def test_lone_surrogates_of_an_author_become_question_marks(pages, template):
    assert rendered(pages.live_page(template("{{ '\\ud800' }}!"), PAGE)).endswith("?!")
    assert "?!" in text_of(pages.error(403, "No entry", "\ud800!"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<head></head>", "<head>META</head>"),
        ("<HEAD\n data-x='1'></HEAD>", "<HEAD\n data-x='1'>META</HEAD>"),
        ("<!doctype html><html><head><title>", "<!doctype html><html><head>META<title>"),
        ("<!DOCTYPE html>\n<HTML lang='en'>\n<body>", "<!DOCTYPE html>\n<HTML lang='en'>META\n<body>"),
        ("<!doctype html>text", "<!doctype html>METAtext"),
        ("<html><header>no head</header>", "<html>META<header>no head</header>"),
        ("<html-like>", "META<html-like>"),
        ("<head-line>x</head-line>", "META<head-line>x</head-line>"),
        ("just text", "METAjust text"),
        ("", "META"),
        ("<!-- a --><!doctype html>\n<!-- b\n --><html><p>", "<!-- a --><!doctype html>\n<!-- b\n --><html>META<p>"),
        ("<!-- <head> --><head><title>", "<!-- <head> --><head>META<title>"),
        ("<!-- <head> --><p>", "META<!-- <head> --><p>"),
        ("\ufeff<!doctype html><p>", "\ufeff<!doctype html>META<p>"),
        ("\n  <html>\n<p>", "\n  <html>META\n<p>"),
    ],
)
def test_the_meta_element_comes_first_into_the_head_of_odd_templates(text, expected):
    assert insert_into_head(text, "META") == expected


def test_the_index_lists_the_applications(pages):
    listed = [
        Listed(name="one", description="Shows <one> thing.", sessions=1),
        Listed(name="two", description="", sessions=0),
        Listed(name="three", description="", sessions=12),
    ]
    response = pages.index(listed)
    assert re.findall(r'href="(/[^"]*)"', text_of(response)) == ["/tools/one", "/tools/two", "/tools/three"]
    assert "Shows &lt;one&gt; thing." in text_of(response)
    assert re.findall(r"\w+ sessions?\b", text_of(response))[1:] == ["1 session", "no sessions", "12 sessions"]
    assert "'nonce-nonce1'" in response.headers["content-security-policy"]
    assert 'style nonce="nonce1"' in text_of(response)


def test_an_error_page_says_what_happened(pages):
    response = pages.error(503, "Busy", "<again> later", headers={"Retry-After": "15"})
    text = text_of(response)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "15"
    assert "&lt;again&gt; later" in text
    assert "Status 503" in text
    assert "incident" not in text
    assert 'href="/tools/"' in text


def test_an_error_page_shows_the_incident(pages):
    assert "<code>ab12cd34</code>" in text_of(pages.error(500, "Oh", "no", incident="ab12cd34"))


def test_each_page_has_a_nonce_of_its_own(pages):
    policies = {pages.index([]).headers["content-security-policy"] for _ in range(3)}
    assert len(policies) == 3


def test_the_headers_of_every_page():
    headers = page_headers("n")
    policy = dict(part.split(" ", 1) for part in headers.pop("Content-Security-Policy").split("; "))
    assert headers == {
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex",
    }
    assert policy["script-src"] == "'self' 'nonce-n'"
    assert policy["style-src"] == "'self' 'nonce-n'"
    assert policy["default-src"] == policy["connect-src"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == "'none'"


# The document in the page.


def data_of(response):
    [(nonce, text)] = DATA.findall(text_of(response))
    assert f"'nonce-{nonce}'" in response.headers["content-security-policy"]
    return text


def page_of(document):
    return attrs.evolve(PAGE, epoch="e1", revision=7, document=document.encode())


@pytest.mark.parametrize("text", [None, "<body>x</body>"])
def test_every_live_page_carries_the_document(pages, template, text):
    response = pages.live_page(text and template(text), page_of('{"a":[1,"ä"]}'))
    assert json.loads(data_of(response)) == {"epoch": "e1", "revision": 7, "data": {"a": [1, "ä"]}}


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "&lt;", "\u2028\u2029", "<\\/"]
)
def test_no_document_breaks_out_of_its_element(pages, text):
    document = {"text": text, text: 1}
    found = data_of(pages.live_page(None, page_of(json.dumps(document, ensure_ascii=False))))
    assert not set("<>&\u2028\u2029") & set(found)
    assert json.loads(found)["data"] == document


def test_a_large_document_is_left_out_and_templates_have_it_all_the_same(pages, template):
    directory = template("{{ data.text | length }}")
    for length, found in ((MAX_DATA - 12, 1), (MAX_DATA - 11, 0)):
        response = pages.live_page(directory, page_of(json.dumps({"text": "x" * length})))
        assert len(DATA.findall(text_of(response))) == found
        assert rendered(response).endswith(str(length))


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("{{ title }}", 0),
        ("{% include 'part.html' %}", 1),
        ("{% block a %}{{ data.n }}{% endblock %}{% block b %}{{ data.n }}{% include 'part.html' %}{% endblock %}", 1),
        ("{% macro a() %}{{ data.n }}{% endmacro %}{% if false %}{{ data.n }}{% endif %}{{ a() }}", 1),
        ("{% from 'macros.html' import a with context %}{{ a() }}", 1),
    ],
)
def test_the_document_is_read_once_and_only_for_a_template_that_asks(pages, template, monkeypatch, text, times):
    """It may be large, and the server does nothing else meanwhile."""
    decoded = []
    monkeypatch.setattr("json.loads", lambda text, loads=json.loads: [decoded.append(text), loads(text)][1])
    template("{{ data.n }}", name="part.html")
    template("{% macro a() %}{{ data.n }}{% endmacro %}", name="macros.html")
    page = rendered(pages.live_page(template(text), page_of('{"n":7}')))
    assert len(decoded) == times
    assert ("7" in page) == bool(times)


def test_a_template_has_the_document_escaped(pages, template):
    directory = template("<head></head>{{ data.prices.ACME }}|{{ data['items'][0] }}|{{ data.gone | default('none') }}")
    response = pages.live_page(directory, page_of('{"prices":{"ACME":"<1>"},"items":[3]}'))
    assert rendered(response).endswith("</head>&lt;1&gt;|3|none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<body>x</body>", "<body>xMETA</body>"),
        ("<BODY>x</BODY >\n</HTML>", "<BODY>xMETA</BODY >\n</HTML>"),
        ("<p>'</body>' <body>x</body></html>", "<p>'</body>' <body>xMETA</body></html>"),
        ("x", "xMETA"),
        ("", "META"),
    ],
)
def test_the_document_comes_last_into_the_body(text, expected):
    assert insert_at_end(text, "META") == expected


# Error pages.


def test_an_error_page_leads_somewhere(pages):
    assert '<a href="/tools/">All applications</a>' in text_of(pages.error(404, "No", "no"))
    only = Pages(prefix="/tools", new_nonce=lambda: "n", names=["app"])
    assert '<a href="/tools/app">Open app</a>' in text_of(only.error(404, "No", "no"))
    ways_out = [WayOut("Try <again>", '/app?"'), WayOut("Elsewhere", "/b")]
    text = text_of(pages.error(500, "No", "no", ways_out=ways_out))
    assert re.findall(r'<a href="([^"]*)">([^<]*)</a>', text) == [
        ("/app?&#34;", "Try &lt;again&gt;"),
        ("/b", "Elsewhere"),
    ]


def raised(text):
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_an_error_page_shows_a_traceback_only_when_given_one(pages):
    text = text_of(pages.error(500, "No", "no", error=raised("<b>wrong</b>")))
    assert "ValueError: &lt;b&gt;wrong&lt;/b&gt;" in text
    assert "raise ValueError(text)" in text
    assert "test_pages.py" in text
    assert "<b>" not in text
    assert "Traceback" not in text_of(pages.error(500, "No", "no"))


def test_pages_of_a_development_server_follow(pages, template):
    dev = DevContext(events="/tools/app/-/dev", version="<v>.3")
    live = pages.live_page(template("<head></head>"), attrs.evolve(PAGE, dev=dev))
    for response in (live, pages.error(500, "No", "no", dev=dev)):
        [content] = re.findall(r'<meta name="supervisor-dev" content="([^"]*)">', text_of(response))
        expected = {"events": dev.events, "version": dev.version, "problem": None}
        assert json.loads(html.unescape(content)) == expected
        assert '<script type="module" src="/tools/-/client/dev.js" nonce="' in text_of(response)
    assert "dev" not in text_of(pages.live_page(None, PAGE)).replace("device", "")
