"""A gate at which threads wait."""

import pytest

from .working import Gate


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()
