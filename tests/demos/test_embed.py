"""The embed demo's live app, in the kit; tests/e2e/test_embed.py has it in a frame of somebody else's page."""

import pytest

from supervisor.protocol.events import Patched
from supervisor.testing import SendFailed


@pytest.fixture
async def app(supervise, demos):
    async with supervise(demos / "embed" / "poll") as app:
        yield app


async def visit(app):
    return await (await app.new_session()).connect()


async def test_a_vote_shows_in_every_session_and_is_ones_own(app):
    one, other = await visit(app), await visit(app)
    await one.send("Vote", option="A bridge")
    assert one.data["counts"] == {"A third ferry": 0, "A bridge": 1, "A cable car": 0}
    await other.until(lambda data: data["counts"]["A bridge"] == 1)
    assert (one.data["chosen"], other.data["chosen"]) == ("A bridge", None)
    late = await visit(app)
    assert late.data["counts"]["A bridge"] == 1


@pytest.mark.parametrize(("before", "option", "reason"), [
    ([], "A tunnel", r"The options are: A third ferry, A bridge, A cable car\."),
    (["A bridge"], "A bridge", r"You have voted already\."),
])  # fmt: skip
async def test_what_no_vote_may_be_is_rejected(app, before, option, reason):
    client = await visit(app)
    for vote in before:
        await client.send("Vote", option=vote)
    with pytest.raises(SendFailed, match=reason) as refused:
        await client.send("Vote", option=option)
    assert refused.value.kind == "rejected"
    assert sum(client.data["counts"].values()) == len(before)


async def test_counts_come_from_the_server_only(app):
    client = await visit(app)
    with pytest.raises(SendFailed) as refused:
        await client.send("Counted")
    assert refused.value.kind == "invalid"


@pytest.mark.virtual_time("all votes are given within one interval")
async def test_many_votes_at_once_are_few_changes(app):
    watcher = await visit(app)
    voters = [await visit(app) for _ in range(30)]
    watcher.received.clear()
    for voter in voters:  # each when the one before has its answer, and all within the interval
        await voter.send("Vote", option="A cable car")
    await watcher.until(lambda data: data["counts"]["A cable car"] == 30)
    assert len([event for event in watcher.received if isinstance(event, Patched)]) <= 2
