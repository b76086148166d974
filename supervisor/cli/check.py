"""`python -m supervisor check APP…`: what is in apps, and what is wrong with them, without serving them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator

import attrs
import click

from supervisor.cli.help import Command, option
from supervisor.cli.inspection import Finding, inspect_apps
from supervisor.cli.parameters import FilePath


@click.command(cls=Command)
@click.argument("apps", metavar="APP...", nargs=-1, required=True, type=FilePath())
@option("Options", "--strict", is_flag=True, help="Warnings fail too: the exit code is 1.")
@option("Options", "--json", "as_json", is_flag=True, help="Print JSON: a list with an object for each APP.")
def check(apps: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Load each APP as serve does, and print what is in it: hooks, messages, failure policy, templates, static files.

    Importing it runs its code once, but no hook is called and no session is made. Something that looks wrong is a
    warning; nothing is reported that may be right.

    \b
    Examples:
      python -m supervisor check demos/hostwatch
      python -m supervisor check --strict chat.py stocks

    \b
    Exit codes:
      0  all APPs can be served, perhaps with warnings
      1  an APP can't be served, or has warnings and --strict was given
      2  wrong usage
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    with contextlib.redirect_stdout(sys.stderr):  # what an app prints is no finding
        findings = inspect_apps(apps)
    if as_json:
        click.echo(json.dumps([attrs.asdict(finding) for finding in findings], indent=2))
    else:
        click.echo("\n\n".join("\n".join(_lines(finding)) for finding in findings))
    failed = any(finding.errors or (strict and finding.warnings) for finding in findings)
    return 1 if failed else 0


def _lines(finding: Finding) -> Iterator[str]:
    if finding.name is None:
        yield finding.app
    else:
        yield f"{finding.name}: {finding.description}" if finding.description else finding.name
        yield from _table("hooks", [(hook.name, hook.where) for hook in finding.hooks])
        rows = [
            (
                f"{message.name}({', '.join(f'{name}: {type}' for name, type in message.fields.items())})",
                ", ".join(
                    [
                        *(["from clients"] if message.from_client else []),
                        *message.rules,
                        f"{message.handler} in {message.where}",
                    ]
                ),
            )
            for message in finding.messages
        ]
        yield from _table("messages", rows)
        if finding.failure_policy != "resume":
            yield f"  failure policy: {finding.failure_policy}"
        if finding.templates:
            yield from _table("templates", [(name, "") for name in finding.templates])
        if "templates/index.html" not in finding.templates:
            yield "  no templates/index.html: the generic page"
        if finding.static:
            yield f"  static: {_count(len(finding.static), 'file')}"
    for warning in finding.warnings:
        yield f"  warning: {warning}"
    for error in finding.errors:
        yield f"  error: {' '.join(error.split())}"
    warned = f", {_count(len(finding.warnings), 'warning')}" if finding.warnings else ""
    yield f"  {'it cannot be served' if finding.errors else 'it can be served'}{warned}"


def _table(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield f"  {title}"
        width = min(44, max(len(first) for first, _ in rows))
        for first, second in rows:
            yield f"    {first:{width}}  {second}".rstrip()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
