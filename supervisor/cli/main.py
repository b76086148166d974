"""The command line: its commands, and how errors become one sentence each and an exit code.

Exit codes: 0 for a good end, 1 for errors of apps and of the system, 2 for wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from supervisor._version import __version__
from supervisor.cli.completion import VARIABLE
from supervisor.cli.group import Group
from supervisor.cli.sentences import sentences
from supervisor.errors import SupervisorError

_PROGRAM = "python -m supervisor"

_HOMES = {
    "new": ("supervisor.cli.new:new", "Make a small app with its test."),
    "serve": ("supervisor.cli.serve:serve", "Serve one or more apps on one port."),
    "check": ("supervisor.cli.check:check", "Show what is in apps, and what looks wrong."),
    "export": ("supervisor.cli.export:export", "Write an app's document as a page, without a server."),
    "watch": ("supervisor.cli.watch:watch", "Print a session's document as it changes."),
    "secret": ("supervisor.cli.secret:secret", "Make a key to sign with."),
    "session-id": ("supervisor.cli.secret:session_id", "Make a session's id for another program's link."),
    "completion": (
        "supervisor.cli.completion:completion",
        "Print a script that completes commands and options in a shell.",
    ),
}


@click.group(
    cls=Group,
    homes=_HOMES,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="session-supervisor")
def commands() -> None:
    """Serve live, stateful web apps: every session is a supervised actor that owns its document.

    Begin with `python -m supervisor serve APP`, or with `python -m supervisor new APP` if there is no app yet. Each
    command has its own help, such as `python -m supervisor serve --help`. An error is one sentence on stderr.

    \b
    Exit codes of all commands:
      0  success
      1  an app or the system failed
      2  wrong usage: an unknown command or option, or an invalid value
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")


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
