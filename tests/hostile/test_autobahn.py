"""Autobahn's testsuite, in fuzzingclient mode, against the real server's websocket.

It runs on CPython 2.7 alone. `.ci/run` installs it where there is one; docs/reference/conformance.md says how to.
"""

import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = [1, 2, 3, 4, 5, 6, 7, 9, 10]
"""Without 12 and 13: compression is never agreed to. There are no 8 and 11."""
DEADLINE = 300.0
"""Seconds for all cases; they take some 25."""


def find_wstest():
    path = Path(os.environ.get("WSTEST", ROOT / ".tools" / "autobahn" / "bin" / "wstest"))
    if not path.is_file():
        pytest.skip(f"Autobahn's testsuite is missing: {path}")
    return path


@contextlib.contextmanager
def run_echo(folder):
    """The address of an echo server's websocket. It must have nothing to say on its way."""
    with open(folder / "echo.log", "w+") as log:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "echo.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield process.stdout.readline().strip()
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        log.seek(0)
        assert log.read() == ""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What became of each case, by its number: `{"behavior": "OK", "behaviorClose": "OK", "remoteCloseCode": 1000}`."""
    wstest = find_wstest()
    folder = tmp_path_factory.mktemp("autobahn")
    with run_echo(folder) as url:
        spec = {
            "outdir": str(folder / "report"),
            "servers": [{"agent": "us", "url": url}],
            "cases": [f"{chapter}.*" for chapter in CHAPTERS],
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        with open(folder / "wstest.log", "w") as log:
            wstest = subprocess.Popen(
                [wstest, "-m", "fuzzingclient", "-s", folder / "spec.json"], stdout=log, stderr=log, cwd=folder
            )
            try:
                assert wstest.wait(DEADLINE) == 0, (folder / "wstest.log").read_text()[-2_000:]
            finally:
                if wstest.poll() is None:
                    wstest.send_signal(signal.SIGKILL)
                    wstest.wait()
    return json.loads((folder / "report" / "index.json").read_text())["us"]


def judge(case):
    """One word for a case: the worse of what it says of the messages and of the close."""
    words = {case["behavior"], case["behaviorClose"]}
    return words.pop() if len(words) == 1 else "FAILED"


def test_no_case_fails(report):
    failed = {number: (case["behavior"], case["behaviorClose"]) for number, case in report.items()}
    good = ("OK", "NON-STRICT", "INFORMATIONAL")
    assert {number: words for number, words in failed.items() if not set(words) <= set(good)} == {}


def test_who_breaks_the_protocol_is_told_so_by_the_code(report):
    """The codes of RFC 6455, 7.4.1, where the testsuite would take a bare end of TCP too."""
    codes = {number: case["remoteCloseCode"] for number, case in report.items()}
    assert {codes[f"3.{number}"] for number in range(2, 8)} == {1002}  # reserved bits
    assert {codes[number] for number in codes if re.match(r"4\.", number)} == {1002}  # reserved opcodes
    assert {codes["5.1"], codes["5.9"], codes["5.18"]} == {1002}  # fragments out of order
    assert {codes["6.3.1"], codes["6.4.1"], codes["6.20.1"]} == {1007}  # no UTF-8
    assert {codes[number] for number in codes if re.match(r"7\.9\.", number)} == {1002}  # codes that are never sent


def test_the_documentation_has_the_figures(report):
    text = (ROOT / "docs" / "reference" / "conformance.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| (\d+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    counts = collections.Counter((int(number.partition(".")[0]), judge(case)) for number, case in report.items())
    words = ("OK", "NON-STRICT", "INFORMATIONAL")
    expected = [[chapter, *(counts[chapter, word] for word in words)] for chapter in CHAPTERS]
    assert [[int(cell) for cell in row] for row in rows] == expected
