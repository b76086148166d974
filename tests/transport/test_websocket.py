"""One websocket connection against the real server, by a peer that writes and reads raw frames.

Memory streams and virtual time for most; loopback TCP where the socket matters.
"""

import contextlib
import functools
import itertools
import json
import struct

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.protocol.history import MAX_REVISIONS
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.actor import GRACE
from supervisor.session.receivers import receives
from supervisor.session.request import Request
from supervisor.testing import harness
from supervisor.testing.http import get
from supervisor.testing.memory import MemoryListener
from supervisor.transport.conversation import Conversation
from supervisor.transport.entries import BUSY
from supervisor.transport.websocket import WebSocketConnection
from supervisor.transport.websocket_options import WebSocketOptions

from .peers import (
    BINARY,
    CLOSE,
    LOST,
    PING,
    PONG,
    TEXT,
    Peer,
    Quote,
    all_blocked,
    app_of,
    lockstep,
    options_of,
    page_in,
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


# The handshake.

_READ_AS_ASCII = [
    "Host",
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Key",
]


@pytest.mark.parametrize("header", _READ_AS_ASCII)
async def test_a_header_that_is_not_ascii_is_answered_with_400_and_the_server_lives(table, header):
    """Trap: wsproto decodes these as ASCII, and one of them kills `serve_websocket`."""
    peer = Peer(await table.app.transport.connect())
    value = {"Connection": b"Upgrade, \xff", "Upgrade": b"websocket, \xff"}.get(header, b"localhost\xff")
    assert (await peer.shake_hands(**{header: value})).startswith(b"HTTP/1.1 400 ")
    assert await peer.end() == []
    await table.attached()


async def test_headers_that_are_not_ascii_over_tcp(serve_tcp):
    async with serve_tcp() as tcp:
        for header in _READ_AS_ASCII:
            peer = Peer(await tcp.stream())
            value = {"Connection": b"Upgrade, \xc3\xa4", "Upgrade": b"websocket, \xff"}.get(header, b"\xff")
            assert (await peer.shake_hands(**{header: value})).startswith(b"HTTP/1.1 400 ")
        peer = await tcp.peer()
        assert (await peer.attach(await tcp.page()))[0]["type"] == "attached"
        assert tcp.incidents == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_WebSocket_Version": b"12"},
        {"Sec_WebSocket_Version": b""},
        {"Sec_WebSocket_Version": None},
        {"Sec_WebSocket_Key": None},
    ],
)
async def test_a_wrong_handshake_is_refused_and_is_no_incident(table, headers):
    peer = Peer(await table.app.transport.connect())
    with trio.fail_after(1):
        head = await peer.shake_hands(**headers)
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 426 "))
        await peer.end()
    await table.attached()


@given(
    st.dictionaries(
        st.sampled_from([name.replace("-", "_") for name in _READ_AS_ASCII if name != "Host"] + ["X_Other"]),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(lambda text: text.strip().encode()),
    )
)
@settings(max_examples=60, deadline=None)
def test_no_handshake_is_our_incident(headers):
    async def main():
        async with harness.supervise(app_of()) as app:
            peer = Peer(await app.transport.connect())
            with contextlib.suppress(EOFError, trio.BrokenResourceError), trio.move_on_after(30):
                await peer.shake_hands(**headers)
            assert app.incidents == []

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_extensions_and_subprotocols_are_never_agreed_to(table):
    peer = Peer(await table.app.transport.connect())
    head = await peer.shake_hands(
        Sec_WebSocket_Extensions=b"permessage-deflate; client_max_window_bits", Sec_WebSocket_Protocol=b"chat, other"
    )
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in head.lower()
    assert b"protocol:" not in head.lower()


async def test_a_connection_has_the_request_that_opened_it(table):
    page = await table.page()
    peer = await table.peer(Cookie=b"a=1", Origin=b"http://localhost")
    await peer.attach(page)
    [session] = table.app.sessions
    [connection] = session.connections
    assert connection.request.cookies == {"a": "1"}
    assert connection.request.path == "/app/-/websocket"
    assert connection.request.headers["origin"] == "http://localhost"


