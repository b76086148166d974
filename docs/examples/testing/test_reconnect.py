"""Does a page that lost its connection get what it missed?"""

from pathlib import Path

import pytest
import trio

TICKER = Path(__file__).parents[1] / "ticker"


@pytest.mark.virtual_time("a minute passes")
async def test_a_reconnect_loses_nothing(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        steady, unlucky = await session.connect(), await session.connect()
        await steady.send("Watch", symbol="ACME")
        await unlucky.drop()  # its train is in a tunnel
        before = unlucky.revision
        await trio.sleep(60)  # a client alone could be away for --linger only; here the other one keeps the session
        assert unlucky.revision == before
        await unlucky.reconnect()
        missed = steady.revision
        assert missed > before
        await unlucky.until(lambda data: unlucky.revision >= missed)
        assert unlucky.data == steady.data
