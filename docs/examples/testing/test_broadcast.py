"""Does a broadcast reach every session, and say so?"""

from pathlib import Path

TICKER = Path(__file__).parents[1] / "ticker"


async def test_a_broadcast_reaches_all(supervise):
    async with supervise(TICKER) as app:
        clients = [await (await app.new_session()).connect() for _ in range(3)]
        for client in clients:
            await client.send("Watch", symbol="ACME")
        report = await app.broadcast(app.messages.Quote("ACME", 12.5))
        assert len(report.accepted) == 3
        assert not report.lagged
        for client in clients:
            await client.until(lambda data: data["watched"]["ACME"] == 12.5)
