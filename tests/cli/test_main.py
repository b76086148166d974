"""Commands, usage errors and exit codes."""

import subprocess
import sys

import click
import pytest

import supervisor.cli.main
from supervisor._version import __version__
from supervisor.errors import ApplicationError


def test_the_version_is_told(cli):
    result = cli("--version")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == f"session-supervisor, version {__version__}\n"


def test_help_lists_the_commands(cli):
    result = cli("--help")
    assert (result.code, result.stderr) == (0, "")
    assert "serve" in result.stdout
    assert "python -m supervisor serve APP" in result.stdout
    for line in result.stdout.partition("Commands:\n")[2].splitlines():
        assert line.endswith(".")


def test_help_of_serve_teaches_and_fits_a_terminal(cli):
    result = cli("serve", "--help")
    assert (result.code, result.stderr) == (0, "")
    for taught in (
        "directory with a main.py",
        "module:function",
        "Examples:",
        "Exit codes:",
        "[default: 5006",
        "SIGTERM",
    ):
        assert taught in " ".join(result.stdout.split())
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert cli("serve", "-h").stdout == result.stdout


@pytest.mark.parametrize("name", supervisor.cli.main.commands.commands)
def test_every_command_teaches_and_fits_a_terminal(cli, name):
    result = cli(name, "--help")
    assert (result.code, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 100
    command = supervisor.cli.main.commands.commands[name]
    for option in command.params:
        assert isinstance(option, click.Argument) or option.help.endswith("."), option.name


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ("Missing command", "python -m supervisor --help")),
        (("srve",), ("'srve'",)),
        (("--nonsense",), ("--nonsense",)),
        (("serve",), ("APP", "python -m supervisor serve --help")),
        (("serve", "app.py", "--prot", "1"), ("--prot", "--port")),
        (("serve", "app.py", "--port"), ("--port",)),
        (("serve", "app.py", "--port", "http"), ("--port", "'http'")),
        (("serve", "app.py", "--port", "65536"), ("--port", "65536")),
        (("serve", "app.py", "--port", "-1"), ("--port", "-1")),
        (("serve", "app.py", "--host", ""), ("--host", "''")),
        (("serve", "app.py", "--host", "http://localhost"), ("--host", "'http://localhost'")),
        (("serve", "app.py", "--host", "localhost:80"), ("--host", "'localhost:80'")),
        (("serve", "app.py", "--prefix", "/a b"), ("--prefix", "'/a b'", "/tools/live")),
        (("serve", "app.py", "--prefix", "/../a"), ("--prefix", "'/../a'")),
        (("serve", "app.py", "--prefix", "/-/a"), ("--prefix", "'/-/a'")),
        (("serve", "app.py", "--allow-origin", "a b"), ("--allow-origin", "'a b'", "example.org")),
        (("serve", "app.py", "--session-ids", "mine"), ("--session-ids", "'mine'", "generated")),
        (("serve", "app.py", "--linger", "-1"), ("--linger", "'-1'")),
        (("serve", "app.py", "--linger", "soon"), ("--linger", "'soon'", "seconds")),
        (("serve", "app.py", "--linger", "nan"), ("--linger", "'nan'")),
        (("serve", "app.py", "--hook-timeout", "0"), ("--hook-timeout", "more than 0")),
        (("serve", "app.py", "--max-age", "inf"), ("--max-age", "'inf'")),
        (("serve", "app.py", "--shutdown-timeout", ""), ("--shutdown-timeout", "''")),
        (("serve", "app.py", "--max-sessions", "0"), ("--max-sessions", "0")),
        (("serve", "app.py", "--max-creating", "0"), ("--max-creating", "0")),
        (("serve", "app.py", "--max-message-size", "10"), ("--max-message-size", "10")),
        (("serve", "app.py", "--max-sessions-per-address", "0"), ("--max-sessions-per-address", "0")),
        (("serve", "app.py", "--max-connections", "many"), ("--max-connections", "'many'")),
        (("serve", "app.py", "--max-connections-per-session", "0"), ("--max-connections-per-session", "0")),
        (("serve", "app.py", "--max-message-rate", "nan"), ("--max-message-rate", "'nan'")),
        (("serve", "app.py", "--max-document-size", "10"), ("--max-document-size", "10")),
        (("serve", "app.py", "--ping-interval", "60"), ("--ping-interval", "at most 45 seconds")),
        (("serve", "app.py", "--log-level", "loud"), ("--log-level", "'loud'", "debug")),
        (
            ("serve", "app.py", "--unix-socket", "s", "--port", "80"),
            ("--unix-socket", "--port", "can't be used together"),
        ),
        (
            ("serve", "app.py", "--unix-socket", "s", "--host", "::1"),
            ("--unix-socket", "--host", "can't be used together"),
        ),
        (("serve", "app.py", "--unix-socket", "s", "--unix-socket-mode", "rw"), ("--unix-socket-mode", "'rw'", "660")),
        (("serve", "app.py", "--unix-socket", ""), ("--unix-socket", "'' is not a file name")),
        (("serve", "app.py", "--secret-key-file", ""), ("--secret-key-file", "'' is not a file name")),
        (("serve", ""), ("APP", "'' is not a file name")),
        (("export", "app.py", "-o", ""), ("--output", "'' is not a file name")),
        (("secret", "-o", ""), ("--output", "'' is not a file name")),
        (("serve", "app.py", "--unix-socket-mode", "660"), ("--unix-socket-mode needs --unix-socket",)),
        (("serve", "app.py", "--ssl-keyfile", "key.pem"), ("--ssl-keyfile", "--ssl-certfile")),
        (("serve", "app.py", "--trusted-proxy", "proxy"), ("--trusted-proxy", "'proxy'", "10.0.0.0/8", "unix")),
        (("serve", "app.py", "--trusted-proxy", "10.1.2.3/8"), ("--trusted-proxy", "did you mean 10.0.0.0/8?")),
        (("serve", "app.py", "--session-ids", "external-signed"), ("external-signed", "--secret-key-file")),
    ],
)
def test_wrong_usage_is_one_sentence_with_the_way_out(cli, arguments, names):
    result = cli(*arguments)
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    for name in names:
        assert name in result.error
    assert "--help lists what can be given" in result.error


