"""Commands are imported when they are run, and listed without."""

import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from supervisor.cli.main import commands

SERVERS = ("starlette", "jinja2", "trio", "trio_websocket", "supervisor.server")


def loaded_by(code):
    """Which of those modules the code imports, in a process of its own."""
    code += f"\nimport sys\nprint('\\n', *(name for name in {SERVERS} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"], ["nonsense"]])
def test_what_needs_no_server_imports_none(arguments):
    assert loaded_by(f"from supervisor.cli.main import run\ntry:\n  run({arguments})\nexcept SystemExit: pass") == []


def test_a_shell_that_completes_commands_imports_no_server():
    completed = "ShellComplete(commands, {}, 'x', 'X').get_completions([], 's')"
    code = f"from click.shell_completion import ShellComplete\nfrom supervisor.cli.main import commands\n{completed}"
    assert loaded_by(code) == []
    assert set(loaded_by("from supervisor.cli.main import commands\ncommands.commands['serve']")) == set(SERVERS)


def test_commands_are_completed_with_what_they_do():
    items = ShellComplete(commands, {}, "x", "X").get_completions([], "se")
    assert [(item.value, item.help) for item in items] == [
        ("serve", "Serve one or more apps on one port."),
        ("secret", "Make a key to sign with."),
        ("session-id", "Make a session's id for another program's link."),
    ]


def test_each_command_is_where_it_is_said_to_be():
    context = click.Context(commands)
    assert commands.list_commands(context) == list(commands.commands)
    for name in commands.list_commands(context):
        assert commands.get_command(context, name).name == name
    assert commands.get_command(context, "nonsense") is None
    assert len(commands.commands) == len(commands.list_commands(context))


def test_an_option_of_a_command_is_completed():
    items = ShellComplete(commands, {}, "x", "X").get_completions(["check"], "--st")
    assert [item.value for item in items] == ["--strict"]
    assert "--version" in [item.value for item in ShellComplete(commands, {}, "x", "X").get_completions([], "--")]
