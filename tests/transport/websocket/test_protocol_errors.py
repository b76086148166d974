"""Frames and messages against the rules, or too big: each ends its own connection, by its code."""

import contextlib
import json

import pytest
import trio

from ..peers import BINARY, CLOSE, PING, TEXT, all_blocked, options_of


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ((TEXT, b"no json"), 4400),
        ((TEXT, b"{}"), 4400),
        ((TEXT, b'{"type":"attach"}'), 4400),
        ((TEXT, b'{"type":"attach","token":"x","more":1}'), 4400),
        ((TEXT, b'{"type":"attach","token":""}'), 4400),
        ((TEXT, b'{"type":"send","number":1,"name":"Add","fields":{},"confirmed":0}'), 4400),
        ((TEXT, b'{"type":"unknown"}'), 4400),
        ((TEXT, b"[" * 100_000), 4400),
        ((TEXT, b'{"\\ud800":1}'), 4400),
        ((BINARY, b"{}"), 4400),
        ((TEXT, b"\xff"), 1007),
        ((3, b""), 1002),
        ((0, b"continued"), 1002),
        ((PING, b"x" * 126), 1002),
        ((TEXT | 0x40, b"{}"), 1002),
        ((CLOSE, b"\x00"), 1002),
        ((CLOSE, b"\x03\xee"), 1002),  # 1006 is never sent
        ((CLOSE, b"\x03\xe8\xff"), 1007),
    ],
)
async def test_a_first_frame_against_the_rules_ends_its_connection_only(table, frame, code):
    neighbour, _, _ = await table.attached()
    peer = await table.peer()
    await peer.send_frame(*frame)
    assert (await peer.closed())[:2] == ([], code)
    assert await peer.end() == []
    await neighbour.send("Add")
    assert (await neighbour.message())["type"] == "patch"
    assert table.app.incidents == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "attach", "token": "x"},
        {"type": "resume", "session": "s", "key": "k", "client": "c", "epoch": "e", "revision": 1, "confirmed": 0},
        {"type": "send", "number": 2, "name": "Add", "fields": {}, "confirmed": 0},
        {"type": "send", "number": 1, "name": "Add", "fields": {}, "confirmed": 1},
        {"type": "send", "number": 1, "name": "Add", "fields": [], "confirmed": 0},
        {"type": "send", "number": 1, "name": "Add", "fields": {}, "confirmed": 0, "more": 1},
        {"type": "send", "number": 0, "name": "Add", "fields": {}, "confirmed": 0},
        {"type": "send", "number": 1.5, "name": "Add", "fields": {}, "confirmed": 0},
    ],
)
async def test_a_later_frame_against_the_rules_is_closed_with_4400(table, message):
    neighbour, _, session = await table.attached()
    peer, _, _ = await table.attached(await table.page(session=session.id))
    await peer.send_json(**message)
    [closing], code, reason = await peer.closed()
    assert (closing["type"], closing["code"], code) == ("closing", 4400, 4400)
    assert closing["reason"].encode()[:123].decode() == reason
    assert await peer.end() == []
    await all_blocked()
    assert len(session.connections) == 1
    await neighbour.send("Add")
    assert (await neighbour.message())["type"] == "patch"
    assert table.detached == [4400]
    assert table.app.incidents == []


@pytest.mark.parametrize(("frame", "code"), [((3, b""), 1002), ((TEXT, b"\xff"), 1007)])
async def test_a_later_frame_that_is_none_is_closed_with_its_code_and_nothing_follows(table, frame, code):
    neighbour, _, session = await table.attached()
    peer, _, _ = await table.attached(await table.page(session=session.id))
    began = trio.current_time()
    await peer.send_frame(*frame)
    await all_blocked()
    await neighbour.send("Add")
    frames = await peer.end()
    assert [opcode for opcode, _ in frames] == [CLOSE]
    assert int.from_bytes(frames[0][1][:2], "big") == code
    await peer.stream.aclose()
    await all_blocked()
    assert trio.current_time() - began <= 2
    assert table.detached == [code]
    assert table.app.incidents == []


async def test_a_frame_that_is_none_ends_a_connection_that_waits_for_room_once_it_has_it(serve):
    """What came before it was accepted, and is done; nothing is shown to a client that is to be turned away."""
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, _, session = await table.attached()
        neighbour, _, _ = await table.attached(await table.page(session=session.id))
        await peer.send("Wait", seconds=5, label="slow")
        for _ in range(3):
            await peer.send("Add")
        await peer.send_frame(3)
        frames = await peer.end()
        assert [opcode for opcode, _ in frames] == [CLOSE]
        patches = [await neighbour.message() for _ in range(3)]
        assert patches[-1]["operations"] == [{"op": "replace", "path": "/n", "value": 3}]


async def test_a_frame_that_is_none_is_told_to_a_client_that_goes_on_sending_over_tcp(serve_tcp):
    async with serve_tcp() as tcp:
        peer = await tcp.peer()
        await peer.send_frame(3)
        with contextlib.suppress(trio.BrokenResourceError):
            for _ in range(20):
                await peer.stream.send_all(b"\xff" * 10_000)
                await trio.lowlevel.checkpoint()
        assert (await peer.closed())[:2] == ([], 1002)
        assert tcp.incidents == []


@pytest.mark.parametrize("code", [1000, 1002, 1007, 1009, 3000])
async def test_a_client_that_leaves_is_answered_and_tcp_is_closed_at_once(table, code):
    """RFC 6455, 7.1.1: it is for the server to close TCP; also where the client gives a reason that could be ours."""
    peer, _, _ = await table.attached()
    began = trio.current_time()
    await peer.send_frame(CLOSE, code.to_bytes(2, "big") + b"bye")
    frames = await peer.end()
    assert [(opcode, payload[:2]) for opcode, payload in frames] == [(CLOSE, code.to_bytes(2, "big"))]
    assert trio.current_time() == began


