"""A snapshot stands for what a client that reads too slowly was to get; answers come after it, and none is lost."""

import contextlib
import json
from random import Random

import pytest
import trio
import trio.testing

from supervisor.document.json_document import JsonDocument
from supervisor.errors import SendConflict
from supervisor.protocol.client import ClientConnection

from ..peers import (
    CLOSE,
    TEXT,
    all_blocked,
    lockstep,
    options_of,
)
from .piling import pile, pile_up, put, told


async def test_clients_that_fall_behind_together_get_one_snapshot_that_is_encoded_once(serve, monkeypatch):
    encoded, real = [], JsonDocument.snapshot
    async with serve(options=options_of(max_backlog=1_000)) as table, trio.open_nursery() as nursery:
        page = await table.page()
        peers = [(await lockstep(table, nursery, page))[0] for _ in range(20)]
        session = table.app.actor.find(page["session"]).context
        monkeypatch.setattr(JsonDocument, "snapshot", lambda doc: encoded.append(doc.revision) or real(doc))
        for mark in "abcde":
            await pile_up(session, 1_500, mark)
        assert encoded == []
        snapshots = []

        async def read(peer):
            while (message := await peer.message())["type"] != "snapshot":
                pass
            snapshots.append(message)

        async with trio.open_nursery() as readers:
            for peer in peers:
                readers.start_soon(read, peer)
        assert len(snapshots) == 20
        assert {message["revision"] for message in snapshots} == {6}
        assert encoded == [6]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(4))
async def test_a_client_that_reads_now_and_then_ends_with_the_servers_document(serve, seed):
    """Its own edits included, by the rules of our client; whatever was merged, dropped or told anew."""
    random = Random(seed)
    options = options_of(merge_backlog=500, max_backlog=random.choice([1_500, 20_000]))
    async with serve(options=options) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await session.with_locked_document(lambda doc: doc.data.update(rows=[], mine={}))
        session.document.allow_edits("/mine")
        client = ClientConnection(token="unused")
        client.opened()
        client.receive(json.dumps(peer.attached))
        client.receive(json.dumps(peer.snapshot))

        def change(doc):
            rows = doc.data["rows"]
            kind = random.randrange(5)
            if kind == 0 and rows:
                del rows[random.randrange(len(rows))]
            elif kind == 1:
                rows.insert(random.randint(0, len(rows)), {"n": random.randrange(9)})
            elif kind == 2 and rows:
                rows[random.randrange(len(rows))]["n"] = "x" * random.randrange(200)
            elif kind == 3:
                doc.data["mine"] = {"a": "y" * random.randrange(200)}
            else:
                doc.data["n"] += 1

        edits = 0
        for _ in range(150):
            await session.with_locked_document(change)
            await all_blocked()
            if random.random() < 0.1 and edits < 60:
                with contextlib.suppress(SendConflict):
                    client.edit("set", "/mine/b", random.randrange(9))
                    edits += 1
                for frame in client.outgoing():
                    await peer.send_frame(TEXT, frame.encode())
                await all_blocked()
            if random.random() < 0.2:
                client.receive(json.dumps(await peer.message()))
                for frame in client.outgoing():
                    await peer.send_frame(TEXT, frame.encode())
        with trio.move_on_after(5):
            while True:
                client.receive(json.dumps(await peer.message()))
        async with session.locked_document() as doc:
            assert client.data == json.loads(json.dumps(doc.data))
        assert client.unsettled == 0
        nursery.cancel_scope.cancel()


