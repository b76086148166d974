"""Frames, messages and heads that no honest client sends: at most that connection ends, with the right code."""

from __future__ import annotations

import json
import struct

import trio

from ..clients import Client
from ..scenario import scenario
from ..sockets import BINARY, CLOSE, PING, TEXT, Socket, SocketEnded, abort, dial, open_page, parse_response, read_all
from ..stage import Stage

PROTOCOL = 4400


async def attached(stage: Stage, session: str) -> Socket:
    """A raw websocket that is attached."""
    entry = await open_page(stage.port, "work", session)
    socket = await Socket.open(stage.port, entry.websocket)
    await socket.send(json.dumps({"type": "attach", "token": entry.token}))
    await socket.receive()
    await socket.receive()
    return socket


async def neighbour_is_well(stage: Stage, neighbour: Client, session: str) -> None:
    await neighbour.ask("Add", label=f"well-{stage.rng.random()}", who="neighbour")
    stage.require(neighbour.codes == [], f"the neighbour was cut: {neighbour.codes}")
    await stage.check([neighbour], session)


async def try_all(stage: Stage, tries: list[tuple[str, bytes, set[int]]]) -> None:
    """Write bytes over attached websockets, one each; each is to be closed with one of the codes."""
    session = stage.new_session()
    neighbour = await stage.client(session)
    for name, data, codes in tries:
        socket = await attached(stage, session)
        try:
            try:
                await socket.send_bytes(data)
            except SocketEnded:
                pass  # it was closed before all was written; why is read below
            ended = await socket.wait_closed(wait=10)
        finally:
            socket.abort()
        stage.require(ended.code in codes, f"{name} was told {ended.code} {ended.reason!r}")
    await neighbour_is_well(stage, neighbour, session)


def frame(first: int, payload: bytes, *, mask: bool = True, size: int | None = None) -> bytes:
    size = len(payload) if size is None else size
    bit = 0x80 if mask else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


FIN = 0x80


@scenario()
async def malformed_frames(stage: Stage) -> None:
    """Frames that break RFC 6455 end their connection with 1002 or 1007, and no other one."""
    await try_all(
        stage,
        [
            ("an unmasked frame", frame(FIN | TEXT, b"{}", mask=False), {1002}),
            ("a reserved bit", frame(FIN | 0x40 | TEXT, b"{}"), {1002}),
            ("a reserved opcode", frame(FIN | 3, b""), {1002}),
            ("a reserved control opcode", frame(FIN | 11, b""), {1002}),
            ("text that is no UTF-8", frame(FIN | TEXT, b"\xff\xfe"), {1007}),
            ("a ping in pieces", frame(PING, b"x"), {1002}),
            ("a ping that is too long", frame(FIN | PING, b"x" * 126), {1002}),
            ("a continuation of nothing", frame(FIN, b"x"), {1002}),
            ("a message in a message", frame(TEXT, b"x") + frame(FIN | TEXT, b"y"), {1002}),
            ("a close frame of one byte", frame(FIN | CLOSE, b"x"), {1002}),
            ("a close code that can't be", frame(FIN | CLOSE, (999).to_bytes(2, "big")), {1002}),
            ("a length below zero", bytes((FIN | TEXT, 0xFF)) + b"\xff" * 8 + b"\0\0\0\0", {1002, 1009}),
        ],
    )


