"""Pages: templates, the <meta> element, the headers that each of them carries."""

import html
import itertools
import json
import os
import re

import jinja2
import pytest

from supervisor.transport.pages import PageContext, Pages, insert_into_head, page_headers

PAGE = PageContext(title="app", session="s-1", token="t<&\"'>{}", websocket="/tools/app/-/websocket")


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


def meta_of(text):
    [content] = re.findall(r'<meta name="supervisor" content="([^"]*)">', text)
    return json.loads(html.unescape(content))


def test_the_generic_page_has_what_the_client_needs_and_runs_under_its_own_policy(pages):
    response = pages.live_page(None, PAGE)
    text = text_of(response)
    assert meta_of(text) == {"session": "s-1", "token": PAGE.token, "websocket": PAGE.websocket}
    assert "'nonce-nonce1'" in response.headers["content-security-policy"]
    assert re.findall(r'nonce="([^"]*)"', text) == ["nonce1", "nonce1"]
    assert '"/tools/-/client/generic.js"' in text
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_an_apps_directory_without_a_template_gets_the_generic_page(pages, tmp_path):
    assert "generic.js" in text_of(pages.live_page(tmp_path, PAGE))


def test_a_template_gets_its_variables(pages, template):
    directory = template("<head></head>{{ nonce }}|{{ client_url }}|{{ static_url }}|{{ title }}|{{ prefix }}")
    assert text_of(pages.live_page(directory, PAGE)).endswith(
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
    assert text_of(pages.live_page(directory, PAGE)).endswith("<p>&lt;b&gt;&amp;</p>")


def test_a_template_that_changes_is_read_again(pages, template):
    directory = template("one")
    assert text_of(pages.live_page(directory, PAGE)).endswith("one")
    file = directory / "templates" / "index.html"
    file.write_text("two")
    os.utime(file, (1, 1))
    assert text_of(pages.live_page(directory, PAGE)).endswith("two")


@pytest.mark.parametrize("text", ["{{ unknown }}", "{% if %}", "{{ 1 // 0 }}", "{% include 'missing.html' %}"])
def test_a_wrong_template_raises(pages, template, text):
    with pytest.raises((jinja2.TemplateError, ZeroDivisionError)):
        pages.live_page(template(text), PAGE)


def test_lone_surrogates_of_an_author_become_question_marks(pages, template):
    assert text_of(pages.live_page(template("{{ '\\ud800' }}!"), PAGE)).endswith("?!")
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
    response = pages.index(["one", "two"])
    assert re.findall(r'href="(/[^"]*)"', text_of(response)) == ["/tools/one", "/tools/two"]
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
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
    assert policy["script-src"] == "'self' 'nonce-n'"
    assert policy["style-src"] == "'self' 'nonce-n'"
    assert policy["default-src"] == policy["connect-src"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == "'none'"
