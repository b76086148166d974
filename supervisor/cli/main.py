"""The command line: its commands, and how errors become one sentence and an exit code.

Exit codes: 0 for a good end, 1 for errors of apps and of the system, 2 for wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from supervisor._version import __version__
from supervisor.cli.serve import serve
from supervisor.errors import SupervisorError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="session-supervisor")
def commands() -> None:
    """Serve live, stateful web apps: every session is a supervised actor that owns its document."""


commands.add_command(serve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit. Errors are one sentence on stderr."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        result = commands.main(arguments, prog_name="python -m supervisor", standalone_mode=False)
    except click.UsageError as error:
        hint = "" if error.ctx is None else f" ({error.ctx.command_path} --help lists what can be given)"
        complain(f"{error.format_message()}{hint}")
        return 2
    except (SupervisorError, OSError) as error:
        complain(str(error))
        return 1
    except click.Abort:
        return 1
    return result if isinstance(result, int) else 0


def complain(sentence: str) -> None:
    """Say what is wrong in one line on stderr."""
    click.echo("Error: " + " ".join(sentence.split()), err=True)