async def test_a_peer_that_does_not_read_its_handshake_is_let_go(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        theirs, ours = trio.testing.lockstep_stream_pair()
        nursery.start_soon(table.app.server.handle, ours)
        await Peer(theirs).ask()
        await trio.sleep(10.1)
        assert (await theirs.receive_some()).startswith(b"HTTP/1.1 101 ")  # it was on its way
        assert await theirs.receive_some() == b""


# The first frame.


async def test_a_peer_that_says_nothing_is_closed_with_4408(table):
    peer = await table.peer()
    began = trio.current_time()
    messages, code, _ = await peer.closed()
    assert (messages, code) == ([], 4408)  # no `closing`: it may speak another language
    assert trio.current_time() - began == pytest.approx(10)
    assert await peer.end() == []


async def test_a_ping_is_no_first_frame(table):
    peer = await table.peer()
    for _ in range(9):
        await trio.sleep(1)
        await peer.send_frame(PING, b"x")
        assert await peer.frame() == (PONG, b"x")
    assert (await peer.closed())[1] == 4408


@pytest.mark.parametrize("token", ["forged", "a.b.c", "x" * 4096])
async def test_a_forged_token_is_closed_with_4401(table, token):
    await table.page()
    peer = await table.peer()
    await peer.send_json(type="attach", token=token)
    [closing], code, reason = await peer.closed()
    assert (closing["type"], closing["code"], closing["reason"]) == ("closing", 4401, reason)
    assert closing["retry_after"] is None
    assert code == 4401
    assert "not one of ours" in reason


async def test_a_token_expires_after_300_seconds(serve):
    async with serve(options=options_of({"linger": 1000.0})) as table:
        page = await table.page()
        await trio.sleep(300)
        await (await table.peer()).attach(page)
        await trio.sleep(1)
        peer = await table.peer()
        await peer.send_json(type="attach", token=page["token"])
        [_], code, reason = await peer.closed()
        assert code == 4401
        assert "expired" in reason


async def test_a_token_of_another_app_is_refused(autojump_clock):
    other = Application(NamespaceHandler({}, where="other"), name="other")
    server, listener = Server([app_of(), other]), MemoryListener()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        page = page_in((await get(await listener.connect(), "/other")).text)
        for path, code in (("/app/-/websocket", 4401), ("/other/-/websocket", None)):
            peer = Peer(await listener.connect())
            await peer.shake_hands(path)
            await peer.send_json(type="attach", token=page["token"])
            if code is None:
                assert (await peer.message())["type"] == "attached"
            else:
                assert (await peer.closed())[1] == code
        server.stop()


async def test_no_session_and_a_wrong_key_get_the_same_answer(table):
    _, attached, session = await table.attached()
    answers = []
    for changed in ({"session": "unknown"}, {"key": "wrong"}, {"key": "\ud800"}):
        peer = await table.peer()
        await peer.send_json(
            type="resume",
            **{key: attached[key] for key in ("session", "key", "client", "epoch")} | changed,
            revision=1,
            confirmed=0,
        )
        answers.append(await peer.closed())
    gone = await table.page()
    table.app.context.destroy_session(gone["session"])
    peer = await table.peer()
    await peer.send_json(type="attach", token=gone["token"])
    answers.append(await peer.closed())
    session.destroy()
    await all_blocked()
    peer = await table.peer()
    await peer.send_json(
        type="resume", **{key: attached[key] for key in ("session", "key", "client", "epoch")}, revision=1, confirmed=0
    )
    answers.append(await peer.closed())
    first = answers.pop(0)
    assert first[1] == 4404
    answers = [answer for answer in answers if answer[1] != 4400]  # a lone surrogate may be no message at all
    assert len(answers) >= 3
    assert all(answer == first for answer in answers)


# Protocol errors.


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


# Pings.


async def test_a_client_that_never_answers_is_cut_after_two_intervals(table):
    peer, _, session = await table.attached()
    began = trio.current_time()
    assert await peer.frame() == (PING, b"")
    assert trio.current_time() - began == pytest.approx(20)
    assert await peer.end() == []
    assert trio.current_time() - began == pytest.approx(40)
    await all_blocked()
    assert session.connections == ()
    assert table.detached == [LOST]


@pytest.mark.parametrize("frame", [(PONG, b""), (PONG, b"unasked"), (PING, b""), "half"])
async def test_a_client_that_sends_anything_lives(table, frame):
    peer, _, session = await table.attached()
    if frame == "half":
        await peer.stream.send_all(bytes([0x81, 0xFE, 0x10, 0]) + b"\0\0\0\0")  # the head of a long message
    for _ in range(10):
        await trio.sleep(19)
        if frame == "half":
            await peer.stream.send_all(b" ")
        else:
            await peer.send_frame(*frame)
    assert len(session.connections) == 1


async def test_pings_are_pushed_with_no_hand_of_the_library(table):
    """Trap: the library's own `ping()` hangs when the connection closes under it."""
    peer, _, session = await table.attached()
    for _ in range(3):
        assert await peer.frame() == (PING, b"")
        await peer.send_frame(PONG, b"")
    session.destroy()
    with trio.fail_after(GRACE):
        await session.wait_destroyed()


async def test_a_ping_while_we_say_goodbye_ends_the_connection_only(table):
    """Trap: it makes the library raise LocalProtocolError (trio-websocket #184)."""
    neighbour, _, _ = await table.attached()
    peer, _, session = await table.attached()
    session.destroy()
    await all_blocked()
    for _ in range(3):
        with contextlib.suppress(trio.BrokenResourceError):
            await peer.send_frame(PING, b"x")
    with trio.fail_after(GRACE):
        await session.wait_destroyed()
    await neighbour.send("Add")
    assert (await neighbour.message())["type"] == "patch"
    assert table.app.incidents == []


async def test_no_ping_follows_the_close_frame(serve):
    async with serve(options=options_of(ping_interval=1.0, close_timeout=2.5)) as table:
        peer, _, session = await table.attached()
        await trio.sleep(0.5)
        session.destroy()
        await all_blocked()
        assert [opcode for opcode, _ in await peer.end()] == [TEXT, CLOSE]


async def test_pings_are_answered_while_the_session_has_no_room(serve):
    """Trap: with its queue full the library reads nothing and answers no ping; so it has room for a whole window."""
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, _, _ = await table.attached()
        await peer.send("Wait", seconds=20)
        for _ in range(63):
            await peer.send("Add")
        await all_blocked()
        await peer.send_frame(PING, b"are you there?")
        assert await peer.frame() == (PONG, b"are you there?")
        await trio.sleep(21)
        answers = [await peer.message() for _ in range(128)]
        assert [m["number"] for m in answers if m["type"] == "answer"] == list(range(1, 65))


async def test_a_client_whose_session_has_no_room_is_not_read_beyond_its_window(serve):
    """The socket's buffer fills, and the client waits; what it sends beyond its window is never looked at."""
    async with serve(options=options_of({"mailbox_capacity": 1})) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send("Wait", seconds=1000)
        sent = 0

        async def flood():
            nonlocal sent
            while True:
                await peer.send("Add")
                sent += 1

        nursery.start_soon(flood)
        await all_blocked()
        # One in hand, one in the mailbox, one that waits for room, a window in the queue, and one before that.
        assert 64 <= sent <= 70
        assert session.statistics().waiting_for_room == 1
        nursery.cancel_scope.cancel()


async def test_a_client_is_read_ahead_by_so_many_bytes_and_not_missed_meanwhile(serve):
    options = options_of(max_unanswered=100_000, ping_interval=5.0, max_message_size=40_000)
    async with serve(options=options) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send("Wait", seconds=60)
        await all_blocked()
        await peer.send_frame(PING, b"there?")
        while await peer.frame() != (PONG, b"there?"):
            pass
        sent = []

        async def send():
            for number in range(30):
                await peer.send("Wait", seconds=0, label="x" * 30_000 + str(number))
                sent.append(number)
            while True:
                await peer.send_frame(PONG, b"")
                await trio.sleep(1)

        nursery.start_soon(send)
        await all_blocked()
        assert len(sent) in (3, 4)
        for _ in range(10):  # its client would take a silent connection for lost
            assert await peer.frame() == (PING, b"")
        assert len(sent) in (3, 4)
        assert session.connections
        labels = []
        while len(labels) < 31:
            message = await peer.message(answers_pings=False)
            if message["type"] == "answer":
                labels.append(message["value"][30_000:])
        assert labels == ["", *map(str, range(30))]
        nursery.cancel_scope.cancel()


async def test_what_is_read_ahead_is_counted_in_bytes(serve):
    async with serve(options=options_of(max_unanswered=100_000)) as table, trio.open_nursery() as nursery:
        peer, _ = await lockstep(table, nursery)
        await peer.send("Wait", seconds=1000)
        sent = []

        async def send():
            for number in range(2, 30):
                fields = {"seconds": 0, "label": "\N{PILE OF POO}" * 7_500}
                message = {"type": "send", "number": number, "name": "Wait", "fields": fields, "confirmed": 0}
                await peer.send_frame(TEXT, json.dumps(message, ensure_ascii=False).encode())
                sent.append(number)

        nursery.start_soon(send)
        await all_blocked()
        assert len(sent) in (3, 4)
        nursery.cancel_scope.cancel()


async def test_a_client_that_is_not_read_can_still_answer_a_close(serve):
    async with serve(options=options_of(max_unanswered=50_000)) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send("Wait", seconds=1000)
        over = False

        async def send():
            nonlocal over
            for _ in range(3):
                await peer.send("Wait", seconds=0, label="x" * 60_000)
            over = True
            await peer.send_frame(CLOSE, b"\x11\x3a")

        nursery.start_soon(send)
        await all_blocked()
        assert not over
        session.destroy(reason="over")
        began = trio.current_time()
        await session.wait_destroyed()
        assert trio.current_time() - began < 2
        nursery.cancel_scope.cancel()


async def test_edits_that_wait_count_too(serve):
    async with serve(options=options_of(max_unanswered=100_000)) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        session.document.allow_edits("/text")
        await peer.send("Wait", seconds=60)
        sent = []

        async def send():
            for number in range(2, 12):
                edit = {"type": "edit", "number": number, "base": 1, "op": "set", "path": ["text"], "confirmed": 0}
                await peer.send_json(**edit, value=str(number) * 30_000)
                sent.append(number)

        nursery.start_soon(send)
        await all_blocked()
        assert len(sent) in (3, 4)
        numbers = []
        while len(numbers) < 10:
            message = await peer.message(answers_pings=False)
            if message["type"] == "edited":
                numbers.append(message["number"])
        assert numbers == list(range(2, 12))
        nursery.cancel_scope.cancel()


# The end.


@pytest.mark.parametrize("reason", ["", "by order", "ä" * 100, "x" * 122 + "€", "a\ud800b"])
async def test_a_destroyed_session_is_4410_with_its_reason(table, reason):
    peer, _, session = await table.attached()
    session.destroy(reason=reason)
    [closing], code, shown = await peer.closed()
    sent = reason.replace("\ud800", "?")
    assert closing == {"type": "closing", "code": 4410, "reason": sent, "retry_after": None}
    assert code == 4410
    assert shown == sent.encode()[:123].decode("utf-8", "ignore")
    assert await peer.end() == []
    await session.wait_destroyed()
    assert table.detached == [4410]
    assert table.app.incidents == []


@pytest.mark.parametrize("attempt", range(5))
async def test_what_a_handler_changed_before_it_destroyed_its_session_is_sent(table, attempt):
    peer, _, _ = await table.attached()
    await peer.send("Destroy", reason="done")
    messages, code, reason = await peer.closed()
    assert [message["type"] for message in messages] == ["patch", "answer", "closing"]
    assert messages[0]["operations"][0]["value"] == 99
    assert (code, reason) == (4410, "done")


async def test_a_peer_that_does_not_answer_the_close_is_let_go(table):
    """Trap: the library's `aclose()` waits for it without end."""
    peer, _, session = await table.attached()
    began = trio.current_time()
    session.destroy()
    await session.wait_destroyed()
    assert trio.current_time() - began == pytest.approx(2)
    assert [opcode for opcode, _ in await peer.end()] == [TEXT, CLOSE]


async def test_a_peer_that_does_not_read_is_let_go(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        _, session = await lockstep(table, nursery)
        for _ in range(3):
            await session.with_locked_document(lambda doc: doc.data.update(n=doc.data["n"] + 1))
        began = trio.current_time()
        session.destroy()
        await session.wait_destroyed()
        assert trio.current_time() - began < GRACE
        assert [task for task in tasks() if "websocket" in task or session.id[:8] in task] == []
        nursery.cancel_scope.cancel()


async def test_a_client_that_reads_nothing_for_so_long_is_too_slow(serve):
    """It may send whatever it likes meanwhile; no ping is queued behind what it doesn't read."""
    async with serve(options=options_of(ping_interval=1.0, slow_timeout=2.0)) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await session.with_locked_document(lambda doc: doc.data.update(n=1))
        began = trio.current_time()
        while session.connections:
            assert trio.current_time() < began + 10
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await peer.send_frame(PONG, b"")
            await trio.sleep(0.3)
        assert trio.current_time() - began < 3 + GRACE
        assert table.detached == [1013]
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_politely_is_answered(table):
    peer, _, session = await table.attached()
    await peer.send_frame(CLOSE, struct.pack("!H", 1001) + b"bye")
    assert (await peer.closed())[:2] == ([], 1001)
    assert await peer.end() == []
    await all_blocked()
    assert session.connections == ()
    assert table.detached == [1001]


async def test_a_client_that_is_gone_is_noticed(table):
    peer, _, session = await table.attached()
    await trio.aclose_forcefully(peer.stream)
    await all_blocked()
    assert session.connections == ()
    assert table.detached == [LOST]


async def test_a_restart_tells_clients_when_to_come_back(serve):
    async with serve() as table:
        peers = [(await table.attached())[0] for _ in range(5)]
        silent = await table.peer()
        table.app.server.stop()
        delays = set()
        for peer in peers:
            [closing], code, reason = await peer.closed()
            assert (closing["type"], closing["code"], code) == ("closing", 1012, 1012)
            assert reason == "the server is restarting"
            assert 0 <= closing["retry_after"] <= 3
            delays.add(closing["retry_after"])
        assert len(delays) > 1
        assert await silent.end() == [(8, b"\x03\xf4the server is restarting")]


def tasks():
    """The names of all tasks."""

    def walk(task):
        yield task.name
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from walk(child)

    return list(walk(trio.lowlevel.current_root_task()))


async def test_when_a_session_is_destroyed_nothing_of_it_runs(table):
    before = sorted(tasks())
    page = await table.page()
    peers = [(await table.attached(page))[0] for _ in range(3)]
    [session] = table.app.sessions
    session.start_soon(trio.sleep_forever)
    await peers[0].send("Wait", seconds=1000)
    await all_blocked()
    assert len(tasks()) > len(before)
    session.destroy()
    await session.wait_destroyed()
    assert sorted(tasks()) == before


# Coming back.


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


# Messages.


async def test_what_is_wrong_with_a_message_is_told_by_type_and_field(table):
    peer, _, _ = await table.attached()
    wrong = [("Unknown", {}, "Unknown"), ("Add", {"by": "3"}, "by"), ("Add", {"more": 1}, "more")]
    wrong += [("Wait", {}, "seconds"), ("Wait", {"seconds": 1, "label": None}, "label")]
    for name, fields, part in wrong:
        await peer.send(name, **fields)
        error = await peer.message()
        assert (error["type"], error["kind"], error["incident"]) == ("error", "invalid", None)
        assert name in error["text"]
        assert part in error["text"]
    await peer.send("Add")
    assert (await peer.message())["operations"][0]["value"] == 1


@pytest.mark.parametrize("name", ["Fail", "ReturnNaN"])
async def test_a_failure_rolls_back_and_is_told_by_its_incident(table, name):
    peer, _, session = await table.attached()
    await peer.send(name)
    error = await peer.message()
    [incident] = table.app.incidents
    assert (error["kind"], error["incident"]) == ("failed", incident.id)
    assert session.id.startswith(incident.session)
    assert "swordfish" not in str(error)
    async with session.locked_document() as doc:
        assert doc.data["n"] == 0
    table.app.incidents.clear()
    await peer.send("Add")
    assert (await peer.message())["type"] == "patch"


async def test_a_rejection_rolls_back_and_is_told_by_its_text(table):
    peer, _, session = await table.attached()
    await peer.send("Refuse", text="<not> today")
    error = await peer.message()
    assert (error["kind"], error["text"], error["incident"]) == ("rejected", "<not> today", None)
    async with session.locked_document() as doc:
        assert doc.data["n"] == 0


async def test_a_validator_that_fails_is_answered(table):
    """A number that was accepted must be answered: its client won't send it again."""
    peer, _, session = await table.attached()
    await peer.send("Exploding", value=1)
    error = await peer.message()
    [incident] = table.app.incidents
    assert (error["number"], error["kind"], error["incident"]) == (1, "failed", incident.id)
    assert "swordfish" not in str(error)
    assert session.id.startswith(incident.session)
    assert "Exploding" in incident.what
    table.app.incidents.clear()
    await peer.send("Add")
    assert (await peer.message())["type"] == "patch"


async def test_a_full_mailbox_is_backpressure_and_then_an_error(serve):
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, _, _ = await table.attached()
        for number in range(5):
            await peer.send("Wait", seconds=25, label=str(number))
        began = trio.current_time()
        outcomes = {}
        while len(outcomes) < 5:
            message = await peer.message()
            if message["type"] != "patch":
                outcomes[message["number"]] = (message, trio.current_time() - began)
        assert [outcomes[number][0]["type"] for number in range(1, 6)] == ["answer"] * 5
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, _, _ = await table.attached()
        for _ in range(3):
            await peer.send("Wait", seconds=1000)
        began = trio.current_time()
        error = await peer.message()
        assert trio.current_time() - began == pytest.approx(30)
        assert (error["type"], error["number"], error["kind"]) == ("error", 3, "rejected")
        assert "busy" in error["text"]


def quotes(**policy):
    """The namespace of an app that receives quotes under this policy."""

    @receives(Quote, from_client=True, **policy)
    def on_quote(doc, quote):
        doc.data["n"] = quote.price

    return {"on_quote": on_quote}


async def test_a_message_of_a_type_that_is_refused_is_answered_at_once(serve):
    async with serve(options=options_of({"mailbox_capacity": 1}), **quotes(when_full="refuse")) as table:
        peer, _, _ = await table.attached()
        await peer.send("Wait", seconds=1)
        await peer.send("Add")
        await peer.send("Quote", symbol="A", price=1)
        began = trio.current_time()
        error = await peer.message()
        assert trio.current_time() == began
        assert (error["number"], error["kind"], error["text"]) == (3, "rejected", BUSY)


async def test_a_message_whose_place_a_newer_one_got_is_answered_so(serve):
    async with serve(options=options_of({"mailbox_capacity": 1}), **quotes(when_full="drop_oldest")) as table:
        peer, _, session = await table.attached()
        await peer.send("Wait", seconds=1)
        await all_blocked()
        await peer.send("Quote", symbol="A", price=1)
        await peer.send("Quote", symbol="A", price=2)
        error = await peer.message()
        assert (error["number"], error["kind"], error["text"]) == (2, "rejected", BUSY)
        messages = [await peer.message() for _ in range(4)]
        assert [m["number"] for m in messages if m["type"] == "answer"] == [1, 3]
        assert session.statistics().dropped == 1
        assert table.app.incidents == []


async def test_a_browsers_message_is_never_conflated_away(serve):
    async with serve(**quotes(conflate=lambda quote: quote.symbol)) as table:
        peer, _, session = await table.attached()
        await peer.send("Wait", seconds=1)
        for price in range(3):
            await peer.send("Quote", symbol="A", price=price + 10)
        await all_blocked()
        session.tell_nowait(Quote(symbol="A", price=20))
        session.tell_nowait(Quote(symbol="A", price=21))
        messages = [await peer.message() for _ in range(9)]
        assert [m["number"] for m in messages if m["type"] == "answer"] == [1, 2, 3, 4]
        assert messages[-1]["operations"][0]["value"] == 21
        assert session.statistics().conflated == 1


async def test_a_key_function_that_raises_is_answered_with_its_incident(serve):
    async with serve(**quotes(conflate=lambda quote: quote.symbol / 0)) as table:
        peer, _, _ = await table.attached()
        await peer.send("Quote", symbol="A", price=1)
        error = await peer.message()
        [incident] = table.app.incidents
        assert (error["kind"], error["incident"]) == ("failed", incident.id)
        assert incident.what == "key of message Quote of a client"
        table.app.incidents.clear()


# Cancellation.


async def test_cancelled_at_every_step_it_leaves_nothing_behind(autojump_clock):
    """Step by step through a whole life: handshake, attach, a message, the end of the session, goodbye."""
    completed = cancelled = 0
    for steps in itertools.count():
        async with harness.supervise(app_of()) as app:
            page = page_in((await app.get("/app")).text)
            session = app.actor.find(page["session"])
            theirs, ours = trio.testing.memory_stream_pair()
            [door] = app.server._doors.values()
            peer = Peer(theirs)
            connection = WebSocketConnection(ours, Request(), door, WebSocketOptions())

            async def live(session=session, peer=peer, page=page):
                with contextlib.suppress(EOFError, trio.BrokenResourceError, AssertionError):
                    await peer.shake_hands()
                    await peer.attach(page)
                    await peer.send("Add")
                    await peer.message()
                    await peer.message()
                    session.context.destroy(reason="over")
                    await peer.closed()

            async def cancel(scope, steps=steps):
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(live)
                with trio.CancelScope() as scope:
                    nursery.start_soon(cancel, scope)
                    await connection.run()
                    completed += 1
                cancelled += scope.cancelled_caught
                assert len(session.connections) == 0
                assert "0 attached" in repr(session.audience.feed)
                assert connection._heartbeat._alarm is None or connection._heartbeat._alarm.ring is None
                with pytest.raises(trio.ClosedResourceError):
                    await ours.send_all(b"x")
                await peer.end()
                nursery.cancel_scope.cancel()
            assert app.incidents == []
        if completed > 3:
            break
    assert cancelled > 15


@pytest.mark.parametrize("again", range(3))
async def test_cancelled_while_it_waits_for_room_it_is_answered_all_the_same(serve, again):
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, attached, session = await table.attached()
        for number in range(3):
            await peer.send("Wait", seconds=1, label=str(number))
        await all_blocked()
        [connection] = table.app.actor.find(session.id).connections
        connection.cancel()
        await trio.sleep(5)
        _, again = await table.returned(attached)
        assert again["received"] == 3
        assert again["revision"] == 4


async def test_a_failure_of_ours_is_an_incident_and_ends_one_connection(table, monkeypatch):
    neighbour, _, _ = await table.attached()
    peer, _, session = await table.attached()
    monkeypatch.setattr(Conversation, "_deliver", functools.partialmethod(_fail_here))
    await peer.send("Add")
    await peer.end()
    [incident] = table.app.incidents
    assert (incident.what, incident.application) == ("websocket connection", "app")
    table.app.incidents.clear()
    monkeypatch.undo()
    await all_blocked()
    assert session.connections == ()
    await neighbour.send("Add")
    assert (await neighbour.message())["type"] == "patch"


async def _fail_here(self, wire, send):
    raise RuntimeError("a bug")


def test_options_say_what_the_issue_says():
    options = WebSocketOptions()
    assert options.max_message_size == options.max_backlog == 1024 * 1024
    assert (options.merge_backlog, options.max_unanswered, options.slow_timeout) == (64 * 1024, 4 * 1024 * 1024, 40.0)
    assert (options.first_frame_timeout, options.room_timeout) == (10.0, 30.0)


# Too much of something.


def rated(**websocket):
    return options_of(**{"max_message_rate": 10.0, "message_burst": 5} | websocket)


async def test_messages_beyond_the_rate_wait_and_none_is_lost(serve):
    async with serve(options=rated()) as table:
        peer, _, _ = await table.attached()
        began = trio.current_time()
        for _ in range(15):
            await peer.send("Add")
        answers, arrived = [], []
        while len(answers) < 15:
            if (message := await peer.message())["type"] == "answer":
                answers.append(message["number"])
                arrived.append(round(trio.current_time() - began, 3))
        assert answers == list(range(1, 16))
        assert arrived == [0.0] * 5 + [round(0.1 * number, 3) for number in range(1, 11)]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "present", "metadata": {}},
        {"type": "watch", "scope": "session"},
        {"type": "edit", "number": 1, "op": "set", "path": ["n"], "value": 1, "base": 1, "confirmed": 0},
    ],
    ids=lambda message: message["type"],
)
async def test_messages_of_every_kind_count(serve, message):
    async with serve(options=rated(max_message_rate=1, message_burst=1)) as table:
        peer, _, _ = await table.attached()
        await peer.send_json(**message)
        began = trio.current_time()
        await peer.send("Add", number=1 + message.get("number", 0))
        with trio.fail_after(10):
            while (await peer.message())["type"] != "answer":
                pass
        assert trio.current_time() - began == pytest.approx(1)


