"""Where node is."""

import re
import shutil
import subprocess

import pytest

_OLDEST_NODE = 20
"""The first one that has a finished test runner."""


@pytest.fixture
def node() -> str:
    """The program; skips the test where there is none, or an old one."""
    found = shutil.which("node")
    if found is None:
        pytest.skip(f"node is missing: the browser client's tests need node {_OLDEST_NODE} or newer")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < _OLDEST_NODE:
        pytest.skip(f"node is too old ({version}): the browser client's tests need {_OLDEST_NODE} or newer")
    return found
