"""Does a bad network lose anything?"""

from pathlib import Path

from supervisor.testing import Network

TICKER = Path(__file__).parents[1] / "ticker"


async def test_a_bad_network_loses_nothing(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        client = await session.connect(network=Network(seed=7))
        client.network.down.delay, client.network.down.jitter = 0.2, 0.1
        client.network.up.rate = 1_000  # bytes a second
        client.network.down.cut_after = 500  # once, somewhere in a frame
        for symbol in ("ACME", "GLOBEX", "INITECH"):
            await client.send("Watch", symbol=symbol)
        await client.until(lambda data: client.network.down.cut_after is None)  # cut, and back by itself
        await app.settle()  # it has what the server has
        assert set(client.data["watched"]) == {"ACME", "GLOBEX", "INITECH"}
