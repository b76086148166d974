"""Does a page that reads nothing cost the others nothing, and does it have the newest in the end?"""

from pathlib import Path

import pytest
import trio

TICKER = Path(__file__).parents[1] / "ticker"


@pytest.mark.virtual_time("it says that no time passes")
async def test_a_slow_client_costs_the_others_nothing(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        slow, quick = await session.connect(), await session.connect()
        await quick.send("Watch", symbol="ACME")
        slow.stall()  # reads nothing from now on, and answers no ping
        began = trio.current_time()
        for price in range(1000):
            session.context.tell_nowait(app.messages.Quote("ACME", price))
            await quick.until(lambda data, price=price: data["watched"]["ACME"] == price)
        assert trio.current_time() == began  # nobody has waited for the slow one
        slow.resume()
        await slow.until(lambda data: data["watched"]["ACME"] == 999)
