"""`watch`: what it prints, what it says of the connection, and how it ends."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys

import pytest

from supervisor.cli.watch import _Readable
from supervisor.client.changes import Differences, Moment

from ..docs.proxies import find_free_port
from .conftest import PATIENCE

APP = """
    from supervisor import SessionRefused


    def modify_document(doc):
        doc.data["n"] = 0
        doc.data["far"] = {"away": ["ä\\x1b[31m"]}

        def tick():
            doc.data["n"] += 1
            if doc.session_context.request.arguments.get("end") and doc.data["n"] == 3:
                doc.session_context.destroy(reason="That is all.")

        doc.add_periodic_callback(tick, seconds=0.05)


    def on_session_created(session_context):
        if session_context.request.headers.get("x-key") == "wrong":
            raise SessionRefused("This key opens nothing.")
"""


@pytest.fixture(scope="module")
def served(start_shared, write_files, tmp_path_factory):
    """The URL of an app that counts."""
    folder = write_files(tmp_path_factory.mktemp("watched"), {"counter.py": APP})
    (url,) = start_shared("serve", "counter.py", "--port", "0", cwd=folder).until_served()
    return url


@pytest.fixture
def watch_for(cli):
    """Watch for a time in which enough comes, however slow the machine is: `watch_for(is_enough, *arguments)`."""

    def watch(is_enough, *arguments):
        for timeout in (0.5, 2, 8, 32):
            result = cli("watch", *arguments, "--timeout", timeout)
            if is_enough(result):
                break
        return result, timeout

    return watch


@pytest.fixture
def popen():
    """A process of ours that is gone when the test is over, also if it failed: `popen(*arguments)`."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, stdout=subprocess.PIPE):
            command = [sys.executable, "-m", "supervisor", *arguments]
            process = stack.enter_context(subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE))
            stack.callback(process.kill)
            return process

        yield start


def lines_of(result):
    assert (result.code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_one_line_for_each_revision(cli, served):
    lines = lines_of(cli("watch", served, "--json", "--count", 3))
    assert [line.keys() for line in lines] == [{"revision", "data"}] * 3
    assert lines[0]["data"]["far"] == {"away": ["ä\x1b[31m"]}
    assert [line["revision"] for line in lines] == sorted({line["revision"] for line in lines})
    assert lines[-1]["data"]["n"] > lines[0]["data"]["n"]


def test_patches_are_what_changed(cli, served):
    first, second = lines_of(cli("watch", served, "--patches", "--count", 2))
    assert [operation["path"] for operation in first["operations"]] == [""]
    assert [(operation["op"], operation["path"]) for operation in second["operations"]] == [("replace", "/n")]


def test_of_a_part_only_what_touches_it_is_printed(cli, served, watch_for):
    lines = lines_of(cli("watch", served, "--json", "--path", "/n", "--count", 2))
    assert all(isinstance(line["data"], int) for line in lines)
    arguments = (served, "--json", "--path", "/far/away", "--count", 2)
    result, seconds = watch_for(lambda result: result.stdout, *arguments)
    assert result.code == 1
    assert result.error == f"Error: only 1 of 2 came within {seconds} s"


def test_people_get_the_document_and_then_its_changes(cli, served):
    result = cli("watch", served, "--count", 2)
    assert result.code == 0
    first, _, rest = result.stdout.partition("}\n}\n")
    assert first.startswith("revision ")
    assert '\n  "far": {\n    "away": [\n      "ä\\u001b[31m"\n    ]' in first
    header, change = rest.splitlines()
    assert header.startswith("revision ")
    assert change.startswith("  /n  ")


def change(before, after):
    moments = [Moment(data=before, revision=1, sessions=1), Moment(data=after, revision=2, sessions=1)]
    differences = Differences(lambda: moments[0], "")
    differences.take()
    moments.pop(0)
    return differences.take()


def test_each_place_that_changed_is_one_line_that_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    made = change({"a": 1, "b": 2, "c": {"d": 1}}, {"b": 3, "c": {"d": 1, "e\x9b": "x" * 100}})
    assert _Readable(False)(made).splitlines() == [
        "revision 2",
        "- /a",
        "  /b  3",
        '+ /c/e\\u009b  "' + "x" * 100 + '"',
    ]
    header, *lines = _Readable(True)(made).splitlines()
    assert "revision 2" in header
    assert header != "revision 2"
    assert lines[-1] == '+ /c/e\\u009b  "' + "x" * 24 + "…"
    assert "\x9b" not in _Readable(True)(made)


def test_a_timeout_alone_is_a_good_end(served, watch_for):
    result, _ = watch_for(lambda result: result.stdout.count("\n") > 1, served, "--json")
    assert len(lines_of(result)) > 1


def test_a_header_is_sent_along(cli, served):
    result = cli("watch", served, "--json", "--count", 1, "--header", "X-Key: wrong")
    assert result.code == 1
    assert result.error == f"Error: {served} answers with status 403: No entry. This key opens nothing"


def test_a_session_that_ends_is_told(cli, served):
    result = cli("watch", served + "?end=1", "--json", "--timeout", PATIENCE)
    assert result.code == 1
    assert result.error == "Error: That is all."
    assert result.stdout


def test_nobody_is_there(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = cli("watch", f"http://{address}/")
    assert (result.code, result.error) == (1, f"Error: {address} can't be reached: connection refused")


def test_somebody_who_never_answers_is_there(cli):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = cli("watch", f"http://{address}/", "--timeout", 0.2)
    assert (result.code, result.error) == (1, f"Error: {address} doesn't answer within 0.2 s")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ("URL",)),
        (("127.0.0.1:5006",), ("'127.0.0.1:5006'", "http://127.0.0.1:5006/ticker")),
        (("http://a", "--path", "n"), ("'n'", "/prices/ACME")),
        (("http://a", "--json", "--patches"), ("--json and --patches",)),
        (("http://a", "--count", "0"), ("--count",)),
        (("http://a", "--timeout", "0"), ("--timeout",)),
        (("http://a", "--header", "x"), ("'x'",)),
    ],
)
def test_wrong_usage_is_told(cli, arguments, names):
    result = cli("watch", *arguments)
    assert result.code == 2
    assert all(name in result.error for name in names)