def test_an_error_of_several_lines_is_told_in_one(cli, monkeypatch):
    def fail():
        raise ApplicationError("first\n  second")

    monkeypatch.setitem(supervisor.cli.main.commands.commands, "fail", click.Command("fail", callback=fail))
    result = cli("fail")
    assert (result.code, result.stderr) == (1, "Error: first second\n")


def test_errors_that_come_together_are_a_sentence_each(cli, monkeypatch):
    def fail():
        raise ExceptionGroup("two", [ApplicationError("first"), ExceptionGroup("one", [OSError("second")])])

    monkeypatch.setitem(supervisor.cli.main.commands.commands, "fail", click.Command("fail", callback=fail))
    result = cli("fail")
    assert (result.code, result.stderr) == (1, "Error: first\nError: second\n")


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch):
    """It is no error that a sentence could explain."""

    def fail():
        raise ExceptionGroup("two", [ApplicationError("first"), ZeroDivisionError()])

    monkeypatch.setitem(supervisor.cli.main.commands.commands, "fail", click.Command("fail", callback=fail))
    with pytest.raises(ExceptionGroup):
        supervisor.cli.main.run(["fail"])


def test_an_interrupt_is_one_sentence(cli, monkeypatch):
    for interrupt in (KeyboardInterrupt(), BaseExceptionGroup("a nursery", [KeyboardInterrupt()])):

        def fail(interrupt=interrupt):
            raise interrupt

        monkeypatch.setitem(supervisor.cli.main.commands.commands, "fail", click.Command("fail", callback=fail))
        result = cli("fail")
        assert result.code == 1
        assert result.stderr.strip() == "Error: interrupted"


def test_a_command_without_a_result_ends_well(cli, monkeypatch):
    monkeypatch.setitem(supervisor.cli.main.commands.commands, "pass", click.Command("pass", callback=lambda: None))
    assert cli("pass").code == 0


def test_the_program_ends_with_the_exit_code():
    ended = subprocess.run([sys.executable, "-m", "supervisor", "nonsense"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: No such command 'nonsense'")
