"""Whatever visitors do, do they end with what the server has?"""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.testing.behaviour import perform
from supervisor.testing.strategies import behaviours

TICKER = Path(__file__).parents[1] / "ticker"
SYMBOLS = st.sampled_from(["ACME", "GLOBEX", "NONE"])


@settings(max_examples=30)
@given(behaviours(sends={"Watch": {"symbol": SYMBOLS}}, clients=3))
async def test_whatever_visitors_do_they_see_the_same(supervise, behaviour):
    async with supervise(TICKER) as app:
        clients = await perform(app, behaviour)  # at its end everybody is back, and has the server's document
        assert all(client.data == clients[0].data for client in clients)
