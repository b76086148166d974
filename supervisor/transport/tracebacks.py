"""Exceptions as people read them in a page under `ServerOptions.dev`: the app's own lines first.

For a development server's pages only: a traceback tells strangers how an app works, and often more.
"""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Iterator
from typing import final

import attrs

from supervisor.application.loading import without_private_names
from supervisor.application.source import is_own
from supervisor.errors import ApplicationError

_AROUND = 3
"""Lines of code that are shown before and after the one that counts."""
_FRAMES = 30
"""Of each kind that are shown, the innermost ones: an endless recursion has a thousand."""
_PARTS = 10
"""Exceptions that are shown, of all that are tied together."""


@final
@attrs.frozen(kw_only=True)
class Line:
    """A line of code."""

    number: int
    text: str
    counts: bool
    """Whether it is the one that was at work."""


@final
@attrs.frozen(kw_only=True)
class Frame:
    """A place on the way to an exception."""

    file: str
    """Relative to the working directory if it is below it."""
    line: int
    function: str
    code: tuple[Line, ...]


@final
@attrs.frozen(kw_only=True)
class Part:
    """One of the exceptions that are tied together."""

    tie: str
    """How it belongs to the one before, in words; empty for the first."""
    text: str
    """Its type and message; of a syntax error with the line and a caret below it."""
    own: tuple[Frame, ...]
    """The frames of the app's code, the innermost first."""
    others: tuple[Frame, ...]
    """The frames of everybody else's, the innermost first."""


def explain(error: BaseException) -> tuple[Part, ...]:
    """The exception and what caused it. Of an app that can't be loaded only the cause, if there is one."""
    if isinstance(error, ApplicationError) and error.__cause__ is not None:
        error = error.__cause__
    captured = traceback.TracebackException.from_exception(error)
    parts = []
    for tie, each in _tied(captured, ""):
        parts.append(_part(tie, each))
        if len(parts) == _PARTS:
            break
    return tuple(parts)


def in_short(error: BaseException) -> str:
    """The same as plain text: each exception with the app's own lines alone, for where there is little room."""
    lines = []
    for part in explain(error):
        if part.tie:
            lines.append(f"\n{part.tie}\n")
        lines.append(part.text)
        for frame in part.own[:5]:
            lines.append(f"  {frame.file}, line {frame.line}, in {frame.function}")
            lines += [f"    {line.text.strip()}" for line in frame.code if line.counts]
    return "\n".join(lines)


def _tied(error: traceback.TracebackException, tie: str) -> Iterator[tuple[str, traceback.TracebackException]]:
    yield tie, error
    for inner in error.exceptions or ():
        yield from _tied(inner, "One of the group:")
    if error.__cause__ is not None:
        yield from _tied(error.__cause__, "It was caused by:")
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _tied(error.__context__, "It came while this was being handled:")


def _part(tie: str, error: traceback.TracebackException) -> Part:
    own: list[Frame] = []
    others: list[Frame] = []
    for summary in reversed(error.stack):
        frames = own if is_own(summary.filename) else others
        if len(frames) < _FRAMES:
            frames.append(_frame(summary, with_code=frames is own))
    text = without_private_names("".join(error.format_exception_only()).rstrip())
    return Part(tie=tie, text=text, own=tuple(own), others=tuple(others))


def _frame(summary: traceback.FrameSummary, *, with_code: bool) -> Frame:
    number = summary.lineno or 0
    lines = linecache.getlines(summary.filename) if with_code else []
    around = range(max(1, number - _AROUND), min(len(lines), number + _AROUND) + 1)
    code = tuple(Line(number=each, text=lines[each - 1].rstrip(), counts=each == number) for each in around)
    return Frame(file=_shown(summary.filename), line=number, function=summary.name, code=code)


def _shown(file: str) -> str:
    try:
        relative = os.path.relpath(file)
    except ValueError:  # on another drive, or without a name
        return file
    return file if relative.startswith("..") else relative
