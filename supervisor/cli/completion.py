"""`python -m supervisor completion SHELL`: the script by which a shell completes the program's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from supervisor.cli.help import Command
from supervisor.errors import ApplicationError

PROGRAM = "session-supervisor"
"""The name that shells complete after: they can't do it for `python -m`."""
VARIABLE = "_SESSION_SUPERVISOR_COMPLETE"
"""The environment variable by which such a script asks the program; click's own name for this program."""


@click.command(cls=Command)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script for SHELL that completes what is typed after session-supervisor.

    \b
    To install it:
      bash  echo 'eval "$(session-supervisor completion bash)"' >> ~/.bashrc
      zsh   echo 'eval "$(session-supervisor completion zsh)"' >> ~/.zshrc
      fish  session-supervisor completion fish > ~/.config/fish/completions/session-supervisor.fish

    Shells that are already running don't notice. python -m supervisor is the same program, but shells can't complete
    it.
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    found = get_completion_class(shell)
    if found is None:
        raise ApplicationError(f"this version of click has no completion for {shell}; update click")
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, PROGRAM, VARIABLE).source(), nl=False)
