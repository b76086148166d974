"""`export`: the files that it writes, and those that it leaves alone."""

import json
import os
import stat

import pytest

REPORT = """
    print("loaded")


    def modify_document(doc):
        request = doc.session_context.request
        doc.data = {
            "id": doc.session_context.id,
            "path": request.path,
            "arguments": {name: list(values) for name, values in request.arguments.items()},
            "user": request.cookies.get("user"),
            "text": "<b>ä</b>",
        }
"""


@pytest.fixture
def report(app):
    return app(REPORT, name="report.py")


def test_the_page_is_one_file_that_shows_the_document(cli, report, tmp_path):
    result = cli("export", report, "-o", tmp_path / "page.html")
    assert (result.code, result.stdout, result.stderr) == (0, "", "loaded\n")
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<h1>report</h1>" in page
    assert "&lt;b&gt;ä&lt;/b&gt;" in page
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) & 0o600 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["page.html", "report.py"] or "__pycache__" in os.listdir(tmp_path)


def test_json_is_the_document_alone(cli, report, tmp_path):
    result = cli("export", report, "--json", "-o", "-")
    assert (result.code, result.stderr) == (0, "loaded\n")
    document = json.loads(result.stdout)
    assert len(document.pop("id")) == 22
    assert document == {"path": "/report", "arguments": {}, "user": None, "text": "<b>ä</b>"}
    assert cli("export", report, "--json", "-o", tmp_path / "doc.json").code == 0
    assert json.loads((tmp_path / "doc.json").read_text())["text"] == "<b>ä</b>"


def test_the_visitor_is_whom_the_options_describe(cli, report):
    arguments = ("--session", "board-7", "--query", "?month=2026-01&x=a%20b&x=ü", "--header", "Cookie: user=ann")
    document = json.loads(cli("export", report, "--json", "-o", "-", *arguments).stdout)
    assert document["id"] == "board-7"
    assert document["path"] == "/report"
    assert document["arguments"] == {"month": ["2026-01"], "x": ["a b", "ü"]}
    assert document["user"] == "ann"


def test_a_file_that_is_there_is_replaced_and_a_link_leads_on(cli, report, tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    link.symlink_to(real)
    assert cli("export", report, "--json", "-o", link).code == 0
    assert link.is_symlink()
    assert json.loads(real.read_text())


def test_a_device_is_written_to(cli, report):
    assert cli("export", report, "-o", "/dev/null").code == 0
    assert not os.path.isfile("/dev/null")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "from supervisor import SessionRefused\ndef on_session_created(s): raise SessionRefused('not today')",
            "application 'bad' refused the session: not today",
        ),
        ("def modify_document(doc): 1 / 0", "its modify_document raised ZeroDivisionError: division by zero"),
        ("def on_application_unload(a): raise SystemExit(3)", "its on_application_unload raised SystemExit: 3"),
        ("def f(:", "line 1: syntax error"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_nothing_is_written(cli, app, tmp_path, text, sentence):
    target = tmp_path / "page.html"
    target.write_text("old")
    result = cli("export", app(text, name="bad.py"), "-o", target)
    assert (result.code, result.stdout) == (1, "")
    assert sentence in result.error
    assert target.read_text() == "old"


def test_a_file_that_cannot_be_written_is_one_sentence(cli, report, tmp_path):
    for target, reason in ((tmp_path / "none" / "page.html", "No such file"), (tmp_path, "Is a directory")):
        result = cli("export", report, "-o", target)
        assert result.code == 1
        assert result.stderr.startswith(f"loaded\nError: {target} can't be written: {reason}")
        assert result.stderr.endswith("; nothing was written\n")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ("--output",)),
        (("-o", "x", "--session", "a b"), ("--session", "'a b'", "128 characters")),
        (("-o", "x", "--header", "user"), ("--header", "'user'", "a colon")),
        (("-o", "x", "another.py"), ("another.py",)),
    ],
)
def test_wrong_usage_is_one_sentence(cli, report, arguments, names):
    result = cli("export", report, *arguments)
    assert (result.code, result.stdout) == (2, "")
    for name in names:
        assert name in result.error
