"""The tests of `feed`: a session that is busy for half a second loses nothing that counts."""

from pathlib import Path

import pytest

FEED = Path(__file__).parent / "feed"


@pytest.mark.virtual_time("how many prices there are in half a second")
async def test_while_a_report_is_made_prices_wait_as_one_per_symbol(supervise):
    async with supervise(FEED) as app:
        client = await (await app.new_session()).connect()
        assert await client.send("Report") == 1
        [session] = app.context.sessions
        statistics = session.statistics()
        assert statistics.conflated > 400  # of the 500 prices of half a second three are left
        assert statistics.highest < 600  # and the trades
        await client.until(lambda data: len(data["prices"]) == 3)
