"""Fixtures of the demos' tests."""

import pytest


@pytest.fixture
def demos(request):
    """The folder of the demos."""
    return request.config.rootpath / "demos"
