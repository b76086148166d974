"""What a line of the log says."""

import io
import json
import logging
import re
import sys
import threading
import warnings

import pytest

from supervisor.cli.logs import LogInstruments, adopt_logging, make_logger
from supervisor.instruments import Incident, Instruments

ABOUT = {"application": "shop", "session": "abcdefgh"}


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def see(stream):
    return LogInstruments(make_logger("debug", stream=stream))


def caught(error):
    try:
        raise error
    except type(error) as raised:
        return raised


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        (
            "message_dropped",
            {**ABOUT, "message": 3},
            "debug message dropped application=shop session=abcdefgh message=int",
        ),
        ("dead_letter", {**ABOUT, "message": 3}, "debug dead letter application=shop session=abcdefgh message=int"),
        ("application_loaded", {"application": "shop"}, "info application loaded application=shop session=-"),
        ("application_unloaded", {"application": "shop"}, "info application unloaded application=shop session=-"),
        ("session_created", ABOUT, "info session created application=shop session=abcdefgh"),
        (
            "session_refused",
            {**ABOUT, "reason": "not you", "incident": "ab12cd34"},
            "info session refused application=shop session=abcdefgh incident=ab12cd34 reason='not you'",
        ),
        (
            "session_had_no_room",
            {"application": "shop", "reason": "full", "incident": "ab12cd34"},
            "warning no room for a session application=shop session=- incident=ab12cd34 reason=full",
        ),
        (
            "page_refused",
            {"application": "shop", "reason": "404 Nothing is here: /shop/x", "incident": "ab12cd34"},
            "info no page application=shop session=- incident=ab12cd34 reason='404 Nothing is here: /shop/x'",
        ),
        (
            "loop_blocked",
            {**ABOUT, "what": "message Quote", "where": "f, line 3 of x.py", "seconds": 1.5, "stack": "", "over": True},
            "warning the loop turns again application=shop session=abcdefgh seconds=1.5 what='message Quote'",
        ),
        (
            "application_changed",
            {"application": "shop", "files": "main.py, a.py"},
            "info files changed application=shop session=- files='main.py, a.py'",
        ),
        (
            "application_warned",
            {"application": "shop", "warning": "did you mean x?"},
            "warning did you mean x? application=shop session=-",
        ),
        (
            "failure_told",
            {**ABOUT, "error": KeyError("ACME")},
            "debug a hook was told application=shop session=abcdefgh error=KeyError",
        ),
        (
            "session_restarted",
            {**ABOUT, "incident": "ab12cd34"},
            "warning session restarted application=shop session=abcdefgh incident=ab12cd34",
        ),
        (
            "session_destroyed",
            {**ABOUT, "reason": "two\nlines"},
            r"info session destroyed application=shop session=abcdefgh reason='two\nlines'",
        ),
        (
            "connection_attached",
            {**ABOUT, "connection": "0123456789", "resumed": True},
            "debug connection attached application=shop session=abcdefgh connection=01234567 resumed=True",
        ),
        (
            "connection_detached",
            {**ABOUT, "connection": "0123456789", "code": 1000},
            "debug connection detached application=shop session=abcdefgh connection=01234567 code=1000",
        ),
        (
            "connection_refused",
            {"application": "-", "reason": "why\x1b[2J"},
            r"warning connection refused application=- session=- reason='why\x1b[2J'",
        ),
        ("broadcast_lagged", ABOUT, "debug broadcast lagged application=shop session=abcdefgh"),
    ],
)
def test_each_event_is_one_line(see, stream, name, fields, line):
    getattr(see, name)(**fields)
    written = stream.getvalue()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \[", written)
    assert written.endswith("\n")
    _, _, rest = written.removesuffix("\n").partition(" [")
    level, _, event = rest.partition("] ")
    assert f"{level.strip()} {event}" == line


def test_nothing_that_can_be_seen_is_left_out():
    events = {name for name in vars(Instruments) if not name.startswith("_")}
    assert events <= set(vars(LogInstruments))


def test_a_dead_letter_shows_the_type_alone(see, stream):
    """What a message says may be private."""
    see.dead_letter(**ABOUT, message="my password")
    see.dead_letter(**ABOUT, message=LogInstruments)
    assert "message=str\n" in stream.getvalue()
    assert "message=LogInstruments\n" in stream.getvalue()


def test_every_line_of_a_traceback_says_whose_it_is(see, stream):
    error = caught(ValueError("first\nsecond \x1b[31mé\x85third"))
    see.failed(Incident(id="deadbeef", what="handler on_add", error=error, **ABOUT))
    first, *rest = stream.getvalue().splitlines()
    assert "[error    ] handler on_add failed application=shop session=abcdefgh incident=deadbeef error=" in first
    start = "application=shop session=abcdefgh incident=deadbeef | "
    assert rest[0] == f"{start}Traceback (most recent call last):"
    assert all(line.startswith(start) for line in rest)
    assert rest[-3:] == [f"{start}ValueError: first", f"{start}second \\x1b[31mé", f"{start}third"]


def test_causes_and_groups_are_in_the_traceback(see, stream):
    cause = caught(KeyError("inner"))
    group = ExceptionGroup("several", [caught(OSError("one")), caught(OSError("two"))])
    group.__cause__ = cause
    see.failed(Incident(id="deadbeef", what="hook", error=caught(group), **ABOUT))
    for text in ("KeyError: 'inner'", "OSError: one", "OSError: two"):
        assert text in stream.getvalue()


def test_a_level_leaves_out_what_is_below_it(stream):
    see = LogInstruments(make_logger("warning", stream=stream))
    see.session_created(**ABOUT)
    assert stream.getvalue() == ""
    see.connection_refused(application="-", reason="why")
    assert stream.getvalue().count("\n") == 1


def test_logs_go_to_stderr(capsys):
    make_logger("info").info("an event")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("] an event application=- session=-\n")


def test_a_terminal_gets_colours(stream):
    stream.isatty = lambda: True
    make_logger("info", stream=stream).info("an event")
    assert "\x1b[" in stream.getvalue()


def test_what_apps_and_libraries_log_becomes_a_line_with_application_and_session(stream):
    with adopt_logging(make_logger("info", stream=stream), "info"):
        logging.getLogger("somewhere").warning("disk %s is full", "sda")
        logging.getLogger("trio-websocket").info("chatter")
        logging.getLogger("somewhere").log(27, "between two levels")
        logging.getLogger("somewhere").debug("too small")
        try:
            raise OSError("broken")
        except OSError:
            logging.getLogger("somewhere").exception("no luck")
    lines = stream.getvalue().splitlines()
    assert "disk sda is full" in lines[0]
    assert "[somewhere]" in lines[0]
    assert "chatter" not in stream.getvalue()
    assert "too small" not in stream.getvalue()
    assert "[info     ] between two levels" in lines[1]
    assert "no luck" in lines[2]
    assert lines[-1].endswith("OSError: broken")
    assert all("application=- session=-" in line for line in lines)


def test_a_record_that_cannot_be_formatted_is_a_line_and_fails_nobody(stream, capsys):
    with adopt_logging(make_logger("info", stream=stream), "info"):
        logging.getLogger("somewhere").warning("bad %d", "x")
    assert "bad %d" in stream.getvalue()
    assert "TypeError" in stream.getvalue()
    assert capsys.readouterr().err == ""


def test_a_log_that_is_closed_fails_nobody_who_logs(stream, capsys):
    with adopt_logging(make_logger("info", stream=stream), "info"):
        stream.close()
        logging.getLogger("somewhere").warning("unheard")
    assert "closed file" in capsys.readouterr().err


class Dying:
    def __del__(self):
        raise LookupError("at its end")


def test_warnings_threads_and_what_nobody_can_catch_are_lines_too(stream, capsys):
    before = (threading.excepthook, sys.unraisablehook, warnings.showwarning, logging.getLogger().handlers[:])
    with adopt_logging(make_logger("info", stream=stream, as_json=True), "info"):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("old\nways", stacklevel=1)
        for raised in (ZeroDivisionError, SystemExit):
            thread = threading.Thread(target=raise_, args=[raised("in a thread")], name="feed")
            thread.start()
            thread.join()
        Dying()
    warned, failed, ignored = map(json.loads, stream.getvalue().splitlines())
    assert (warned["level"], warned["logger"]) == ("warning", "py.warnings")
    assert "UserWarning: old\nways" in warned["event"]
    assert (failed["level"], failed["event"], failed["thread"]) == ("error", "a thread failed", "feed")
    assert "ZeroDivisionError: in a thread" in failed["exception"]
    assert (ignored["level"], ignored["raised_in"]) == ("error", "Dying.__del__")
    assert "LookupError: at its end" in ignored["exception"]
    assert capsys.readouterr().err == ""
    assert (threading.excepthook, sys.unraisablehook, warnings.showwarning, logging.getLogger().handlers[:]) == before


def raise_(error):
    raise error


def test_an_exception_whose_text_raises_is_logged_all_the_same(see, stream):
    class Nasty(Exception):
        def __str__(self):
            raise ValueError("no text")

    see.failed(Incident(id="12345678", application="shop", session="-", what="handler", error=Nasty()))
    assert "its str() raised" in stream.getvalue()


# As JSON.


def test_a_line_of_json_has_what_a_line_of_text_has(stream):
    see = LogInstruments(make_logger("debug", stream=stream, as_json=True))
    error = caught(ValueError("two\nlines"))
    see.failed(Incident(id="0123abcd", what="on_add", error=error, **ABOUT))
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert (event["level"], event["event"], event["incident"]) == ("error", "on_add failed", "0123abcd")
    assert (event["application"], event["session"]) == ("shop", "abcdefgh")
    assert event["error"] == "ValueError: two\nlines"
    assert event["exception"].endswith("ValueError: two\nlines\n")


def test_what_json_has_no_form_for_is_shown_as_python_does(stream):
    class Silent:
        def __repr__(self):
            raise RuntimeError

    make_logger("info", stream=stream, as_json=True).info("seen", path={1}, silent=Silent(), text="\ud800\n")
    event = json.loads(stream.getvalue())
    assert event["path"] == "{1}"
    assert event["silent"].endswith("Silent>")
    assert event["text"] == "\ud800\n"
    assert stream.getvalue().count("\n") == 1


def test_levels_count_for_json_too(stream):
    make_logger("warning", stream=stream, as_json=True).info("unseen")
    assert stream.getvalue() == ""


def test_the_stack_of_what_blocks_is_below_its_line_and_each_line_says_whose_it_is(see, stream):
    stack = '  File "x.py", line 3, in f\n    time.sleep(1)\n'
    see.loop_blocked(**ABOUT, what="message Quote", where="f, line 3 of x.py", seconds=0.1001, stack=stack, over=False)
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith(
        "the loop is blocked application=shop session=abcdefgh seconds=0.1 what='message Quote'"
        " reason='nobody else is served meanwhile; thread=True or @in_thread lets it run in a worker thread'"
        " where='f, line 3 of x.py'"
    )
    assert "application=shop session=abcdefgh |     time.sleep(1)" in rest


def test_the_stack_of_what_blocks_is_a_text_in_json(stream):
    log = LogInstruments(make_logger("info", stream=stream, as_json=True))
    nobody = {"application": "-", "session": "-"}
    log.loop_blocked(**nobody, what="garbage collection", where="f", seconds=0.1, stack="a\nb\n", over=False)
    line = json.loads(stream.getvalue())
    assert "reason" not in line
    assert (line["event"], line["stack"], line["level"]) == ("the loop is blocked", "a\nb", "warning")


def test_a_failure_says_where_it_was_what_waits_and_what_follows_but_not_what_the_message_says(stream):
    see = LogInstruments(make_logger("debug", stream=stream, as_json=True))
    incident = Incident(
        id="deadbeef",
        what="message Quote",
        error=caught(KeyError("ACME")),
        message="Quote(symbol='secret')",
        mailbox=("message Quote", "borrow"),
        decision="restarted 2 of 3 within 60 s",
        **ABOUT,
    )
    see.failed(incident)
    event = json.loads(stream.getvalue())
    assert event["path"] == "application shop → session abcdefgh → message Quote → KeyError: 'ACME'"
    assert event["mailbox"] == ["message Quote", "borrow"]
    assert event["decision"] == "restarted 2 of 3 within 60 s"
    assert "secret" not in stream.getvalue()


def test_a_failure_shows_the_story_in_lines_that_say_whose_they_are(see, stream):
    story = ("-0.250 s  message Quote('ACME')", "0.000 s  hook\x1b[1m")
    see.failed(Incident(id="ab12cd34", **ABOUT, what="w", error=caught(KeyError(1)), story=story))
    about = "application=shop session=abcdefgh incident=ab12cd34 | "
    lines = stream.getvalue().splitlines()
    begin = lines.index(f"{about}what happened before:")
    assert lines[begin + 1 : begin + 3] == [f"{about}-0.250 s  message Quote('ACME')", f"{about}0.000 s  hook\\x1b[1m"]


def test_as_json_the_story_is_a_list(stream):
    see = LogInstruments(make_logger("info", stream=stream, as_json=True))
    see.failed(Incident(id="ab12cd34", **ABOUT, what="w", error=caught(KeyError(1)), story=("a", "b")))
    assert json.loads(stream.getvalue())["story"] == ["a", "b"]
