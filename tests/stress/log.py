"""A server's log, line by line, and the account of it: what is worse than `info` is expected, or a failure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

CALM = ("debug", "info")
"""Levels of lines that nobody has to account for."""


@attrs.frozen
class Line:
    level: str
    """`unknown` for what is no line of the log, such as a traceback of Python's own."""
    text: str
    """The event and what it says of a failure: `handler on_add of message Add failed: ValueError: no`."""
    session: str = "-"
    incident: str = ""


def parse(raw: str) -> Line:
    """One line of `--log-json`."""
    try:
        fields = json.loads(raw)
        level, event = fields["level"], fields["event"]
    except (ValueError, KeyError, TypeError):
        return Line("unknown", raw.rstrip())
    about = fields.get("error") or fields.get("reason") or ""
    if not about and "exception" in fields:
        about = fields["exception"].strip().rpartition("\n")[2]
    return Line(level, f"{event}: {about}" if about else event, fields.get("session", "-"), fields.get("incident", ""))


class LogFile:
    """The file that a server writes its log to; read from where it was left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def read(self) -> list[Line]:
        """The lines that have come since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [parse(raw.decode("utf-8", "replace")) for raw in whole if raw.strip()]


@attrs.define
class _Expected:
    pattern: re.Pattern[str]
    least: int
    most: int | None
    seen: int = 0


class Account:
    """What a scenario expects in the log; whatever else is worse than `info` is a violation."""

    def __init__(self) -> None:
        self._expected: list[_Expected] = []
        self._unexpected: list[Line] = []
        self.lines: list[Line] = []
        """All that was taken."""

    def expect(self, pattern: str, least: int = 1, most: int | None = None) -> None:
        """Lines that match are to come: at least so many, and at most `most`; None for any number."""
        self._expected.append(_Expected(re.compile(pattern), least, most))

    def expect_exactly(self, pattern: str, count: int) -> None:
        self.expect(pattern, count, count)

    def take(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.lines.append(line)
            if line.level in CALM:
                continue
            for expected in self._expected:
                if expected.pattern.search(line.text):
                    expected.seen += 1
                    break
            else:
                self._unexpected.append(line)

    def incidents(self) -> set[str]:
        """The incidents that the log has."""
        return {line.incident for line in self.lines if line.incident}

    @property
    def is_complete(self) -> bool:
        """Whether all that is to come at least has come."""
        return all(each.seen >= each.least for each in self._expected)

    def violations(self) -> list[str]:
        wrong = [f"unexpected in the log: {line.level}: {line.text[:300]}" for line in self._unexpected[:5]]
        if len(self._unexpected) > 5:
            wrong.append(f"... and {len(self._unexpected) - 5} more unexpected lines")
        for each in self._expected:
            if each.seen < each.least or (each.most is not None and each.seen > each.most):
                most = "or more" if each.most is None else f"to {each.most}"
                wrong.append(f"in the log {each.seen} of {each.pattern.pattern!r}; {each.least} {most} were expected")
        return wrong
