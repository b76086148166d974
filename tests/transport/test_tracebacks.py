"""Tracebacks as people read them: the app's lines first, what belongs together, and an end to it."""

import asyncio
import re

import jinja2
import pytest

from supervisor.errors import ApplicationError
from supervisor.transport.tracebacks import explain, in_short


def caught(func, *args):
    try:
        func(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fail():
    raise ValueError("wrong")  # the line


def test_the_innermost_own_frame_comes_first_with_its_code():
    def outer():
        fail()

    [part] = explain(caught(outer))
    assert (part.tie, part.text) == ("", "ValueError: wrong")
    assert [frame.function for frame in part.own] == ["fail", "outer", "caught"]
    [line] = [line for line in part.own[0].code if line.counts]
    assert line.text == '    raise ValueError("wrong")  # the line'
    assert line.number == part.own[0].line
    assert len(part.own[0].code) == 7
    assert part.own[0].file.endswith("test_tracebacks.py")


def test_frames_of_others_are_kept_apart_and_without_code():
    [part] = explain(caught(re.compile, "("))
    assert [frame.function for frame in part.own] == ["caught"]
    assert len(part.others) >= 2
    assert not any(frame.code for frame in part.others)


def test_what_caused_it_and_what_was_handled_stand_below():
    def handling():
        try:
            fail()
        except ValueError:
            raise KeyError("second")  # noqa: B904

    def causing():
        try:
            handling()
        except KeyError as error:
            raise RuntimeError("third") from error

    parts = explain(caught(causing))
    assert [(part.tie, part.text) for part in parts] == [
        ("", "RuntimeError: third"),
        ("It was caused by:", "KeyError: 'second'"),
        ("It came while this was being handled:", "ValueError: wrong"),
    ]


def test_a_group_shows_each_of_its_members():
    group = caught(lambda: (_ for _ in ()).throw(ExceptionGroup("both", [ValueError("one"), KeyError("two")])))
    assert [part.text for part in explain(group)] == [
        "ExceptionGroup: both (2 sub-exceptions)",
        "ValueError: one",
        "KeyError: 'two'",
    ]


def test_of_an_app_that_cannot_be_loaded_the_cause_is_shown():
    error = ApplicationError("main.py, line 1: syntax error")
    error.__cause__ = caught(compile, "def broken(:", "/apps/main.py", "exec")
    [part] = explain(error)
    assert part.text.splitlines()[0] == '  File "/apps/main.py", line 1'
    assert part.text.splitlines()[-1] == "SyntaxError: invalid syntax"
    assert [part.text for part in explain(ApplicationError("no cause"))] == [
        "supervisor.errors.ApplicationError: no cause"
    ]


def test_an_apps_exception_has_the_name_that_its_author_knows():
    error = type("NoRate", (Exception,), {"__module__": "_supervisor_app_board_0a1b2c3d.rates"})("EUR")
    [part] = explain(error)
    assert part.text == "board.rates.NoRate: EUR"


@pytest.mark.parametrize("text", ["one\n{{ unknown.name }}", "one\n{% endif %}", "one\n{{ 1 // 0 }}"])
def test_a_template_that_fails_says_which_line(tmp_path, text):
    (tmp_path / "index.html").write_text(text)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path), undefined=jinja2.StrictUndefined)
    error = caught(lambda: environment.get_template("index.html").render())
    frame = explain(error)[0].own[0]
    assert frame.file.endswith("index.html")
    assert frame.line == 2
    assert [line.text for line in frame.code] == text.splitlines()


def test_endless_recursion_has_an_end():
    def again():
        again()

    [part] = explain(caught(again))
    assert len(part.own) == 30
    error = None
    for number in range(100):
        error, last = ValueError(number), error
        error.__cause__ = last
    assert len(explain(error)) == 10


def test_an_exception_whose_text_cannot_be_had():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    [part] = explain(Broken())
    assert "Broken" in part.text


@pytest.mark.parametrize("name", ["<made up>", ""])
def test_code_that_has_no_file(name):
    [part] = explain(caught(lambda: exec(compile("1 // 0", name, "exec"))))
    assert name in [frame.file.rpartition("/")[2] for frame in part.others]


def test_an_exception_that_was_not_raised_has_no_frames():
    assert explain(asyncio.CancelledError())[0].own == ()


def test_in_short_it_is_plain_text():
    assert in_short(caught(fail)).splitlines()[:3] == [
        "ValueError: wrong",
        f"  {explain(caught(fail))[0].own[0].file}, line {fail.__code__.co_firstlineno + 1}, in fail",
        '    raise ValueError("wrong")  # the line',
    ]
    error = ValueError("second")
    error.__cause__ = KeyError("first")
    assert in_short(error) == "ValueError: second\n\nIt was caused by:\n\nKeyError: 'first'"
