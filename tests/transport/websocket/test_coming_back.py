"""Clients that come back: what they missed comes once and in order."""

import pytest
import trio

from supervisor.protocol.history import MAX_REVISIONS

from ..peers import LOST, PONG, all_blocked, options_of


async def test_exactly_the_missed_patches_come_once_and_in_order(table):
    peer, attached, session = await table.attached()
    await peer.send("Add")
    assert (await peer.message())["to"] == 2
    await trio.aclose_forcefully(peer.stream)
    await all_blocked()
    for by in (10, 20, 30):
        await session.with_locked_document(lambda doc, by: doc.data.update(n=by), by)
    peer, again = await table.returned(attached, revision=2)
    assert (again["resumed"], again["revision"], again["client"]) == (True, 5, attached["client"])
    assert again["received"] == 1
    patches = [await peer.message() for _ in range(3)]
    assert [(patch["from"], patch["to"]) for patch in patches] == [(2, 3), (3, 4), (4, 5)]
    assert [patch["operations"][0]["value"] for patch in patches] == [10, 20, 30]
    assert (await peer.message()) == {"type": "answer", "number": 1, "value": 1}
    await peer.send("Add", number=2)
    assert (await peer.message())["from"] == 5


async def test_who_missed_nothing_gets_nothing(table):
    peer, attached, _ = await table.attached()
    await trio.aclose_forcefully(peer.stream)
    peer, again = await table.returned(attached)
    assert again["resumed"]
    await all_blocked()
    assert peer.unread == b""


@pytest.mark.parametrize("changed", [{"epoch": "another"}, {"revision": -1}, {"revision": 0}, {"revision": 7}], ids=str)
async def test_who_cannot_be_brought_up_by_patches_gets_a_snapshot(table, changed):
    """Another epoch, no mirror, a revision from before the log, one from the future."""
    peer, attached, session = await table.attached()
    await session.with_locked_document(lambda doc: doc.data.update(n=5))
    await trio.aclose_forcefully(peer.stream)
    await all_blocked()
    if changed == {"revision": 0}:  # the log begins with the first patch, which was before
        for number in range(MAX_REVISIONS + 1):
            await session.with_locked_document(lambda doc, number: doc.data.update(n=-number), number)
    peer, again = await table.returned(attached, **changed)
    assert again["resumed"] is False
    assert (again["client"] == attached["client"]) == ("epoch" not in changed)
    snapshot = await peer.message()
    assert (snapshot["type"], snapshot["revision"]) == ("snapshot", again["revision"])


async def test_the_log_reaches_back_1000_revisions(table):
    peer, attached, session = await table.attached()
    await trio.aclose_forcefully(peer.stream)
    await all_blocked()
    for number in range(MAX_REVISIONS):
        await session.with_locked_document(lambda doc, number: doc.data.update(n=-number - 1), number)
    peer, again = await table.returned(attached)
    assert again["resumed"]
    patches = [await peer.message() for _ in range(MAX_REVISIONS)]
    assert [patch["to"] for patch in patches] == list(range(2, MAX_REVISIONS + 2))
    await session.with_locked_document(lambda doc: doc.data.update(n="more"))
    _, again = await table.returned(attached)
    assert not again["resumed"]


async def test_the_log_has_a_bound_in_bytes(table):
    peer, attached, session = await table.attached()
    await trio.aclose_forcefully(peer.stream)
    await all_blocked()
    for size in (400_000, 400_001):
        await session.with_locked_document(lambda doc, size: doc.data.update(text="x" * size), size)
    assert (await table.returned(attached))[1]["resumed"]
    await session.with_locked_document(lambda doc: doc.data.update(text="x" * 400_002))
    assert not (await table.returned(attached))[1]["resumed"]


async def test_kept_answers_are_sent_again_until_they_are_confirmed(table):
    peer, attached, _ = await table.attached()
    for number in (1, 2, 3):
        await peer.send("Refuse", text=str(number))
        assert (await peer.message())["text"] == str(number)
    for confirmed, numbers in ((0, [1, 2, 3]), (2, [3]), (2, [3]), (3, [])):
        await trio.aclose_forcefully(peer.stream)
        peer, again = await table.returned(attached, confirmed=confirmed)
        assert again["received"] == 3
        assert [(await peer.message())["number"] for _ in numbers] == numbers
    await all_blocked()
    assert peer.unread == b""


async def test_confirming_what_cannot_be_is_against_the_rules(table):
    _, attached, session = await table.attached()
    peer = await table.peer()
    closing = await peer.resume(attached, confirmed=1)
    assert (closing["type"], closing["code"]) == ("closing", 4400)
    assert (await peer.closed())[1] == 4400
    assert len(session.connections) == 1  # the one that was attached stays


async def test_a_message_that_is_sent_again_is_done_once(table):
    peer, attached, _ = await table.attached()
    await peer.send("Add", number=1)
    assert [(await peer.message())["type"] for _ in range(2)] == ["patch", "answer"]
    await peer.send("Add", number=1)
    assert await peer.message() == {"type": "answer", "number": 1, "value": 1}
    await trio.aclose_forcefully(peer.stream)
    peer, _ = await table.returned(attached, revision=2)
    assert await peer.message() == {"type": "answer", "number": 1, "value": 1}
    await peer.send("Add", number=1)
    assert await peer.message() == {"type": "answer", "number": 1, "value": 1}
    await peer.send("Add", number=2, confirmed=1)
    assert (await peer.message())["operations"][0]["value"] == 2


