"""A whole server in memory and virtual time, attackers at its port, and a client that must never notice.

`attack(*attackers)` is one round: it raises what is wrong with the server. An attacker is an async function of the
`Arena`; those below take what to send and judge what comes back. The rule that every round is held to: whatever is
sent, at most the attacker's own connection ends, with the right code or status; no failure is reported, since none of
this is ours or the app's; and nothing is left, neither a task nor a connection nor a session.
"""

import contextlib
import html
import json
import re

import attrs
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.identity import KeyRing
from supervisor.protocol.messages import decode_server_message
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing import harness
from supervisor.transport.head import HttpLimits
from supervisor.transport.websocket_options import WebSocketOptions

PATIENCE = 120.0
"""Virtual seconds after which every attacker has been let go: far above every deadline of the server."""
NOW = 400.0
"""When attacks begin, by the server's clock: old enough for a token to have expired."""
LINGER = 2.0
KEYS = KeyRing((b"k" * 32,))
HANDSHAKE = (
    b"GET /app/-/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
STATUSES = {200, 204, 206, 304, 307, 400, 403, 404, 405, 408, 413, 416, 421, 426, 431, 501, 503, 505}
"""All but 500, which would be a failure of ours; 101 is for websockets."""
CODES = {1000, 1002, 1007, 1009, 4400, 4401, 4404, 4408}
"""What a connection is closed with that deserves it; one that the client has closed gets its own code back."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@attrs.frozen
class Add:
    by: int = 1


@attrs.frozen
class Note:
    text: str
    tags: list[str] = attrs.field(factory=list)
    more: dict[str, float] | None = None


def _modify_document(doc):
    doc.data.update(n=0, notes=["a", {"b": [1, 2, 3]}], text="x", free={})
    for pattern in ("/notes/*", "/text", "/free"):
        doc.allow_edits(pattern)


@receives(Add, from_client=True)
def _on_add(doc, add):
    doc.data["n"] += 1
    return doc.data["n"]


@receives(Note, from_client=True)
def _on_note(doc, note):
    doc.data["text"] = note.text[:50]
    return len(note.tags)


_NAMESPACE = {"modify_document": _modify_document, "on_add": _on_add, "on_note": _on_note}


@attrs.define(eq=False)
class Arena:
    """One server and its witness."""

    app: harness.RunningApp
    witness: object
    tasks: int
    """How many there are while nobody attacks."""
    rounds: int = 0

    async def connect(self):
        return await self.app.transport.connect()

    async def page(self):
        """What a new page says of its session: `{"session": …, "token": …}`."""
        answer = await self.app.get("/app")
        assert answer.status == 200
        return json.loads(html.unescape(re.search(r'name="supervisor" content="([^"]*)"', answer.text)[1]))

    async def check(self):
        """All is as it was before the attack."""
        await trio.sleep(PATIENCE)
        await trio.testing.wait_all_tasks_blocked()
        self.rounds += 1
        assert await self.witness.send("Add") == self.rounds
        assert self.app.incidents == []
        [session] = self.app.sessions  # the witness's
        assert len(session.connections) == 1
        assert count_tasks() == self.tasks


def count_tasks():
    def count(task):
        return 1 + sum(count(child) for nursery in task.child_nurseries for child in nursery.child_tasks)

    return count(trio.lowlevel.current_root_task())


def attack(*attackers):
    """Let attackers at a server at once, and see that all is well afterwards."""

    async def main():
        options = ServerOptions(
            keys=KEYS,
            application=ApplicationOptions(linger=LINGER, first_attach=LINGER),
            http=HttpLimits(max_head=2_000, max_body=2_000),
            websocket=WebSocketOptions(max_message_size=4_000),
        )
        application = Application(NamespaceHandler(_NAMESPACE, where="app"), name="app")
        async with harness.supervise(application, options=options) as app:
            witness = await (await app.new_session()).connect()
            await trio.sleep(NOW - trio.current_time())
            arena = Arena(app, witness, count_tasks())
            async with trio.open_nursery() as nursery:
                for attacker in attackers:
                    nursery.start_soon(attacker, arena)
            await arena.check()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def send(stream, pieces):
    """Send piece after piece, each in a turn of its own; who is cut off has sent enough.

    What comes together with a handshake is lost in the websocket library: no client may send it yet (RFC 6455, 4.1).
    """
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        for piece in pieces:
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()


async def read(stream):
    """All that comes, until the server ends it: which must be, soon or late."""
    received = b""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        with trio.fail_after(PATIENCE):
            while data := await stream.receive_some():
                received += data
    return received


def http(pieces):
    """Send bytes to the port, as HTTP or as something like it."""

    async def attacker(arena):
        stream = await arena.connect()
        await send(stream, pieces)
        received = await read(stream)
        await stream.aclose()
        statuses = {int(status) for status in _STATUS.findall(received)}
        if 101 in statuses:
            judge_frames(received[received.index(b"HTTP/1.1 101") :].partition(b"\r\n\r\n")[2])
        elif received:
            assert received.startswith(b"HTTP/1.1 ")
            assert statuses
            assert statuses <= STATUSES

    return attacker


def frames(pieces, *, attached=True):
    """Send bytes in a websocket, or what is none, before or after it is attached."""

    async def attacker(arena):
        page = await arena.page()
        stream = await arena.connect()
        first = [text_frame(json.dumps({"type": "attach", "token": page["token"]}).encode())] if attached else []
        await send(stream, [HANDSHAKE, *first, *pieces])
        with trio.move_on_after(PATIENCE / 2):  # pings are not answered
            received = await read(stream)
            judge_frames(received.partition(b"\r\n\r\n")[2])
        await stream.aclose()

    return attacker


def messages(texts, *, attached=True):
    """Send texts in whole frames."""
    return frames([text_frame(text) for text in texts], attached=attached)


def token(make):
    """Ask to be attached by a token that is none of ours, made of the id of the witness's session; nobody is let in."""

    async def attacker(arena):
        stream = await arena.connect()
        [session] = arena.app.sessions
        first = json.dumps({"type": "attach", "token": make(session.id)}).encode()
        await send(stream, [HANDSHAKE, text_frame(first)])
        received = (await read(stream)).partition(b"\r\n\r\n")[2]
        await stream.aclose()
        codes = judge_frames(received)
        assert codes
        assert set(codes) <= {4400, 4401, 1009}
        assert b'"attached"' not in received

    return attacker


def judge_frames(received):
    """What a server may send: whole unmasked frames, known messages, one close frame at the end. Returns its code."""
    codes = []
    while received:
        assert not codes, "a frame after the close frame"
        if len(received) < 2:
            break  # cut off: the attacker was let go
        opcode, size, start = received[0], received[1], 2
        assert size < 128
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(received[2:start], "big")
        payload, received = received[start : start + size], received[start + size :]
        if len(payload) < size:
            break
        assert opcode in (0x81, 0x88, 0x89, 0x8A)
        if opcode == 0x81:
            decode_server_message(payload.decode())
        elif opcode == 0x88 and payload:
            codes.append(int.from_bytes(payload[:2], "big"))
            payload[2:].decode()
    return codes


def text_frame(payload, *, opcode=0x81, mask=b"\0\0\0\0"):
    """A masked frame, as clients send them."""
    size = len(payload)
    if size < 126:
        head = bytes([opcode, 0x80 | size])
    elif size < 65_536:
        head = bytes([opcode, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([opcode, 0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
