"""Connections that a test can cut."""

import pytest

from .apps import Silence


@pytest.fixture
def silence(nursery):
    return lambda running: Silence(running.transport, nursery)
