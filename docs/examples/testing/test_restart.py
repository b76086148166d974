"""What becomes of open pages when the server is restarted?"""

from pathlib import Path

TICKER = Path(__file__).parents[1] / "ticker"


async def test_open_pages_learn_of_a_restart(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        client = await session.connect()
        await app.restart()
        ended = await client.until_ended()
        assert ended is not None  # its session was in memory, so the page is loaded anew
        again = await (await app.new_session()).connect()
        assert again.data["watched"] == {}
