"""What becomes of open pages when the server is restarted?"""

from pathlib import Path

TICKER = Path(__file__).parents[1] / "ticker"


async def test_open_pages_come_back_after_a_restart(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        client = await session.connect()
        await client.send("Watch", symbol="ACME")
        await app.restart()
        await client.reconnect()  # now, and not after its delay; it comes by itself as well
        assert client.data["watched"] == {}  # sessions live in memory
        assert client.session != session.id  # so its page was loaded anew, as a browser does it
