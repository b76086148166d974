"""The account of a log: what was not expected is a violation, and so is what was expected and did not come."""

import json

import pytest

from .log import Account, Line, LogFile, parse


def line(level, event, **more):
    return parse(json.dumps({"timestamp": "t", "level": level, "event": event, **more}))


def test_a_line_says_what_failed_and_why():
    failed = line("error", "message Add failed", session="s", incident="ab", error="ValueError: no", exception="...")
    assert failed == Line("error", "message Add failed: ValueError: no", "s", "ab")
    assert line("warning", "connection refused", reason="origin") == Line("warning", "connection refused: origin")
    last = line("critical", "the server failed", exception="Traceback\n  File\nKeyError: 1\n")
    assert last.text == "the server failed: KeyError: 1"


def test_a_traceback_of_python_s_own_is_never_calm():
    account = Account()
    account.take([parse("Traceback (most recent call last):"), parse("[1, 2]")])
    assert len(account.violations()) == 2


def test_calm_lines_need_no_account():
    account = Account()
    account.take([line("info", "session created"), line("debug", "dead letter")])
    assert account.violations() == []


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_what_was_not_expected_is_a_violation(level):
    account = Account()
    account.expect("message Add")
    account.take([line("error", "message Add failed"), line(level, "hook failed")])
    assert account.violations() == [f"unexpected in the log: {level}: hook failed"]


@pytest.mark.parametrize(("count", "fits"), [(1, False), (2, True), (3, False)])
def test_what_was_expected_must_come_so_often(count, fits):
    account = Account()
    account.expect_exactly("message Add", 2)
    assert not account.is_complete
    account.take([line("error", "message Add failed", incident="i")] * count)
    assert (account.violations() == []) is fits
    assert account.is_complete == (count >= 2)
    assert account.incidents() == {"i"}


def test_many_unexpected_lines_are_told_in_few():
    account = Account()
    account.take([line("error", "x")] * 9)
    assert account.violations()[-1] == "... and 4 more unexpected lines"


def test_a_log_is_read_from_where_it_was_left_and_by_whole_lines(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b'{"level":"info","event":"one"}\n{"level":"in')
    log = LogFile(path)
    assert [each.text for each in log.read()] == ["one"]
    with path.open("ab") as file:
        file.write(b'fo","event":"two"}\n')
    assert [each.text for each in log.read()] == ["two"]
    assert log.read() == []
