"""Does the app go on when its code fails, hangs, or is late?"""

from pathlib import Path

import pytest

from supervisor.testing import SendFailed

TICKER = Path(__file__).parents[1] / "ticker"


async def test_a_handler_that_fails_once_costs_one_answer(supervise):
    async with supervise(TICKER) as app:
        client = await (await app.new_session()).connect()
        app.faults.fail("on_watch", at=2)
        await client.send("Watch", symbol="ACME")
        with pytest.raises(SendFailed):
            await client.send("Watch", symbol="GLOBEX")
        assert await client.send("Watch", symbol="GLOBEX") == 2


async def test_a_session_that_crashes_is_alone_with_it(supervise):
    async with supervise(TICKER) as app:
        first, second = await app.new_session(), await app.new_session()
        client = await second.connect()
        incident = await first.crash()
        assert incident.decision.startswith("resume")
        assert await client.send("Watch", symbol="ACME") == 1