async def test_more_sends_than_the_window_are_against_the_rules(table):
    peer, _, _ = await table.attached()
    await peer.send("Wait", seconds=5)
    for _ in range(64):
        await peer.send("Add")
    assert (await peer.closed())[1] == 4400
    # What was accepted is done all the same.
    await trio.sleep(10)
    [session] = table.app.sessions
    async with session.locked_document() as doc:
        assert doc.data["n"] == 64


async def test_patches_do_not_follow_the_close_frame(table):
    """RFC 6455, 5.5.1; the session goes on, and this connection has begun to close."""
    neighbour, _, session = await table.attached()
    peer, _, _ = await table.attached(await table.page(session=session.id))
    await peer.send_frame(TEXT, b"{}")
    await all_blocked()
    await neighbour.send("Add")
    await all_blocked()
    frames = []
    with trio.fail_after(60):
        frames = await peer.end()
    assert [opcode for opcode, _ in frames] == [TEXT, CLOSE]


async def test_an_answer_does_not_follow_the_close_frame_and_is_kept(table):
    peer, attached, _ = await table.attached()
    await peer.send("Wait", seconds=1, label="slow")
    await peer.send_frame(TEXT, b"{}")
    assert [opcode for opcode, _ in await peer.end()] == [TEXT, CLOSE]
    peer, _ = await table.returned(attached)
    assert [(await peer.message())["type"] for _ in range(2)] == ["patch", "answer"]


# Too big.


async def test_a_message_that_is_too_big_is_1009_and_we_close(table):
    peer, _, session = await table.attached()
    await peer.send_frame(TEXT, b" " * (1024 * 1024 + 1))
    assert (await peer.closed())[:2] == ([], 1009)
    began = trio.current_time()
    assert await peer.end() == []
    assert trio.current_time() - began <= 2
    await trio.sleep(3)  # what the client may still send is read for 2 s
    assert session.connections == ()
    assert table.detached == [1009]


async def test_a_message_of_just_the_limit_is_taken(serve):
    async with serve(options=options_of(max_message_size=1000)) as table:
        peer, _, _ = await table.attached()
        message = b'{"type":"send","number":1,"name":"Add","fields":{},"confirmed":0}'
        await peer.send_frame(TEXT, message.ljust(1000))
        assert (await peer.message())["type"] == "patch"
        assert (await peer.message())["type"] == "answer"
        await peer.send_frame(TEXT, b" " * 600, fin=False)
        await peer.send_frame(0, b" " * 600)
        assert (await peer.closed())[1] == 1009


async def test_nothing_is_sent_after_1009(serve):
    async with serve() as table:
        neighbour, _, session = await table.attached()
        peer, _, _ = await table.attached(await table.page(session=session.id))
        await peer.send_frame(TEXT, b" " * (1024 * 1024 + 1))
        await all_blocked()
        await neighbour.send("Add")
        assert [opcode for opcode, _ in await peer.end()] == [CLOSE]


async def test_1009_reaches_a_client_that_goes_on_sending_over_tcp(serve_tcp):
    """Closing with unread input resets the connection, and the client would come back and send the same again."""
    async with serve_tcp(options_of(close_timeout=30)) as tcp:  # it is over as soon as the client has gone
        peer = await tcp.peer()
        await peer.attach(await tcp.page())
        codes = []

        async def read():
            opcode, payload = await peer.frame()
            codes.append((opcode, int.from_bytes(payload[:2], "big")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await peer.send_frame(TEXT, b" " * (8 * 1024 * 1024))
        assert codes == [(CLOSE, 1009)]
        await peer.stream.aclose()


async def test_what_is_nested_too_deeply_ends_its_connection_wherever_it_stands(serve):
    deep = "[" * 100_000 + "]" * 100_000
    sent = [
        '{"type":"send","number":1,"name":"Add","fields":{"by":%s},"confirmed":0}',
        '{"type":"send","number":1,"name":"Add","fields":%s,"confirmed":0}',
        '{"type":"edit","number":1,"op":"set","path":["n"],"value":%s,"base":1,"confirmed":0}',
        '{"type":"edit","number":1,"op":"set","path":%s,"value":1,"base":1,"confirmed":0}',
        '{"type":"present","metadata":{"a":%s}}',
        '{"type":"watch","scope":%s}',
    ]
    async with serve() as table:
        neighbour, _, _ = await table.attached()
        for frame in sent:
            peer, _, _ = await table.attached()
            await peer.send_frame(TEXT, (frame % deep).encode())
            assert (await peer.closed())[1] == 4400
        await neighbour.send("Add")
        assert (await neighbour.message())["type"] == "patch"
        assert table.app.incidents == []


async def test_an_edit_is_nested_no_deeper_than_a_document_may_be(serve):
    def modify_document(doc):
        doc.data["n"] = 0
        doc.allow_edits("/n")

    def edit(number, depth):
        value = json.loads("[" * depth + "]" * depth)
        return {"type": "edit", "number": number, "op": "set", "path": ["n"], "value": value}

    async with serve(modify_document=modify_document) as table:
        peer, attached, session = await table.attached()
        await peer.send_json(**edit(1, 199), base=attached["revision"], confirmed=0)
        assert [(await peer.message())["type"] for _ in range(2)] == ["edited", "patch"]
        await peer.send_json(**edit(2, 200), base=attached["revision"] + 1, confirmed=0)
        error = await peer.message()
        assert (error["type"], error["kind"]) == ("error", "rejected")
        assert "nested more than 200 deep" in error["text"]
        assert len(session.connections) == 1
        assert table.app.incidents == []
