"""The four samples of Bokeh's page, each an app."""

from pathlib import Path

import pytest
import trio

from supervisor import ServerOptions
from supervisor.testing import PageRefused

SAMPLES = Path(__file__).parent


@pytest.mark.parametrize("sample", ["first", "second"])
async def test_data_from_a_source_reaches_every_session(supervise, sample):
    async with supervise(SAMPLES / sample) as app:
        clients = [await (await app.new_session()).connect() for _ in range(3)]
        for client in clients:
            await client.until(lambda data: data["foo"] == [21.5, 21.5])


async def test_a_balancer_is_told_of_each_session(supervise):
    async with supervise(SAMPLES / "third") as app:
        began = trio.current_time()
        await app.new_session()
        assert trio.current_time() - began > 0.09  # on the real clock too


async def test_a_forged_id_is_turned_away(supervise):
    async with supervise(SAMPLES / "fourth", options=ServerOptions(session_ids="any")) as app:
        await app.new_session(id="signed")
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id="forged")
        assert refused.value.status == 403
