"""The linters, each as its own test: `pytest` alone says whether the code keeps its own rules.

They are in the test extra, so one that is missing is a failure. Their settings are in `pyproject.toml`.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))


def run(*command):
    # They are programs of others: no line of ours runs in them, so there is nothing to count for coverage.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ended = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env={**environment, "NO_COLOR": "1", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    shown = " ".join([Path(command[0]).name, *map(str, command[1:])])
    if ended.returncode:
        pytest.fail(f"{shown} says:\n{ended.stdout}", pytrace=False)


def test_ruff_finds_nothing():
    run(sys.executable, "-m", "ruff", "check", ".")


def test_ruff_would_format_nothing_otherwise():
    run(sys.executable, "-m", "ruff", "format", "--check", ".")


def test_mypy_finds_nothing():
    run(sys.executable, "-m", "mypy")


def test_rooms_import_only_from_floors_below_them():
    """The contracts of [tool.importlinter]: floors, cycles, pure rooms, the domain and the wire, foreign libraries."""
    run(SCRIPTS / "lint-imports", "--no-cache", "--no-logo")
