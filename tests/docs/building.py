"""Builds the documentation as its readers get it, once for all tests."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@functools.cache
def build(folder):
    """The folder of the built pages; a warning is a failure."""
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    command += ["--doctree-dir", folder / "doctrees", DOCS, folder / "html"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of the built pages."""
    return build(tmp_path_factory.getbasetemp() / "documentation")
