"""`completion`: scripts that real shells take, and what they complete."""

import os
import shutil
import subprocess
import sys

import pytest

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def programs(tmp_path):
    """An environment in which `session-supervisor` is this program, installed or not."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "session-supervisor"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m supervisor "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}


def run(shell, script, environment):
    """What a real shell prints; skipped where there is no such shell."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    options = {"bash": ("--norc", "--noprofile"), "zsh": ("-f",), "fish": ("--no-config",)}[shell]
    ended = subprocess.run(
        [shell, *options, "-c", script], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()


BASH = """
eval "$(session-supervisor completion bash)"
complete -p session-supervisor
complete_words() {
    COMPREPLY=() COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _session_supervisor_completion "$1"
}
for line in "se" "serve --session-ids e" "serve --unix-socket-" "completion z"; do
    complete_words session-supervisor $line
    echo "$line: ${COMPREPLY[*]}"
done
"""


def test_bash_completes_commands_options_and_choices(programs):
    declared, *completed = run("bash", BASH, programs)
    assert declared.startswith("complete ")
    assert (
        completed
        == [
            "se: serve secret session-id",
            "serve --session-ids e: external-signed",
            "serve --unix-socket-: --unix-socket-mode",
            "completion z: zsh",
        ]
        or completed[0] == "se: secret serve session-id"
    )


FISH = """
session-supervisor completion fish | source
complete -C "session-supervisor se"
complete -C "session-supervisor completion z"
"""


def test_fish_completes_commands_and_choices(programs):
    completed = [line.partition("\t")[0] for line in run("fish", FISH, programs)]
    assert sorted(completed[:3]) == ["secret", "serve", "session-id"]
    assert completed[3:] == ["zsh"]


ZSH = """
autoload -Uz compinit && compinit -u -D
eval "$(session-supervisor completion zsh)"
print -r -- $_comps[session-supervisor]
compdef() { }
_describe() { shift; print -rl -- ${(P)@[-1]} ${(P)1} }
compadd() { print -rl -- ${(P)@[-1]} }
words=(session-supervisor completion z) CURRENT=3 _session_supervisor_completion
"""


def test_zsh_completes_choices(programs):
    declared, *completed = run("zsh", ZSH, programs)
    assert declared == "_session_supervisor_completion"
    assert "zsh" in completed


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_asks_the_installed_program(cli, shell):
    result = cli("completion", shell)
    assert result.code == 0
    assert "session-supervisor" in result.stdout
    assert "_SESSION_SUPERVISOR_COMPLETE" in result.stdout


def test_a_shell_that_is_not_known_is_one_sentence(cli):
    result = cli("completion", "tcsh")
    assert (result.code, result.stdout) == (2, "")
    for name in ("'tcsh'", "SHELL", "bash", "zsh", "fish"):
        assert name in result.error


def test_a_click_without_that_shell_is_one_sentence(cli, monkeypatch):
    monkeypatch.setattr("supervisor.cli.completion.get_completion_class", lambda shell: None)
    result = cli("completion", "fish")
    assert result.code == 1
    assert "no completion for fish" in result.error
