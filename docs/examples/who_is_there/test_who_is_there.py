"""The tests of `who_is_there`."""

from pathlib import Path

BOARD = Path(__file__).parent


async def visitor(app, name):
    """A client of the board, whose visitor has this name."""
    session = await app.new_session(headers={"X-Remote-User": name})
    assert session.id == "board"
    return session.client()


async def test_visitors_see_each_other(supervise):
    async with supervise(BOARD) as app:
        ada, grace = await visitor(app, "ada"), await visitor(app, "grace")
        await grace.until(lambda data: data["visits"] == 2)
        await grace.present({"colour": "teal"})
        await ada.until_present(lambda peers: {peer.name for peer in peers.values()} == {"ada", "grace"})
        await ada.until_present(lambda peers: peers[grace.peer].metadata == {"colour": "teal"})
        await grace.close()
        await ada.until_present(lambda peers: peers.keys() == {ada.peer})
        await ada.until(lambda data: data == {"visits": 2, "last": "grace"})


async def test_who_was_blocked_does_not_get_in(supervise):
    async with supervise(BOARD) as app:
        mallory = await visitor(app, "mallory")
        ended = await mallory.until_ended()
        assert (ended.code, ended.reason) == (4403, "You were blocked.")
