"""Past the first mark patches are kept back and merged, and everything keeps its place."""

import itertools

import trio
import trio.testing

from supervisor.transport.withheld import MAX_OPERATIONS

from ..peers import (
    all_blocked,
    lockstep,
    options_of,
)
from .piling import pile_up, put, told


async def test_past_the_first_mark_patches_are_merged_and_lead_to_the_same(serve):
    """What was queued before comes one by one; the rest is one patch that says only what counts."""
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for number in range(300):
            await put(session, 1_000 + number, "ab"[number % 2])
        messages = [await peer.message()]
        while messages[-1]["to"] < 301:
            messages.append(await peer.message())
        assert {message["type"] for message in messages} == {"patch"}
        assert all(one["to"] == other["from"] for one, other in itertools.pairwise(messages))
        assert len(messages) < 80
        [operation] = messages[-1]["operations"]
        assert operation == {"op": "replace", "path": "/text", "value": "b" * 1_299}
        await put(session, 3)
        assert (await peer.message())["from"] == 301
        nursery.cancel_scope.cancel()


async def test_an_answer_keeps_its_place_among_merged_patches(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await put(session, 100_000)
        for _ in range(20):
            await peer.send("Add")
            await all_blocked()
            for number in range(3):
                await put(session, 10 + number)
        n, revision, answered = 0, 1, []
        while len(answered) < 20:
            message = await peer.message()
            if message["type"] == "patch":
                assert message["from"] == revision
                revision = message["to"]
                n = next((each["value"] for each in message["operations"] if each["path"] == "/n"), n)
            else:
                assert message["value"] == n
                answered.append(message["number"])
        assert answered == list(range(1, 21))
        nursery.cancel_scope.cancel()


async def test_an_answer_overtakes_nothing_that_is_kept_back_where_the_queue_has_room_again(serve):
    """1. Patches are kept back. 2. An `edited` is queued. 3. All before that is read. 4. The answer comes."""
    async with serve() as table, trio.open_nursery() as nursery:
        page = await table.page()
        table.app.actor.find(page["session"]).context.document.allow_edits("/mine")
        peer, session = await lockstep(table, nursery, page)
        await put(session, 100_000)
        await put(session, 10)
        edit = {"type": "edit", "number": 1, "base": 1, "op": "set", "path": ["mine"], "value": 1, "confirmed": 0}
        await peer.send_json(**edit)
        await all_blocked()
        assert (await peer.message())["to"] == 2
        await all_blocked()
        await peer.send("Add", number=2)
        await all_blocked()
        messages = [await peer.message() for _ in range(5)]
        assert [message["type"] for message in messages] == ["edited", *["patch"] * 3, "answer"]
        assert messages[3]["operations"] == [{"op": "replace", "path": "/n", "value": 1}]
        nursery.cancel_scope.cancel()


async def test_an_answer_too_may_be_more_than_is_kept_back(serve):
    async with serve(options=options_of(max_backlog=10_000)) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await put(session, 100_000)
        await pile_up(session, 5_000, "a")
        for _ in range(3):
            await peer.send("Refuse", text="x" * 6_000)
            await all_blocked()
        assert told(session)[2:] == ["is far behind  → a snapshot will stand for what it has not read"]  # once
        kinds = [(await peer.message())["type"] for _ in range(5)]
        assert kinds == ["patch", "snapshot", "error", "error", "error"]
        nursery.cancel_scope.cancel()


async def test_who_is_there_is_told_anew_behind_what_is_kept_back(serve):
    """It isn't queued meanwhile, though there is room up to the second mark."""
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send_json(type="watch", scope="session")
        assert len((await peer.message())["present"]) == 1
        await put(session, 100_000)
        await put(session, 10)
        for _ in range(3):
            await table.attached(await table.page(session=session.id))
            await trio.sleep(1)
        messages = [await peer.message() for _ in range(3)]
        assert [message["type"] for message in messages] == ["patch", "patch", "presence"]
        assert (messages[2]["complete"], len(messages[2]["present"])) == (True, 4)
        nursery.cancel_scope.cancel()


async def test_the_patch_of_an_edit_is_not_merged_with_others(serve):
    """So the client can tell what became of its edit; `edited` still comes before it."""
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        session.document.allow_edits("/mine")
        await put(session, 100_000)
        for number in range(3):
            await put(session, 10 + number)
        edit = {"type": "edit", "number": 1, "base": 1, "op": "set", "path": ["mine"], "value": 1, "confirmed": 0}
        await peer.send_json(**edit)
        await all_blocked()
        for number in range(3):
            await put(session, 20 + number)
        messages = [await peer.message() for _ in range(7)]
        assert [message["type"] for message in messages] == ["editable", "patch", "edited", *["patch"] * 4]
        assert messages[2]["revision"] == 6
        spans = [(message["from"], message["to"]) for message in messages if message["type"] == "patch"]
        assert spans == [(1, 2), (2, 3), (3, 5), (5, 6), (6, 9)]
        nursery.cancel_scope.cancel()


async def test_what_may_be_edited_keeps_its_place_among_merged_patches(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await put(session, 100_000)
        for number in range(3):
            await put(session, 10 + number)
        session.document.allow_edits("/mine")
        await put(session, 20)
        messages = [await peer.message() for _ in range(5)]
        assert [message["type"] for message in messages] == ["patch", "patch", "patch", "editable", "patch"]
        nursery.cancel_scope.cancel()


async def test_what_was_kept_back_comes_before_the_end(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for number in range(10):
            await put(session, 100_000 + number)
        session.destroy(reason="over")
        messages, code, _ = await peer.closed()
        assert [message["type"] for message in messages][-2:] == ["patch", "closing"]
        assert len(messages[-2]["operations"][0]["value"]) == 100_009
        assert code == 4410
        nursery.cancel_scope.cancel()


async def test_more_operations_than_are_kept_back_give_way_to_a_snapshot(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await put(session, 100_000)

        def log(doc):
            doc.data["log"] = []
            for number in range(MAX_OPERATIONS + 2):
                doc.data["log"].append(number)
                doc.commit()

        await session.with_locked_document(log)
        kinds = []
        while "snapshot" not in kinds:
            kinds.append((await peer.message())["type"])
        assert len(kinds) < 10
        nursery.cancel_scope.cancel()


async def test_the_story_tells_that_patches_are_kept_back_and_sent_later(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcd":
            await put(session, 50_000, mark)
        assert told(session)[1:] == ["reads slowly  → what it is sent is kept back"]
        while (await peer.message())["to"] < 5:
            pass
        await all_blocked()
        assert told(session)[2:] == ["is brought up to date  → what was kept back, up to revision 5"]
        nursery.cancel_scope.cancel()
