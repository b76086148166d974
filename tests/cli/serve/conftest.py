"""Servers that several tests share, and the folder of apps that they serve."""

import pytest

from .apps import COUNTER


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_files):
    folder = tmp_path_factory.mktemp("apps")
    write_files(folder, {"counter.py": COUNTER, "other.py": "def make(doc): ...\n"})
    write_files(folder / "shop", {"main.py": COUNTER, "lifecycle.py": "def on_sesion_created(context): ...\n"})
    return folder


@pytest.fixture(scope="module")
def one(start_shared, folder):
    """A server of one app that the tests below leave as they found it."""
    return start_shared("serve", "counter.py", "--port", 0, cwd=folder)


@pytest.fixture(scope="module")
def three(start_shared, folder):
    """A server of three apps, behind a prefix, on a name that has several addresses."""
    arguments = ("counter.py", "shop/", "other:make", "--port", 0, "--prefix", "tools/live/", "--host", "localhost")
    return start_shared("serve", *arguments, cwd=folder)
