"""The board demo: people who edit at once, in a real server."""

import pytest
import trio

from supervisor import ApplicationOptions, ServerOptions
from supervisor.errors import Rejected
from supervisor.testing import PageRefused, hand_driven

GROWN_TO = 200
MOST_BOARDS = 50


@pytest.fixture
async def app(supervise, demos):
    async with supervise(demos / "board") as app:
        yield app


@pytest.fixture
async def hasty(supervise, demos):
    """One whose sessions end soon after the last client."""
    options = ServerOptions(application=ApplicationOptions(linger=0.5))
    async with supervise(demos / "board", options=options) as app:
        yield app


@pytest.fixture
async def board(demos):
    """One board without a server, for what concerns nobody but its session."""
    async with hand_driven(demos / "board") as session:
        yield session


async def visit(app, *, user=None, board=None):
    headers = {} if user is None else {"X-Forwarded-User": user}
    session = await app.new_session(headers=headers, query={} if board is None else {"board": board})
    return await session.connect()


def note(id, text="", column=0):
    return {"id": id, "text": text, "column": column, "votes": 0, "by": ""}


def texts(client):
    return [note["text"] for note in client.data["notes"]]


async def settled(*clients):
    """Wait until all that is under way has arrived."""
    await trio.sleep(1)
    assert all(client.data == clients[0].data for client in clients)


async def test_all_visitors_of_a_board_share_one_session(app):
    ada, bob = await visit(app), await visit(app)
    await ada.insert("/notes/-", note("a", "milk"))
    await bob.until(lambda data: [note["text"] for note in data["notes"]] == ["milk"])
    assert len(app.sessions) == 1


async def test_another_board_is_another_session(app):
    ada, bob = await visit(app), await visit(app, board="garden")
    await ada.insert("/notes/-", note("a", "milk"))
    await settled(ada)
    assert bob.data["title"] == "Garden"
    assert bob.data["notes"] == []
    assert len(app.sessions) == 2


async def test_a_board_with_an_impossible_name_is_the_first_one(app):
    client = await visit(app, board="../../etc")
    assert client.data["name"] == "kitchen"


async def test_the_server_completes_a_note(app):
    ada = await visit(app, user="Ada")
    await ada.insert("/notes/-", {**note("a", "milk"), "votes": 1000, "by": "Bob"})
    await settled(ada)
    assert ada.data["notes"] == [{**note("a", "milk"), "by": "Ada"}]


@pytest.mark.schedules(10)
async def test_two_people_who_edit_at_once_each_do_what_they_saw(app):
    ada, bob = await visit(app), await visit(app)
    for id in "abc":
        await ada.insert("/notes/-", note(id, id))
    await settled(ada, bob)
    # Bob removes the first note while Ada, who hasn't heard of it, writes into the last one.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob.remove, "/notes/0")
        nursery.start_soon(ada.edit, "/notes/2/text", "sugar")
    await settled(ada, bob)
    assert texts(ada) == ["b", "sugar"]


@pytest.mark.schedules(10)
async def test_what_is_written_while_offline_is_there_after_the_return(app):
    ada, bob = await visit(app), await visit(app)
    await ada.insert("/notes/-", note("a"))
    await settled(ada, bob)
    await ada.drop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ada.edit, "/notes/0/text", "milk")
        nursery.start_soon(ada.insert, "/notes/1", note("b", "honey"))
        await bob.insert("/notes/0", note("c", "bread"))
        assert texts(bob) == ["bread", ""]
        await ada.reconnect()
    await settled(ada, bob)
    assert texts(bob) == ["bread", "milk", "honey"]


async def test_a_note_made_while_offline_is_written_into_at_once(app):
    ada, bob = await visit(app, user="Ada"), await visit(app)
    await ada.drop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ada.insert, "/notes/-", note("a"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ada.edit, "/notes/0/text", "milk")
        await trio.testing.wait_all_tasks_blocked()
        await ada.reconnect()
    await settled(ada, bob)
    assert bob.data["notes"] == [{**note("a", "milk"), "by": "Ada"}]


@pytest.mark.parametrize(
    ("op", "path", "value", "why"),
    [
        ("insert", "/notes/-", note("a", "x"), "id of its own"),
        ("insert", "/notes/-", note("", "x"), "id of its own"),
        ("insert", "/notes/-", note("b", "x" * 501), "at most 500"),
        ("insert", "/notes/-", note("b", "x", 3), "no such column"),
        ("insert", "/notes/-", note("b", "x", True), "no such column"),
        ("insert", "/notes/-", "milk", "only its text and its column"),
        ("set", "/notes/0/text", "x" * 501, "at most 500"),
        ("set", "/notes/0/text", 5, "only its text and its column"),
        ("set", "/notes/0/column", -1, "no such column"),
        ("set", "/notes/0/votes", 1000, "only its text and its column"),
        ("set", "/notes/0", note("a", "x"), "only its text and its column"),
        ("remove", "/notes/0/text", None, "only its text and its column"),
        ("set", "/title", "  ", "1 to 60"),
        ("set", "/title", "x" * 61, "1 to 60"),
        ("set", "/title", None, "1 to 60"),
        ("set", "/log", [], "can't be edited"),
        ("set", "/boards/0/people", 1000, "can't be edited"),
        ("insert", "/columns/0", "Never", "can't be edited"),
    ],
)
async def test_what_is_refused_says_why_and_is_undone(board, op, path, value, why):
    await board.edit_async("insert", "/notes/-", note("a", "milk"))
    await board.advance_async(0)
    before = board.data
    with pytest.raises(Rejected, match=why):
        await board.edit_async(op, path, value)
    assert board.data == before