async def test_pings_are_answered_while_messages_wait_for_their_time(serve):
    async with serve(options=rated(max_message_rate=1)) as table:
        peer, _, _ = await table.attached()
        for _ in range(10):
            await peer.send("Add")
        await all_blocked()
        while peer._parsed() is not None:
            pass
        began = trio.current_time()
        await peer.send_frame(PING, b"are you there?")
        while (frame := await peer.frame())[0] == TEXT:
            pass
        assert frame == (PONG, b"are you there?")
        assert trio.current_time() == began


async def test_who_floods_is_closed_with_4429_and_may_come_back_after_a_while(serve):
    async with serve(options=rated(flood_timeout=3, return_later=8)) as table:
        peer, attached, session = await table.attached()
        began, codes = trio.current_time(), []

        async def flood():
            with contextlib.suppress(trio.BrokenResourceError):
                while True:
                    await peer.send_json(type="present", metadata={})
                    await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            with trio.fail_after(60):
                messages, code, reason = await peer.closed()
            codes.append(code)
            assert trio.current_time() - began == pytest.approx(3, abs=0.2)
            nursery.cancel_scope.cancel()
        assert (codes, reason) == ([4429], "too many messages")
        assert messages[-1]["code"] == 4429
        assert 4 <= messages[-1]["retry_after"] <= 8
        await all_blocked()
        assert session.connections == ()
        assert table.detached == [4429]
        assert (await table.returned(attached))[1]["resumed"]


