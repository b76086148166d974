"""What becomes of visitors when the server's process is killed?"""

from pathlib import Path

from supervisor.testing import supervise_process

TICKER = Path(__file__).parents[1] / "ticker"


async def test_visitors_are_served_after_a_kill():
    async with supervise_process(TICKER) as app:
        client = await (await app.new_session()).connect()
        await client.send("Watch", symbol="ACME")
        app.kill()  # no hook, no goodbye
        await app.restart()
        again = await (await app.new_session()).connect()
        assert again.data["watched"] == {}
