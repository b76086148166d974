"""Does the app work whatever task goes first?"""

from pathlib import Path

import pytest

TICKER = Path(__file__).parents[1] / "ticker"


@pytest.mark.schedules(10)
async def test_whoever_goes_first_the_price_is_there(supervise):
    async with supervise(TICKER) as app:
        client = await (await app.new_session()).connect()
        await client.send("Watch", symbol="ACME")
        assert client.data["watched"]["ACME"] > 0