async def test_whose_messages_wait_for_their_time_is_not_taken_for_silent(serve):
    """What it sent at once takes longer to be looked at than pings are apart, and its pongs come behind that."""
    async with serve(options=rated(max_message_rate=1)) as table:
        peer, _, _ = await table.attached()
        began = trio.current_time()
        watch = b'{"type":"watch","scope":"session"}'
        flood = (bytes((0x81, 0x80 | len(watch))) + b"\0\0\0\0" + watch) * 1_000
        await peer.stream.send_all(flood)
        with trio.fail_after(100):
            messages, code, _ = await peer.closed()
        assert (code, messages[-1]["code"]) == (4429, 4429)
        assert trio.current_time() - began == pytest.approx(60, abs=2)


async def test_who_pauses_now_and_then_may_be_too_fast_for_long(serve):
    async with serve(options=rated(flood_timeout=3)) as table:
        peer, _, session = await table.attached()
        for _ in range(10):
            for _ in range(20):
                await peer.send_json(type="present", metadata={})
            await trio.sleep(3)
        assert len(session.connections) == 1


async def test_without_a_rate_nothing_waits(serve):
    async with serve(options=rated(max_message_rate=None)) as table:
        peer, _, session = await table.attached()
        began = trio.current_time()
        for _ in range(1000):
            await peer.send_json(type="present", metadata={})
        await all_blocked()
        assert trio.current_time() == began
        assert len(session.connections) == 1


