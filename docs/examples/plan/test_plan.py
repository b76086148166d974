"""The tests of `plan`."""

from pathlib import Path

import pytest

from supervisor.testing import SendFailed

PLAN = Path(__file__).parent


async def test_visitors_edit_at_once(supervise):
    async with supervise(PLAN) as app:
        session = await app.new_session()
        ada, grace = await session.connect(), await session.connect()
        await ada.edit("/days/monday", " swim ")
        await grace.insert("/chores/-", "dishes")
        await ada.insert("/chores/0", "laundry")
        await grace.edit("/chores/1/done", True)
        await ada.until(lambda data: len(data["chores"]) == 2 and data["chores"][1]["done"])
        assert ada.data["days"]["monday"] == "swim"
        await grace.until(lambda data: data["log"] == [[ada.peer, ["/days/monday"]]])
        await grace.remove("/chores/0")
        await ada.until(lambda data: [chore["text"] for chore in data["chores"]] == ["dishes"])


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("/title", "Mine", "/title can't be edited by clients."),
        ("/days/monday", 7, "A day holds a text."),
        ("/days/friday", "swim", "Write into the days that are there."),
    ],
)
async def test_what_is_not_allowed_is_undone(supervise, path, value, reason):
    async with supervise(PLAN) as app:
        client = await (await app.new_session()).connect()
        before = client.data
        with pytest.raises(SendFailed, match=reason):
            await client.edit(path, value)
        assert client.data == before
