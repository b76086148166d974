"""The command line: its commands, and how errors become one sentence each and an exit code.

Exit codes: 0 for a good end, 1 for errors of apps and of the system, 2 for wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from supervisor._version import __version__
from supervisor.cli.check import check
from supervisor.cli.completion import VARIABLE, completion
from supervisor.cli.export import export
from supervisor.cli.new import new
from supervisor.cli.secret import secret, session_id
from supervisor.cli.sentences import sentences
from supervisor.cli.serve import serve
from supervisor.cli.watch import watch
from supervisor.errors import SupervisorError

_PROGRAM = "python -m supervisor"


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="session-supervisor")
def commands() -> None:
    """Serve live, stateful web apps: every session is a supervised actor that owns its document.

    Begin with `python -m supervisor serve APP`, or with `python -m supervisor new APP` if there is no app yet. Each
    command tells its own with --help, such as `python -m supervisor serve --help`. An error is one sentence on stderr.

    \b
    Exit codes of all commands:
      0  a good end
      1  an app or the system failed
      2  wrong usage: an unknown command or option, a value that can't be
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")


for _command in (new, serve, check, export, watch, secret, session_id, completion):
    commands.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit. Errors are one sentence on stderr."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        result = commands.main(arguments, prog_name=_PROGRAM, complete_var=VARIABLE, standalone_mode=False)
    except click.UsageError as error:
        command = _PROGRAM if error.ctx is None else error.ctx.command_path
        complain(f"{error.format_message()} ({command} --help lists what can be given)")
        return 2
    except (SupervisorError, OSError, BaseExceptionGroup) as error:
        if isinstance(error, BaseExceptionGroup) and error.split(KeyboardInterrupt)[1] is None:
            complain("interrupted")  # as trio passes it on, through its nurseries
            return 1
        told = sentences(error)
        if not told:
            raise  # a bug, and no sentence of ours could explain it
        for sentence in told:
            complain(sentence)
        return 1
    except click.Abort:
        complain("interrupted")
        return 1
    return result if isinstance(result, int) else 0


def complain(sentence: str) -> None:
    """Say what is wrong in one line on stderr."""
    click.echo("Error: " + " ".join(sentence.split()), err=True)