async def test_a_session_with_all_its_connections_lets_no_other_in(serve):
    refused = []
    async with serve(options=options_of({"max_connections_per_session": 2}, return_later=6)) as table:
        table.app.server.runtime.instruments.connection_refused = lambda **told: refused.append(told)
        page = await table.page()
        first, attached, session = await table.attached(page)
        await table.attached(page)
        for _ in range(2):
            late = await table.peer()
            await late.send_json(type="attach", token=page["token"])
            [closing], code, reason = await late.closed()
            assert (code, closing["code"], reason) == (4429, 4429, "too many connections to this session")
            assert 3 <= closing["retry_after"] <= 6
        assert len(session.connections) == 2
        [told] = refused
        assert told["application"] == "app"
        assert told["reason"].endswith(": 2; --max-connections-per-session allows more")
        _, again = await table.returned(attached)  # before its older connection was missed: it takes that one's place
        assert again["resumed"]
        assert await first.end() == []
        await all_blocked()
        assert len(session.connections) == 2


async def test_a_connection_that_left_makes_room_also_where_hooks_let_them_in(serve):
    async def on_connection_opened(session_context, connection):
        opened.append(connection)
        await trio.sleep(1)

    opened = []
    options = options_of({"max_connections_per_session": 1})
    async with serve(options=options, on_connection_opened=on_connection_opened) as table:
        page = await table.page()
        first, second = await table.peer(), await table.peer()
        for peer in (first, second):
            await peer.send_json(type="attach", token=page["token"])
        assert (await first.message())["type"] == "attached"
        assert (await second.closed())[1] == 4429  # it came before the first one was in, and its hook ran
        assert len(opened) == 2
        third = await table.peer()
        await third.send_json(type="attach", token=page["token"])
        assert (await third.closed())[1] == 4429
        assert len(opened) == 2
        await first.stream.aclose()
        await all_blocked()
        await table.attached(page)