async def test_a_message_that_is_sent_again_before_its_answer_is_done_once(table):
    peer, _, _ = await table.attached()
    await peer.send("Wait", seconds=1, number=1)
    await peer.send("Wait", seconds=1, number=1)
    await trio.sleep(3)
    assert [(await peer.message())["type"] for _ in range(2)] == ["patch", "answer"]
    assert peer.unread == b""


async def test_a_handler_goes_on_when_its_connection_ends(table):
    """… and its answer is delivered after the reconnect."""
    peer, attached, _ = await table.attached()
    await peer.send("Wait", seconds=5, label="slow")
    await all_blocked()
    await trio.aclose_forcefully(peer.stream)
    await trio.sleep(1)
    peer, again = await table.returned(attached)
    assert again["received"] == 1
    assert (await peer.message())["type"] == "patch"
    assert await peer.message() == {"type": "answer", "number": 1, "value": "slow"}


async def test_an_answer_that_came_while_nobody_was_there_is_delivered_after_the_reconnect(table):
    peer, attached, _ = await table.attached()
    await peer.send("Wait", seconds=1, label="slow")
    await all_blocked()
    await trio.aclose_forcefully(peer.stream)
    await trio.sleep(5)
    peer, _ = await table.returned(attached)
    assert [(await peer.message())["type"] for _ in range(2)] == ["patch", "answer"]


async def test_a_client_is_forgotten_after_linger(serve):
    async with serve() as table:
        neighbour, _, session = await table.attached()
        page = await table.page(session=session.id)
        peer, attached, _ = await table.attached(page)
        await peer.send("Refuse", text="no")
        await peer.message()
        for seconds, same in ((14.9, True), (15.1, False)):
            await trio.aclose_forcefully(peer.stream)
            await trio.sleep(seconds)
            await neighbour.send_frame(PONG)
            peer, again = await table.returned(attached)
            assert (again["client"] == attached["client"]) is same
            assert again["received"] == (1 if same else 0)
            assert again["resumed"]  # the log has what it missed all the same


async def test_the_resume_key_is_valid_however_old_the_page(table):
    peer, attached, _ = await table.attached()
    for _ in range(60):
        await trio.sleep(15)
        await peer.send_frame(PONG)
    await trio.aclose_forcefully(peer.stream)
    await trio.sleep(10)
    _, again = await table.returned(attached)
    assert again["resumed"]


async def test_a_session_lingers_from_creation_and_from_the_last_detach(table):
    page = await table.page()
    [session] = table.app.sessions
    await trio.sleep(14.9)
    assert not session.destroyed
    first, _, _ = await table.attached(page)
    second, _, _ = await table.attached(page)
    await trio.sleep(19)
    await second.send_frame(PONG)
    await trio.aclose_forcefully(first.stream)
    await trio.sleep(19)
    assert not session.destroyed
    await trio.aclose_forcefully(second.stream)
    await trio.sleep(14.9)
    assert not session.destroyed
    third, _, _ = await table.attached(page)
    await trio.aclose_forcefully(third.stream)
    await trio.sleep(14.9)
    assert not session.destroyed
    await trio.sleep(0.2)
    assert session.destroyed


async def test_a_session_that_nobody_attached_to_ends_after_linger(table):
    await table.page()
    [session] = table.app.sessions
    await trio.sleep(15.1)
    assert session.destroyed


async def test_several_tabs_see_one_session(table):
    page = await table.page()
    tabs = [await table.attached(page) for _ in range(3)]
    assert len({attached["client"] for _, attached, _ in tabs}) == 3
    assert len({attached["key"] for _, attached, _ in tabs}) == 1
    [session] = table.app.sessions
    assert len(session.connections) == 3
    assert len({connection.id for connection in session.connections}) == 3
    await tabs[0][0].send("Add")
    for peer, _, _ in tabs:
        assert (await peer.message())["type"] == "patch"
    assert (await tabs[0][0].message())["type"] == "answer"
    await all_blocked()
    assert tabs[1][0].unread == b""


async def test_a_client_that_comes_back_before_its_old_connection_is_missed_takes_over(table):
    older, attached, session = await table.attached()
    newer, again = await table.returned(attached)
    assert again["client"] == attached["client"]
    assert await older.end() == []
    await all_blocked()
    assert len(session.connections) == 1
    await newer.send("Add", number=1)
    assert [(await newer.message())["type"] for _ in range(2)] == ["patch", "answer"]
    assert table.detached == [LOST]


async def test_who_takes_over_gets_the_answer_that_the_older_one_waited_for(serve):
    """The older connection was waiting for room in the mailbox, and its accepted message is done all the same."""
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        older, attached, session = await table.attached()
        for number in range(4):
            await older.send("Wait", seconds=5, label=str(number))
        await all_blocked()
        newer, again = await table.returned(attached)
        assert again["received"] == 3  # in hand, queued, waiting for room; the fourth was not looked at
        await newer.send("Wait", seconds=5, label="3", number=4)
        answers = [await newer.message() for _ in range(8)]
        assert [m["value"] for m in answers if m["type"] == "answer"] == ["0", "1", "2", "3"]
        assert len(session.connections) == 1
