"""Commands whose help shows their options in groups, each under a heading that says what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, final

import click

F = TypeVar("F", bound=Callable[..., Any])

OTHERS = "Options"
"""The heading of what belongs to no group."""


@final
class Option(click.Option):
    """An option that belongs to a group of its command's help."""

    def __init__(self, *args: Any, group: str = OTHERS, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


def option(group: str, *names: str, **attributes: Any) -> Callable[[F], F]:
    """As `click.option`, with the heading under which the option is shown."""
    return click.option(*names, cls=Option, group=group, **attributes)


def groups_of(command: click.Command, context: click.Context) -> dict[str, list[click.Parameter]]:
    """The options of a command by their headings, in the order in which they were declared; the others come last."""
    groups: dict[str, list[click.Parameter]] = {}
    others: list[click.Parameter] = []
    for parameter in command.get_params(context):
        if isinstance(parameter, Option) and parameter.group != OTHERS:
            groups.setdefault(parameter.group, []).append(parameter)
        elif isinstance(parameter, click.Option):
            others.append(parameter)
    return {**groups, OTHERS: others}


@final
class Command(click.Command):
    """A command whose help is written in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Command.format_options`."""
        for heading, parameters in groups_of(self, ctx).items():
            records = [record for each in parameters if (record := each.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