async def test_of_those_who_say_nothing_the_oldest_makes_way(serve):
    async with serve(options=ServerOptions(max_newcomers=2)) as table:
        attached, _, session = await table.attached()
        silent = [await table.peer() for _ in range(3)]
        await all_blocked()
        assert (await silent[0].closed())[1:] == (4408, "no first frame, and others need the room")
        assert table.app.server.occupancy.newcomers == 2
        page = await table.page(session=session.id)
        await silent[1].attach(page)
        await silent[2].attach(page)
        assert table.app.server.occupancy.newcomers == 0
        assert len(session.connections) == 3
        await attached.send("Add")


async def test_a_newcomer_that_reads_nothing_makes_way_too(serve):
    async with serve(options=ServerOptions(max_newcomers=1)) as table, trio.open_nursery() as nursery:
        for _ in range(3):
            theirs, ours = trio.testing.lockstep_stream_pair()
            nursery.start_soon(table.app.server.handle, ours)
            await Peer(theirs).ask()
        await trio.sleep(15)
        assert table.app.server.occupancy.connections == 0
        assert table.app.server.occupancy.newcomers == 0


@pytest.mark.parametrize("timeout", [0.5, 3, 5])
async def test_a_pong_may_be_due_before_the_next_ping(serve, timeout):
    async with serve(options=options_of(ping_interval=5, pong_timeout=timeout)) as table:
        peer, _, session = await table.attached()
        began = trio.current_time()
        for beat in range(1, 4):
            assert await peer.frame() == (PING, b"")
            assert trio.current_time() - began == pytest.approx(5 * beat)
            await trio.sleep(timeout * 0.9)
            if beat < 3:
                await peer.send_frame(PONG, b"")
        assert await peer.end() == []
        assert trio.current_time() - began == pytest.approx(15 + timeout)
        await all_blocked()
        assert session.connections == ()


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


