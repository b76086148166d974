"""What is told of an app's templates before anybody opens its page."""

import inspect
import re
from pathlib import Path

import pytest

from supervisor.transport.pages import Pages
from supervisor.transport.template_check import VARIABLES, check_templates

ROOT = Path(__file__).parents[2]
GOOD = '<script type="module" nonce="{{ nonce }}">import { connect } from "{{ client_url }}"</script>\n'


@pytest.fixture
def write_files():
    def write(directory, files):
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)

    return write


@pytest.fixture
def check(tmp_path, write_files):
    def call(index, **others):
        templates = {f"{name}.html": text for name, text in others.items() if name != "script"}
        files = {"index.html": index, **templates}
        write_files(tmp_path / "templates", files)
        if "script" in others:
            write_files(tmp_path / "static", {"page.js": others["script"]})
        return [problem.text.replace(f"{tmp_path}/", "") for problem in check_templates(tmp_path)]

    return call


@pytest.mark.parametrize(
    "app", sorted([*ROOT.glob("demos/*/templates"), *ROOT.glob("docs/examples/*/templates")]), ids=str
)
def test_our_own_are_right(app):
    assert check_templates(app.parent) == []


def test_variables_are_those_that_pages_have():
    assert set(re.findall(r'^ +"(\w+)": ', inspect.getsource(Pages.live_page), re.MULTILINE)) == VARIABLES


def test_an_app_without_templates_has_nothing_wrong(tmp_path):
    assert check_templates(tmp_path) == []


def test_templates_without_an_index_are_somebody_elses(tmp_path, write_files):
    write_files(tmp_path / "templates", {"main.html": "{% if %}"})
    assert check_templates(tmp_path) == []


def test_one_that_does_not_compile_is_told_with_its_line(check):
    (problem,) = check(f"{GOOD}\n{{% if %}}\n")
    assert problem.startswith("templates/index.html, line 3: ")
    assert "the page can't be made" in problem


def test_one_that_is_no_utf8(check, tmp_path):
    check(GOOD)
    (tmp_path / "templates" / "index.html").write_bytes(b"\xff\xfe")
    (problem,) = check_templates(tmp_path)
    assert "UTF-8" in problem.text


def test_fatal_is_what_every_page_fails_by(check, tmp_path):
    check("{% if %}")
    assert [problem.is_fatal for problem in check_templates(tmp_path)] == [True]
    check(GOOD + "{% if data.n %}{% include 'part.html' %}{% endif %}", part="{% if %}")
    assert [problem.is_fatal for problem in check_templates(tmp_path)] == [False]
    check("<h1>{{ title }}</h1>")
    assert [problem.is_fatal for problem in check_templates(tmp_path)] == [False]


def test_one_that_never_loads_the_client(check):
    (warning,) = check("<h1>{{ title }}</h1>")
    assert "never loads the browser client" in warning
    assert "{{ client_url }}" in warning


@pytest.mark.parametrize(
    "others",
    [
        {"index": '<script src="{{ static_url }}/page.js"></script>', "script": 'import "/-/client/supervisor.js"'},
        {"index": "{% include 'part.html' %}", "part": GOOD},
        {"index": "{% extends 'part.html' %}", "part": GOOD},
        {"index": '<script src="/-/client/supervisor.js"></script>'},
        {"index": "{% include title %}"},
    ],
)
def test_the_client_may_be_loaded_from_elsewhere(check, others):
    assert check(**others) == []


def test_a_name_that_no_page_has(check):
    (warning,) = check(GOOD + "{{ clent_url }}{{ range(3) }}{% set mine = 1 %}{{ mine }}")
    assert "uses clent_url, which no page has" in warning
    assert "client_url, data" in warning


def test_a_name_that_the_template_asks_for_first_is_no_mistake(check):
    assert check(GOOD + "{% if user is defined %}{{ user }}{% endif %}{{ other|default('x') }}{{ a.b|d }}") == []


@pytest.mark.parametrize(
    ("element", "kind"),
    [
        ("<script>f()</script>", "script"),
        ('<script type="module">f()</script>', "script"),
        ("<style>b {}</style>", "style"),
    ],
)
def test_an_inline_element_without_the_nonce(check, element, kind):
    (warning,) = check(f"{GOOD}{element}")
    assert warning.startswith(f"templates/index.html, line 2: browsers refuse this {kind} element")
    assert 'nonce="{{ nonce }}"' in warning


@pytest.mark.parametrize(
    "element",
    [
        '<script type="application/json">{}</script>',
        '<script src="{{ prefix }}/a.js"></script>',
        "<script {{ data.attributes }}>f()</script>",
        "<!-- <script>f()</script> -->",
    ],
)
def test_elements_that_need_no_nonce(check, element):
    assert check(f"{GOOD}{element}") == []


def test_an_included_file_that_is_missing_is_nothing_to_be_sure_of(check):
    assert check(GOOD + "{% include 'none.html' ignore missing %}") == []


@pytest.mark.parametrize(
    "names",
    ['{% include "gone.html" %}', '{% extends "gone.html" %}', '{% from "gone.html" import x %}'],
)
def test_a_template_that_is_not_there_is_told(check, names):
    (warning,) = check(f"{GOOD}\n{names}")
    assert warning == "templates/index.html, line 3: there is no file templates/gone.html, so the page can't be made"


def test_a_template_that_may_be_missing_is_not(check):
    assert check(f'{GOOD}{{% include "gone.html" ignore missing %}}{{% include ["a.html", "b.html"] %}}') == []


@pytest.mark.parametrize(
    "names",
    [
        '<img src="{{ static_url }}/gone.png">',
        "<link href='{{static_url}}/gone.png'>",
        'import "{{ static_url }}/gone.png"',
    ],
)
def test_a_static_file_that_is_not_there_is_told(check, names):
    (warning,) = check(f"{GOOD}<!--\n{names} -->{names}")
    assert warning == "templates/index.html, line 3: there is no file static/gone.png"


@pytest.mark.parametrize(
    "names",
    [
        '<script src="{{ static_url }}/page.js"></script>',
        'image.src = "{{ static_url }}/icon-" + name',
        '<img src="{{ static_url }}/{{ name }}.png">',
        '<base href="{{ static_url }}/">',
    ],
)
def test_what_may_be_there_is_nothing_to_be_sure_of(check, names):
    assert check(GOOD + names.replace("{{ name }}", "{{ data.name }}"), script="") == []
