"""Runs the browser client's own tests, which need node and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

_FOLDER = Path(__file__).parent


def test_the_browser_client_passes_its_own_tests(node: str) -> None:
    """All of `tests/browser/*.test.js`, the wire's shared vectors among them."""
    files = sorted(path.name for path in _FOLDER.glob("*.test.js"))
    assert files
    run = subprocess.run(
        [node, "--test", "--test-reporter=spec", *files],
        cwd=_FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert run.returncode == 0, f"node --test failed:\n{run.stdout}"
