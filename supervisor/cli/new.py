"""`python -m supervisor new APP`: a small app with its page and its test, to begin from."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from supervisor.cli.help import Command
from supervisor.cli.parameters import FilePath
from supervisor.errors import ApplicationError

_EXTRA = "pytest_trio"
"""A module that only who has the extra `testing` is sure to have."""


@click.command(cls=Command)
@click.argument("app", metavar="APP", type=FilePath(path_type=Path))
def new(app: Path) -> None:
    """Make the folder APP with a small app to start from: a document, messages, a producer, a page, and its test.

    The last part of APP is the app's name, and so part of its address. An existing folder must be empty.

    \b
    Examples:
      python -m supervisor new thermometer
      python -m supervisor serve thermometer
      pytest thermometer

    \b
    Exit codes:
      0  the app was made
      1  nothing was made: the folder is not empty, or can't be written
      2  wrong usage, or a name that doesn't suit an app
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    name = app.resolve().name
    if not name.isidentifier() or keyword.iskeyword(name):
        raise click.BadParameter(f"{name!r} is not a name for an app: {_advice(app, name)}.", param_hint="'APP'")
    made = _make(app, name)
    click.echo(f"Made {app}: {', '.join(made)}\n")
    click.echo("Next:")
    for command in _commands(shlex.quote(str(app))):
        click.echo(f"  {command}")


def _advice(app: Path, name: str) -> str:
    """What would do in place of a name that doesn't."""
    better = re.sub(r"\W+", "_", name).strip("_").lower()
    better = f"app_{better}".rstrip("_") if not better or better[0].isdigit() else better
    better += "_" * keyword.iskeyword(better)
    reason = "it is a word of Python itself" if keyword.iskeyword(name) else "it could be no name in Python"
    return f"{reason}; {shlex.quote(str(app.with_name(better) if app.name == name else app / better))} would do"


def _make(app: Path, name: str) -> list[str]:
    """Write all files, or none; returns their names."""
    was_there = app.is_dir()
    try:
        if was_there and any(app.iterdir()):
            raise ApplicationError(f"{app} already exists and is not empty; give the name of a new folder")
        if app.exists() and not was_there:
            raise ApplicationError(f"{app} already exists and is not a folder; give the name of a new one")
        app.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ApplicationError(f"{app} can't be made: {error.strerror}; nothing was made") from error
    made = []
    try:
        for source, target in _files(files("supervisor.cli") / "new_app"):
            target = target.replace("test_app", f"test_{name}")
            (app / target).parent.mkdir(exist_ok=True)
            (app / target).write_bytes(source.read_bytes())
            made.append(target)
    except OSError as error:
        for path in app.iterdir() if was_there else [app]:
            with contextlib.suppress(OSError):  # what is told is why it began
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise ApplicationError(f"{app} can't be written: {error.strerror}; nothing was made") from error
    return made


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[Traversable, str]]:
    """The files that are copied, and what they are called then.

    Those of Python are stored as `x.py-tpl`: an installer compiles every `x.py`, and our own linters read it as ours.
    """
    for each in sorted(folder.iterdir(), key=lambda found: found.name):
        if each.is_dir():
            yield from _files(each, f"{prefix}{each.name}/")
        else:
            yield each, prefix + each.name.removesuffix("-tpl")


def _commands(app: str) -> Iterator[str]:
    """What to type next, each with what it is for."""
    commands = [(f"python -m supervisor serve {app}", "its page; with --dev it follows what you change")]
    if importlib.util.find_spec(_EXTRA) is None:
        commands.append(("pip install 'session-supervisor[testing]'", "what its test needs"))
    commands.append((f"pytest {app}", "its test"))
    width = max(len(command) for command, _ in commands)
    for command, purpose in commands:
        yield f"{command:{width}}   # {purpose}"
