"""What a client gets that reads more slowly than its session changes, frame by frame, against the real server."""

import contextlib
import itertools
import json
import socket
import struct
from random import Random

import pytest
import trio
import trio.testing

from supervisor.document.json_document import JsonDocument
from supervisor.errors import SendConflict
from supervisor.protocol.client import ClientConnection
from supervisor.session.actor import GRACE
from supervisor.testing.http import get
from supervisor.transport.withheld import MAX_OPERATIONS

from .peers import (
    CLOSE,
    TEXT,
    all_blocked,
    lockstep,
    options_of,
    serve_on_tcp,
    serving,
)


@pytest.fixture
def serve(supervise):
    return serving(supervise)


@pytest.fixture
async def table(serve):
    async with serve() as table:
        yield table


@pytest.fixture
def serve_tcp():
    return serve_on_tcp


def fill(doc, size, mark="x"):
    doc.data["text"] = mark * size


async def put(session, size, mark="x"):
    await session.with_locked_document(fill, size, mark)
    await all_blocked()


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


def pile(doc, size, mark):
    """What can't be merged with what others piled up."""
    doc.data[mark] = mark * size


async def pile_up(session, size, mark):
    await session.with_locked_document(pile, size, mark)
    await all_blocked()


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


async def test_who_never_empties_the_queue_is_too_slow_and_who_does_is_not(serve):
    async with (
        serve(options=options_of(slow_timeout=3.0, ping_interval=45.0)) as table,
        trio.open_nursery() as nursery,
    ):
        peer, session = await lockstep(table, nursery)
        for number in range(8):
            await put(session, 100_000)
            await put(session, 100 + number)
            await trio.sleep(1)
            while (await peer.message())["operations"][0]["value"] != "x" * (100 + number):
                pass
            await all_blocked()
        assert session.connections
        await put(session, 100_000)
        await put(session, 10)
        began = trio.current_time()
        while session.connections:
            assert trio.current_time() < began + 10
            await trio.sleep(0.1)
        assert trio.current_time() - began == pytest.approx(3 + 2, abs=0.3)
        assert table.detached == [1013]
        nursery.cancel_scope.cancel()


async def test_who_stops_in_the_middle_of_what_was_kept_back_is_too_slow(serve):
    async with (
        serve(options=options_of(slow_timeout=3.0, ping_interval=45.0)) as table,
        trio.open_nursery() as nursery,
    ):
        peer, session = await lockstep(table, nursery)
        await put(session, 100_000)
        await pile_up(session, 100_000, "a")
        await peer.send("Refuse", text="no")  # what comes before it and behind it isn't merged
        await pile_up(session, 100_000, "b")
        assert (await peer.message())["to"] == 2
        await trio.sleep(3 + 2 + 0.1)
        assert table.detached == [1013]
        nursery.cancel_scope.cancel()


async def test_who_has_read_all_has_its_whole_time_again_whatever_a_ping_found(serve):
    async with (
        serve(options=options_of(slow_timeout=3.0, ping_interval=2.0)) as table,
        trio.open_nursery() as nursery,
    ):
        peer, session = await lockstep(table, nursery)
        await trio.sleep(1)
        await put(session, 100_000)
        await put(session, 10)
        await trio.sleep(2)  # there was a ping's turn
        for _ in range(2):
            await peer.message()
        with trio.move_on_after(4) as scope:
            await peer.message()  # pings are answered, and nothing else comes
        assert scope.cancelled_caught
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


def told(session):
    """What the story says of the only connection, without its name."""
    return [entry.text.partition(" ")[2] for entry in session.story if entry.kind == "connection"]


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


async def test_a_neighbour_is_not_delayed_by_one_that_does_not_read(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        _, session = await lockstep(table, nursery)
        neighbour, _, _ = await table.attached(await table.page(session=session.id))
        began = trio.current_time()
        for number in range(20):
            await put(session, 200_000 + number)
            assert (await neighbour.message())["type"] == "patch"
        assert trio.current_time() == began
        nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_read_is_told_the_end_once_it_does(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcd":
            await put(session, 200_000, mark)
        session.destroy(reason="over")
        await trio.sleep(1.5)  # our patience with the backlog is over; the one with the client is not
        messages, code, reason = await peer.closed()
        assert [message["type"] for message in messages] == ["patch", "closing"]
        assert (code, reason) == (4410, "over")
        nursery.cancel_scope.cancel()


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


async def test_a_backlog_over_tcp(serve_tcp):
    """A client with small buffers that doesn't read; its neighbour gets everything meanwhile."""
    async with serve_tcp(send=8192) as tcp:
        page = await tcp.page()
        slow, quick = await tcp.peer(receive=4096), await tcp.peer()
        for peer in (slow, quick):
            await peer.attach(page)
        session = tcp.actor.find(page["session"]).context
        for number in range(40):
            await session.with_locked_document(fill, 50_000 + number)
            assert len((await quick.message())["operations"][0]["value"]) == 50_000 + number
        await slow.send("Add")
        answers, last = [], None
        while not answers:
            message = await slow.message()
            if message["type"] == "answer":
                answers.append(message)
            else:
                last = message
        assert last["type"] == "snapshot" or last["operations"][-1]["path"] == "/n"
        assert tcp.incidents == []


async def test_a_destroyed_session_does_not_wait_for_a_client_that_does_not_read_over_tcp(serve_tcp):
    async with serve_tcp(options_of(close_timeout=0.2), send=8192) as tcp:
        page = await tcp.page()
        peer = await tcp.peer(receive=4096)
        await peer.attach(page)
        session = tcp.actor.find(page["session"]).context
        for number in range(10):
            await session.with_locked_document(fill, 100_000 + number)
        session.destroy()
        with trio.fail_after(GRACE):
            await session.wait_destroyed()
        assert session.connections == ()
        assert tcp.incidents == []


@pytest.mark.parametrize("moment", ["before the first frame", "attached", "with a backlog"])
async def test_a_peer_that_resets_the_connection_is_no_incident(serve_tcp, moment):
    async with serve_tcp(send=8192) as tcp:
        page = await tcp.page()
        peer = await tcp.peer(receive=4096)
        session = tcp.actor.find(page["session"]).context
        if moment != "before the first frame":
            await peer.attach(page)
        if moment == "with a backlog":
            for number in range(10):
                await session.with_locked_document(fill, 100_000 + number)
        peer.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.stream.socket.close()
        while session.connections:
            await trio.lowlevel.checkpoint()
        assert (await get(await tcp.stream(), "/-/health")).status == 200
        assert tcp.incidents == []


async def test_a_peer_that_is_gone_before_its_handshake_is_read_is_no_incident(serve_tcp):
    """A reset socket has no peer's name any more."""
    async with serve_tcp() as tcp:
        head = b"GET /app/-/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        for _ in range(20):
            stream = await tcp.stream()
            await stream.send_all(head)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
        assert (await get(await tcp.stream(), "/-/health")).status == 200
        assert tcp.incidents == []


async def test_a_half_open_peer_is_served_until_it_is_missed(serve_tcp):
    """It has ended its side of TCP, which a websocket can't do: the connection is over."""
    async with serve_tcp() as tcp:
        page = await tcp.page()
        peer = await tcp.peer()
        await peer.attach(page)
        await peer.stream.send_eof()
        assert await peer.end() == []
        session = tcp.actor.find(page["session"])
        while session.connections:
            await trio.lowlevel.checkpoint()
        assert tcp.incidents == []
