"""One session without a server: what the test tells it to do is what it does, and nothing else."""

import pytest

from supervisor.testing import hand_driven

from .ticker import ticker


@pytest.fixture
async def session():
    async with hand_driven(ticker()) as session:
        yield session