async def test_a_document_that_would_be_too_large_stays_as_it_was(serve):
    def modify_document(doc):
        doc.data["n"] = 0
        doc.allow_edits("/text")

    options = options_of({"max_document_size": 10_000})
    async with serve(options=options, modify_document=modify_document) as table:
        peer, attached, session = await table.attached()
        await peer.send("Fill", size=9_000)
        assert [(await peer.message())["type"] for _ in range(2)] == ["patch", "answer"]
        await peer.send("Fill", size=11_000)
        error = await peer.message()
        [incident] = table.app.incidents
        assert (error["kind"], error["incident"]) == ("failed", incident.id)
        assert "11,0" in str(incident.error)
        assert "may have 10,000 (max_document_size)" in str(incident.error)
        table.app.incidents.clear()
        async with session.locked_document() as doc:
            assert len(doc.data["text"]) == 9_000
        edit = {"type": "edit", "number": 3, "op": "set", "path": ["text"], "value": "y" * 12_000, "confirmed": 0}
        await peer.send_json(**edit, base=attached["revision"] + 1)
        error = await peer.message()
        assert (error["type"], error["number"], error["kind"]) == ("error", 3, "rejected")
        assert "max_document_size" in error["text"]
        await peer.send("Add", number=4)
        assert (await peer.message())["type"] == "patch"
        assert len(session.connections) == 1
