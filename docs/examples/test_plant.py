"""The tests of `plant.py`: a machine that goes away comes back, and one that stays away ends nobody else."""

from pathlib import Path

import pytest
import trio

PLANT = Path(__file__).parent / "plant.py"


@pytest.mark.virtual_time("a minute passes")
async def test_a_machine_that_is_gone_is_missing_until_it_is_back(supervise):
    async with supervise(PLANT) as app:
        client = await (await app.new_session()).connect()
        await client.until(lambda data: "boiler" in data["missing"])
        await client.until(lambda data: data["missing"] == ["archive"])
        assert client.data["celsius"] is not None
        await trio.sleep(60)
        producers = {producer.name: producer for producer in app.context.statistics().producer_states}
        assert producers["archive"].state == "failed"
        assert producers["archive"].failures == 4
        assert producers["boiler"].state in ("running", "backing off")
        app.incidents.clear()