async def test_past_one_mebibyte_the_backlog_gives_way_to_one_snapshot(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcdefghij":
            await pile_up(session, 200_000, mark)
        messages = []
        while not messages or messages[-1]["type"] != "snapshot":
            messages.append(await peer.message())
        kinds = [message["type"] for message in messages]
        assert kinds.count("snapshot") == 1
        assert len(kinds) < 9
        assert messages[-1]["data"]["j"][:1] == "j"
        await put(session, 3)
        patch = await peer.message()
        assert (patch["type"], patch["from"]) == ("patch", messages[-1]["revision"])
        nursery.cancel_scope.cancel()


async def test_the_story_tells_that_a_snapshot_stands_for_what_was_dropped(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcdefghij":
            await pile_up(session, 200_000, mark)
        assert told(session)[1:] == [
            "reads slowly  → what it is sent is kept back",
            "is far behind  → a snapshot will stand for what it has not read",
        ]
        while (await peer.message())["type"] != "snapshot":
            pass
        assert told(session)[3:] == ["is brought up to date  → a snapshot of revision 11"]
        nursery.cancel_scope.cancel()


async def test_what_may_be_edited_is_told_again_after_the_snapshot(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcdefghij":
            await pile_up(session, 200_000, mark)
            session.document.allow_edits(f"/{mark}")
        while (await peer.message())["type"] != "snapshot":
            pass
        with trio.fail_after(60):
            message = await peer.message()
        assert message == {"type": "editable", "patterns": [f"/{mark}" for mark in "abcdefghij"]}
        nursery.cancel_scope.cancel()


async def test_edited_comes_before_the_snapshot_that_has_the_edit(serve):
    """It is in the queue among the patches that are dropped, and stays there."""
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        session.document.allow_edits("/text")
        for number in range(1, 8):
            value = f"{number}" * 300_000
            await peer.send_json(type="edit", number=number, base=1, op="set", path=["text"], value=value, confirmed=0)
            await all_blocked()
        messages = []
        while not messages or messages[-1]["type"] != "snapshot":
            messages.append(await peer.message())
        edited = [message for message in messages if message["type"] == "edited"]
        assert [message["number"] for message in edited] == list(range(1, 8))
        assert edited[-1]["revision"] == messages[-1]["revision"]
        nursery.cancel_scope.cancel()


async def test_answers_come_after_the_snapshot_and_none_is_lost(serve):
    """Those that were queued among the dropped patches too: an answer follows the patches that its message caused."""
    async with serve() as table, trio.open_nursery() as nursery:
        peer, _ = await lockstep(table, nursery)
        for number in range(12):
            if number % 2:
                await peer.send("Fill", size=200_000 + number)
            else:
                await peer.send("Refuse", text=str(number))
            await all_blocked()
        seen, revision, answered = 1, 1, set()
        while answered < set(range(1, 13)):
            message = await peer.message()
            if message["type"] == "patch":
                assert message["from"] == seen
                seen, size = message["to"], len(message["operations"][0]["value"])
            elif message["type"] == "snapshot":
                seen, size = message["revision"], len(message["data"]["text"])
            else:
                answered.add(message["number"])
                if message["type"] == "answer":
                    assert size >= message["value"], "an answer overtook what its message caused"
        assert seen > revision
        await all_blocked()
        nursery.cancel_scope.cancel()


async def test_answers_that_were_queued_before_the_patches_that_are_dropped_are_sent_again(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for number in range(3):  # the first one is being written, the others wait behind it
            await peer.send("Refuse", text=str(number))
            await all_blocked()
        for letter in "abcdef":
            await pile_up(session, 300_000, letter)
        seen = []
        with trio.fail_after(10):
            while len(seen) < 5:
                message = await peer.message()
                seen.append(message.get("number", message["type"]))
        assert seen == [1, "snapshot", 1, 2, 3]  # a client ignores what it has had
        nursery.cancel_scope.cancel()


async def test_an_answer_that_was_kept_back_and_queued_then_is_sent_again_if_that_is_dropped(serve):
    """1. It is kept back. 2. It is queued, while others are being written. 3. So much follows that it is dropped."""
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await put(session, 100_000)
        for number in range(70):  # more than are written at once
            session.document.allow_edits(f"/{number}")
        await peer.send("Refuse", text="no")
        await all_blocked()
        assert (await peer.message())["to"] == 2
        await all_blocked()
        for letter in "abcdefgh":
            await pile_up(session, 200_000, letter)
        with trio.fail_after(10):
            while (await peer.message())["type"] != "snapshot":
                pass
            assert [(await peer.message())["type"] for _ in range(2)] == ["editable", "error"]
        nursery.cancel_scope.cancel()


async def test_an_answer_that_was_read_is_not_sent_again(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send("Refuse", text="no")
        assert (await peer.message())["number"] == 1
        await all_blocked()
        for letter in "abcdefgh":
            await pile_up(session, 200_000, letter)
        kinds = set()
        with trio.move_on_after(10):
            while True:
                kinds.add((await peer.message())["type"])
        assert kinds == {"patch", "snapshot"}
        nursery.cancel_scope.cancel()


async def test_a_burst_in_one_step_is_followed_by_a_snapshot_at_once(serve):
    """Nothing was written yet when the limit was reached, so nothing is left that could drain."""
    async with serve() as table:
        peer, _, session = await table.attached()

        def burst(doc):
            for mark in "abcdefghij":
                pile(doc, 300_000, mark)
                doc.commit()

        began = trio.current_time()
        await session.with_locked_document(burst)
        messages = []
        while not messages or "j" not in (messages[-1].get("data") or {}):
            message = await peer.message()
            messages.append(message)
            if message["type"] == "patch" and message["operations"][0]["path"] == "/j":
                break
        assert any(message["type"] == "snapshot" for message in messages)
        assert trio.current_time() - began < 1


@pytest.mark.parametrize("times", range(1, 9))
async def test_the_answer_of_a_burst_comes_after_all_of_it(table, times):
    """Wherever in the burst, or behind it, the limit is reached."""
    peer, _, _ = await table.attached()
    await peer.send("Burst", size=300_000, times=times)
    with trio.fail_after(1):
        text, message = "", await peer.message()
        while message["type"] != "answer":
            text = message["data"]["text"] if message["type"] == "snapshot" else message["operations"][0]["value"]
            message = await peer.message()
    assert text == str(times - 1) * 300_000


async def test_no_snapshot_follows_the_close_frame(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcdefghij":
            await pile_up(session, 200_000, mark)
        session.destroy(reason="over")
        await all_blocked()
        messages, _, _ = await peer.closed()
        assert messages[-1]["type"] == "closing"
        assert "snapshot" not in [message["type"] for message in messages]
        assert await peer.end() == []
        nursery.cancel_scope.cancel()


async def test_an_answer_that_waits_for_a_snapshot_does_not_come_without_it_at_the_end(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcdefghij":
            await pile_up(session, 200_000, mark)
        await peer.send("Add")
        await all_blocked()
        session.destroy(reason="over")
        messages, _, _ = await peer.closed()
        assert [message["type"] for message in messages] == ["patch", "closing"]
        nursery.cancel_scope.cancel()


async def test_no_snapshot_follows_the_answer_to_a_clients_close_frame(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcdefghij":
            await pile_up(session, 200_000, mark)
        await peer.send_frame(CLOSE, b"\x03\xe8")
        await all_blocked()
        messages, code, _ = await peer.closed()
        assert ([message["type"] for message in messages], code) == (["patch"], 1000)
        assert await peer.end() == []
        nursery.cancel_scope.cancel()
