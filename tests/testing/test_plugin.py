"""The plugin: what pytest loads."""

from importlib.util import find_spec

from supervisor.testing import plugin


def test_it_is_all_of_its_parts():
    assert plugin.pytest_plugins
    assert all(find_spec(name) is not None for name in plugin.pytest_plugins)
