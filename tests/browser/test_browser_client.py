"""Runs the browser client's own tests, which need node and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent
_OLDEST_NODE = 20
"""The first one that has a finished test runner."""


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip(f"node is missing: the browser client's tests need node {_OLDEST_NODE} or newer")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    found = re.match(r"v(\d+)\.", version)
    if found is None or int(found[1]) < _OLDEST_NODE:
        pytest.skip(f"node is too old ({version}): the browser client's tests need {_OLDEST_NODE} or newer")
    return node


def test_the_browser_client_passes_its_own_tests() -> None:
    """All of `tests/browser/*.test.js`, the wire's shared vectors among them."""
    files = sorted(path.name for path in _FOLDER.glob("*.test.js"))
    assert files
    run = subprocess.run(
        [_node(), "--test", "--test-reporter=spec", *files],
        cwd=_FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )
    assert run.returncode == 0, f"node --test failed:\n{run.stdout}"
