"""The short run of the stress suite, against real server processes; `run.py --long` is the long one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"
BOUND = 600
"""Seconds that the short run may take: a minute or two, and more on a machine that does much else."""


@pytest.mark.stress
def test_every_scenario_holds():
    # Without coverage: what it measures is this process's own, and it makes the server several times slower.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, RUN], capture_output=True, text=True, timeout=BOUND, env=environment, check=False
    )
    print(done.stdout[-20_000:], done.stderr[-20_000:])
    assert done.returncode == 0, done.stdout[-5_000:]
