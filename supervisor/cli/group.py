"""A group of commands, each imported when it is run: to list them, nobody waits for the server's code."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, final

import click
from click.shell_completion import CompletionItem


@final
class Group(click.Group):
    """A group that is listed without its commands: in its help, and for a shell's completion.

    Args:
        homes: by name, where a command is defined, as "module:name", and what the list says of it.
    """

    def __init__(self, name: str | None = None, *, homes: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(name, commands=_Commands(homes), **attributes)
        self._homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See `click.Group.list_commands`."""
        return list(self._homes)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group.format_commands`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in self._homes.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See `click.Group.shell_complete`."""
        named = [
            CompletionItem(name, help=said) for name, (_, said) in self._homes.items() if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)


@final
class _Commands(MutableMapping[str, click.Command]):
    """The commands by name. To read one imports it."""

    def __init__(self, homes: Mapping[str, tuple[str, str]]) -> None:
        self._homes = homes
        self._imported: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._imported:
            module, _, attribute = self._homes[name][0].partition(":")
            self._imported[name] = getattr(importlib.import_module(module), attribute)
        return self._imported[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        del self._imported[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._homes, **self._imported})

    def __len__(self) -> int:
        return len({**self._homes, **self._imported})
