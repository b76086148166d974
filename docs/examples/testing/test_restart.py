"""What becomes of open pages when the server is restarted?"""

from pathlib import Path

TICKER = Path(__file__).parents[1] / "ticker"


async def test_open_pages_learn_of_a_restart(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        client = await session.connect()
        await app.restart()
        await client.reconnect()  # now, and not after its delay; it comes by itself as well
        assert client.session != session.id  # sessions were in memory: its page was loaded anew, and has another one
        assert client.data["watched"] == {}
