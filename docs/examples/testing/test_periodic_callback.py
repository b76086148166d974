"""Does a callback fire as often as it should, and no longer than it should?"""

from pathlib import Path

import pytest
import trio

CALLBACKS = Path(__file__).parents[1] / "callbacks.py"


@pytest.mark.virtual_time("an hour passes")
async def test_a_periodic_callback_fires_on_time(supervise):
    async with supervise(CALLBACKS) as app:
        client = await (await app.new_session()).connect()
        began = trio.current_time()
        await client.until(lambda data: data["seconds"] == 3)
        assert trio.current_time() - began <= 3
        await trio.sleep(3600)  # an hour, which takes no time
        assert client.data["seconds"] == 5  # it was removed then
