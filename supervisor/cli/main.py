"""The command line: its commands, and how errors become one sentence each and an exit code.

Exit codes: 0 for a good end, 1 for errors of apps and of the system, 2 for wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click

from supervisor._version import __version__
from supervisor.cli.serve import serve
from supervisor.errors import SupervisorError

_PROGRAM = "python -m supervisor"


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="session-supervisor")
def commands() -> None:
    """Serve live, stateful web apps: every session is a supervised actor that owns its document.

    Begin with `python -m supervisor serve APP`; `python -m supervisor serve --help` tells the rest.
    """


commands.add_command(serve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit. Errors are one sentence on stderr."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        result = commands.main(arguments, prog_name=_PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        command = _PROGRAM if error.ctx is None else error.ctx.command_path
        complain(f"{error.format_message()} ({command} --help lists what can be given)")
        return 2
    except (SupervisorError, OSError) as error:
        complain(str(error))
        return 1
    except BaseExceptionGroup as group:
        expected, rest = group.split((SupervisorError, OSError))
        if expected is None or rest is not None:
            raise  # a bug, and no sentence of ours could explain it
        for each in _each(expected):
            complain(str(each))
        return 1
    except click.Abort:
        complain("interrupted before anything was served")
        return 1
    return result if isinstance(result, int) else 0


def _each(error: BaseException) -> Iterator[BaseException]:
    """The exceptions that are no groups, in order."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _each(part)
    else:
        yield error


def complain(sentence: str) -> None:
    """Say what is wrong in one line on stderr."""
    click.echo("Error: " + " ".join(sentence.split()), err=True)
