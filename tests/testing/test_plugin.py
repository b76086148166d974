"""The plugin: what pytest loads."""

import subprocess
import sys
from importlib.util import find_spec

from supervisor.testing import plugin


def test_it_is_all_of_its_parts():
    assert plugin.pytest_plugins
    assert all(find_spec(name) is not None for name in plugin.pytest_plugins)


def test_who_has_it_installed_and_does_not_use_it_pays_for_no_server():
    heavy = ("trio", "trio_websocket", "h11", "starlette", "jinja2", "httpx", "hypothesis", "supervisor.server")
    code = f"import importlib, sys\nfor each in {plugin.pytest_plugins}: importlib.import_module(each)\n"
    code += f"print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