async def test_a_board_is_bounded(board):
    for number in range(GROWN_TO):
        await board.edit_async("insert", "/notes/-", note(str(number)))
    with pytest.raises(Rejected, match="200 notes"):
        await board.edit_async("insert", "/notes/-", note("one more"))


@pytest.mark.schedules(10)
async def test_votes_at_once_all_count(app):
    people = [await visit(app) for _ in range(5)]
    await people[0].insert("/notes/-", note("a"))
    async with trio.open_nursery() as nursery:
        for person in people:
            nursery.start_soon(lambda person=person: person.send("Vote", note="a"))
    await settled(*people)
    assert people[0].data["notes"][0]["votes"] == 5


async def test_a_vote_for_a_note_that_is_gone_is_rejected(board):
    with pytest.raises(Rejected, match="gone"):
        await board.receive_from_client_async("Vote", {"note": "a"})


async def test_clear_throws_away_what_is_done(board):
    for id, column in (("a", 2), ("b", 0), ("c", 2), ("d", 2)):
        await board.edit_async("insert", "/notes/-", note(id, id, column))
    await board.receive_from_client_async("ClearDone")
    assert texts(board) == ["b"]


async def test_the_log_names_who_did_it(app):
    ada, bob = await visit(app, user="Ada"), await visit(app)
    await bob.present({"name": "Bob"})
    await ada.insert("/notes/-", note("a"))
    await settled(ada, bob)
    await bob.edit("/notes/0/column", 1)
    await bob.edit("/title", "  Groceries ")
    await settled(ada, bob)
    await ada.remove("/notes/0")
    await settled(ada, bob)
    assert ada.data["log"] == [
        "Ada added a note",
        "Bob moved a note to Doing",
        "Bob named the board Groceries",
        "Ada removed a note",
    ]
    for _ in range(10):
        await ada.insert("/notes/0", note("b"))
        await settled(ada)
        await ada.remove("/notes/0")
    await settled(ada, bob)
    assert len(ada.data["log"]) == 8


async def test_every_board_shows_all_boards(app):
    ada, bob = await visit(app), await visit(app, board="garden")
    await bob.insert("/notes/-", note("a"))
    await bob.edit("/title", "Our garden")
    await trio.sleep(1)
    kitchen = {"name": "kitchen", "title": "Kitchen", "notes": 0, "people": 1}
    garden = {"name": "garden", "title": "Our garden", "notes": 1, "people": 1}
    assert ada.data["boards"] == bob.data["boards"] == [kitchen, garden]
    await bob.close()
    await ada.until(lambda data: data["boards"][1]["people"] == 0)


async def test_a_board_outlives_its_session(hasty):
    ada = await visit(hasty)
    await ada.insert("/notes/-", note("a", "milk"))
    await ada.edit("/title", "Groceries")
    await settled(ada)
    [session] = hasty.sessions
    await ada.close()
    await session.wait_destroyed()
    assert len(hasty.sessions) == 0
    ada = await visit(hasty)
    assert (ada.data["title"], texts(ada)) == ("Groceries", ["milk"])


async def test_a_board_on_which_nothing_is_left_is_forgotten(hasty):
    ada, bob = await visit(hasty), await visit(hasty, board="garden")
    await bob.insert("/notes/-", note("a"))
    await bob.remove("/notes/0")
    await bob.close()
    await ada.until(lambda data: [board["name"] for board in data["boards"]] == ["kitchen"])


async def test_boards_are_bounded(app):
    for number in range(MOST_BOARDS - 1):
        await visit(app, board=f"board-{number}")
    with pytest.raises(PageRefused) as refused:
        await visit(app, board="one-more")
    assert (refused.value.status, "50 boards already" in refused.value.text) == (403, True)
    await visit(app, board="board-7")


@pytest.mark.schedules(10)
async def test_visitors_see_who_else_is_here_and_what_they_write(app):
    ada, bob = await visit(app, user="Ada"), await visit(app)
    await ada.watch()
    await bob.present({"name": "Bob", "note": "a"})
    writing = {("Ada", None), (None, "a")}
    await ada.until_present(
        lambda peers: {(peer.name, peer.metadata.get("note")) for peer in peers.values()} == writing
    )
    await bob.close()
    await ada.until_present(lambda peers: len(peers) == 1)