@scenario()
async def malformed_messages(stage: Stage) -> None:
    """Text that is no message of the wire ends its connection with 4400, and no other one."""
    texts = {
        "no JSON": b"{",
        "no object": b"[]",
        "null": b"null",
        "no type": b"{}",
        "an unknown type": b'{"type":"shout"}',
        "a second first frame": b'{"type":"attach","token":"x"}',
        "a field too many": b'{"type":"send","number":1,"name":"Add","fields":{},"confirmed":0,"more":1}',
        "fields that are none": b'{"type":"send","number":1,"name":"Add","fields":[],"confirmed":0}',
        "a number of text": b'{"type":"send","number":"1","name":"Add","fields":{},"confirmed":0}',
        "a gap in the numbers": b'{"type":"send","number":7,"name":"Add","fields":{},"confirmed":0}',
        "a confirmation of nothing": b'{"type":"send","number":1,"name":"Add","fields":{},"confirmed":5}',
        "a number beyond all": b'{"type":"send","number":99999999999999999999,"name":"Add","fields":{},"confirmed":0}',
        "an edit of the root": b'{"type":"edit","number":1,"base":0,"op":"set","path":[],"value":1,"confirmed":0}',
        "an edit of the future": b'{"type":"edit","number":1,"base":999,"op":"remove","path":["todo"],"confirmed":0}',
        "a message of the server": b'{"type":"patch","from":0,"to":1,"operations":[]}',
        "a deep one": b'{"type":"present","metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    }
    tries = [(name, frame(FIN | TEXT, text), {PROTOCOL}) for name, text in texts.items()]
    tries.append(("a binary frame", frame(FIN | BINARY, b'{"type":"watch","scope":"session"}'), {PROTOCOL}))
    await try_all(stage, tries)


@scenario()
async def repeated_numbers(stage: Stage) -> None:
    """A client that sends a number again, at once and after its answer, has it done once, and has the same answer."""
    session = stage.new_session()
    neighbour = await stage.client(session)
    socket = await attached(stage, session)
    answers: dict[int, str] = {}
    try:
        for number in range(1, stage.scale(20, 60)):
            send = {"type": "send", "number": number, "name": "Add", "confirmed": 0}
            for label in ("first", "again", "late"):
                if label == "late":
                    await _answer(socket, number, answers)
                await socket.send(json.dumps({**send, "fields": {"label": f"{label}-{number}", "who": "raw"}}))
            await _answer(socket, number, answers)
    finally:
        socket.abort()
    final = await stage.check([neighbour], session)
    stage.require(list(final.log) == [f"first-{number}" for number in answers], f"{final.log}")


async def _answer(socket: Socket, number: int, answers: dict[int, str]) -> None:
    """Wait for an answer to a number, the first or one more; all that come to a number must be the same."""
    with trio.fail_after(10):
        while True:
            text = await socket.receive()
            if text.startswith('{"type":"answer"'):
                answered = json.loads(text)["number"]
                if answers.setdefault(answered, text) != text:
                    raise AssertionError(f"another answer to {answered}: {text} after {answers[answered]}")
                if answered == number:
                    return


@scenario()
async def oversized_frame(stage: Stage) -> None:
    """A message over the limit ends its connection with 1009, whole or in pieces, also if it only says so."""
    big = b" " * (1024 * 1024 + 1)
    half = b" " * (600 * 1024)
    await try_all(
        stage,
        [
            ("one frame", frame(FIN | TEXT, big), {1009}),
            ("two pieces", frame(TEXT, half) + frame(FIN, half), {1009}),
            ("a promise of more", frame(FIN | TEXT, b" " * 2**20 + b" ", size=2**40), {1009}),
        ],
    )


@scenario()
async def wrong_first_frame(stage: Stage) -> None:
    """A first frame that is none ends its connection with 4400 before it meets a session."""
    session = stage.new_session()
    neighbour = await stage.client(session)
    entry = await open_page(stage.port, "work", session)
    for text in (
        "{}",
        "x",
        '{"type":"send","number":1,"name":"Add","fields":{},"confirmed":0}',
        '{"type":"watch","scope":"session"}',
        '{"type":"attach"}',
        '{"type":"attach","token":""}',
        '{"type":"attach","token":"' + "x" * 5000 + '"}',
        '{"type":"resume","session":"x"}',
    ):
        socket = await Socket.open(stage.port, entry.websocket)
        try:
            await socket.send(text)
            ended = await socket.wait_closed(wait=10)
        finally:
            socket.abort()
        stage.require(ended.code == PROTOCOL, f"{text[:80]} was told {ended.code}")
    await neighbour_is_well(stage, neighbour, session)


@scenario()
async def malformed_heads(stage: Stage) -> None:
    """Heads that are no HTTP, or that smuggle, are answered 4xx or cut; visitors beside them are served."""
    host = b"Host: 127.0.0.1\r\n"
    heads = [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n" + host + b"\r\n",
        b"GET /work HTTP/1.1\r\n\r\n",
        b"GET /work HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /work HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /work HTTP/1.1\r\n" + host + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        b"POST /work HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /work HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /work HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n",
        b"GET /work/static/../../main.py HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /work/static/%2e%2e/%2e%2e/main.py HTTP/1.1\r\n" + host + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(range(256)),
    ]
    stage.expect(r"connection refused", 0)
    for head in heads:
        stream = await dial(stage.port)
        try:
            await stream.send_all(head)
            await stream.send_eof()
            with trio.fail_after(15):
                data = await read_all(stream)
        except trio.BrokenResourceError:
            data = b""
        finally:
            abort(stream)
        if data:
            status = parse_response(data).status
            stage.require(400 <= status < 500 or status in (501, 505), f"{head[:60]!r} was answered {status}")
    await stage.is_well()


@scenario()
async def random_bytes(stage: Stage) -> None:
    """Random bytes, as a head, over an open websocket, and amid good frames: only that connection ends."""
    session = stage.new_session()
    neighbour = await stage.client(session)
    entry = await open_page(stage.port, "work", session)
    good = frame(FIN | TEXT, json.dumps({"type": "attach", "token": entry.token}).encode())
    stage.expect(r"connection refused", 0)
    for number in range(stage.scale(60, 3000)):
        noise = stage.rng.randbytes(stage.rng.choice((1, 10, 100, 3000)))
        if number % 3 == 0:
            stream = await dial(stage.port)
            try:
                await stream.send_all(noise)
            except trio.BrokenResourceError:
                pass  # it had read enough
            abort(stream)
            continue
        socket = await Socket.open(stage.port, entry.websocket)
        try:
            if number % 3 == 1:
                place = stage.rng.randrange(len(good))
                noise = good[:place] + noise[:1] + good[place + 1 :] + noise
            await socket.send_bytes(noise)
        except SocketEnded:
            pass  # as above
        socket.abort()
    await neighbour_is_well(stage, neighbour, session)