def test_help_teaches(cli):
    result = cli("watch", "--help")
    assert (result.code, result.stderr) == (0, "")
    assert "?session=ID" in result.stdout
    assert "Examples:" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_good_end(start, served, tmp_path, number):
    program = start("watch", served, "--json", cwd=tmp_path)
    program.until_printed("\n")
    assert program.stop(number) == 0
    assert program.stderr == ""


def test_ctrl_c_ends_it_though_nobody_reads(popen, served):
    """Else a pipe that is full would hold it for ever."""
    with contextlib.ExitStack() as stack:
        reader, writer = os.pipe()
        for end in (reader, writer):
            stack.callback(os.close, end)
        process = popen("watch", served, "--json", stdout=writer)
        assert os.read(reader, 1)
        filler = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)  # its own: the program's blocks
        stack.callback(os.close, filler)
        with contextlib.suppress(BlockingIOError):
            while os.write(filler, b"x"):
                pass
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)  # it writes twenty times a second
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""


def test_a_reader_that_goes_away_is_a_good_end(popen, served):
    process = popen("watch", served, "--json")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert process.stderr.read() == b""


def test_a_reader_that_goes_away_ends_it_though_nothing_changes(popen, served):
    process = popen("watch", served, "--json", "--path", "/nothing")
    assert json.loads(process.stdout.readline())["data"] is None
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        (">&-", "Error: stdout is closed, so there is nowhere to print the document\n"),
        (">/dev/full", "Error: stdout can't be written: No space left on device\n"),
    ],
)
def test_a_stdout_that_takes_nothing_is_one_sentence(served, redirection, said):
    command = f"exec {shlex.quote(sys.executable)} -m supervisor watch {shlex.quote(served)} --count 1 {redirection}"
    result = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stderr) == (1, said)


def test_a_server_that_goes_away_is_waited_for(start, served, app, tmp_path):
    app(APP, name="counter.py")
    port = find_free_port()
    server = start("serve", "counter.py", "--port", port, cwd=tmp_path)
    (url,) = server.until_served()
    program = start("watch", url, "--patches", cwd=tmp_path)
    program.until_printed("\n")
    assert server.stop() == 0
    program.until_logged("The server is restarting. Waiting for the server.\n")
    start("serve", "counter.py", "--port", port, cwd=tmp_path).until_served()
    program.until_logged("Connected to a new session.\n")
    program.until_printed('"path":"","value":{', times=2)
    assert program.stop(signal.SIGINT) == 0
    assert "Traceback" not in program.stderr


WEARY = """
from supervisor import Backoff, FailurePolicy
failure_policy = FailurePolicy(directive="restart", backoff=Backoff(first=3, jitter=0))
def modify_document(doc):
    doc.data["lives"] = doc.session_context.restarts
    if doc.session_context.restarts == 0:
        doc.add_timeout_callback(fail, seconds=0.1)
def fail():
    raise RuntimeError("it is tired")
"""


def test_a_session_that_restarts_is_told_of(start, app, tmp_path):
    app(WEARY, name="weary.py")
    (url,) = start("serve", "weary.py", "--port", "0", cwd=tmp_path).until_served()
    program = start("watch", url, "--patches", cwd=tmp_path)
    program.until_logged("The session has failed and is restarting.\n")
    program.until_logged("The session was restarted.\n")
    program.until_printed('"path":"/lives","value":1')
    assert "Connected" not in program.stderr
    assert program.stop(signal.SIGINT) == 0
