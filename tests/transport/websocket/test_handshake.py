"""The handshake, and the first frame: who is let in, and what the others are told."""

import contextlib

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.server import Server
from supervisor.testing import harness
from supervisor.testing.http import get
from supervisor.testing.memory import MemoryListener

from ..peers import PING, PONG, Peer, all_blocked, app_of, options_of, page_in

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
