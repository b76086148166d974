"""The tests of the tutorial's last app, as its author would write them."""

from pathlib import Path

import pytest
import trio

from supervisor.testing import SendFailed

GROCERIES = Path(__file__).parent / "5_sharing"


async def test_what_one_visitor_adds_all_see(supervise):
    async with supervise(GROCERIES) as app:
        ada = await (await app.new_session()).connect()
        ben = await (await app.new_session()).connect()
        await ada.insert("/items/-", {"name": " tea "})
        await ben.until(lambda data: [item["name"] for item in data["items"]] == ["milk", "tea"])
        await ben.edit("/items/0/done", True)
        await ada.until(lambda data: data["left"] == 1)


async def test_a_thing_without_a_name_is_refused(supervise):
    async with supervise(GROCERIES) as app:
        client = await (await app.new_session()).connect()
        with pytest.raises(SendFailed, match="has a name") as refused:
            await client.insert("/items/-", {"name": " "})
        assert refused.value.kind == "rejected"
        assert len(client.data["items"]) == 1


async def test_an_offer_is_there_for_three_seconds(supervise):
    async with supervise(GROCERIES) as app:
        client = await (await app.new_session()).connect()
        await client.until(lambda data: data["offer"] is not None)
        assert client.data["offer"]["name"] == "apples"
        await trio.sleep(3.1)
        assert client.data["offer"] is None
