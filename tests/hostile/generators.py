"""What attackers send: strategies for HTTP, frames, wire messages, edits and tokens, valid ones among them."""

import json

from hypothesis import strategies as st

from supervisor.identity import KeyRing
from supervisor.testing.strategies import json_values

from .arena import KEYS, NOW, text_frame

# Without files: they are read in threads, and virtual time doesn't wait for those.
VALID_REQUESTS = [
    b"GET /app HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /-/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"HEAD /app HTTP/1.0\r\nHost: localhost\r\n\r\n",
    b"POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /app HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /app?session=x HTTP/1.1\r\nHost: 127.0.0.1:80\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /app/-/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
]
_HEAD_LINES = [
    b"Content-Length: 0",
    b"Content-Length: 3",
    b"Content-Length: 3, 3",
    b"Content-Length: +3",
    b"Content-Length: 0x3",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: chunked, identity",
    b" Transfer-Encoding: chunked",
    b"Host: evil.example",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"X: a\r\n b",
    b"X: a\nY: b",
    b"X: \xff\x00",
    b"\xff: x",
    b": x",
]
_BODIES = [
    b"",
    b"abc",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"0\r\n\r\nGET /app HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"-1\r\n",
    b"ffffffffffffffffffff\r\n",
    b"3\r\nabcd\r\n",
]


@st.composite
def mutated(draw, texts):
    """One of the texts (or what a strategy gives) with some bytes taken out, put in, doubled or changed."""
    text = bytearray(draw(texts))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        match draw(st.integers(0, 3)):
            case 0:
                del text[at : at + draw(st.integers(1, 8))]
            case 1:
                text[at:at] = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\r\n", b"\n", b"\0", b" "]))
            case 2:
                text[at:at] = text[at : at + draw(st.integers(1, 40))]
            case 3:
                text[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
    return bytes(text)


@st.composite
def smuggled(draw):
    """A head that says in several ways where its body ends, and something behind it."""
    lines = draw(st.lists(st.sampled_from(_HEAD_LINES), min_size=1, max_size=4))
    method = draw(st.sampled_from([b"GET", b"POST", b"get", b"CONNECT", b"OPTIONS", b"G\0T"]))
    target = draw(st.sampled_from([b"/app", b"*", b"http://evil/app", b"/%2e%2e/x", b"/app/-/websocket", b"//x", b""]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.9", b"HTTP/2.0", b"http/1.1", b""]))
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    head = end.join([method + b" " + target + b" " + version, b"Host: localhost", *lines, b"", b""])
    return head + draw(st.sampled_from(_BODIES))


@st.composite
def cut(draw, texts):
    """What a strategy gives, in pieces."""
    text = draw(texts)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


REQUESTS = cut(
    st.binary(max_size=60)
    | mutated(st.sampled_from(VALID_REQUESTS))
    | smuggled()
    | st.lists(mutated(st.sampled_from(VALID_REQUESTS)) | smuggled(), min_size=2, max_size=3).map(b"".join)
)

JSON = json_values(keys=st.text(max_size=5), max_leaves=6)
NUMBERS = st.sampled_from([1, 2, 3, 0, -1, 2**53, 2**64, 1.5, True, None, "1"])
STEPS = st.sampled_from(["notes", "text", "free", "n", "b", "-", "", "__proto__", 0, 1, 2, -1, 2**53, 1.0, None])


def _object(**fields):
    """An object with some of the fields, some of them of a wrong shape, and sometimes one more."""
    whole = st.fixed_dictionaries(fields)
    part = st.fixed_dictionaries({}, optional={name: value | JSON for name, value in fields.items()})
    more = st.dictionaries(st.text(max_size=5), JSON, max_size=1)
    return whole | st.tuples(part, more).map(lambda both: both[0] | both[1])


SENDS = _object(
    type=st.just("send"),
    number=NUMBERS,
    name=st.sampled_from(["Add", "Note", "Nothing", "", "x" * 300, "__class__"]),
    fields=_object(by=NUMBERS, text=st.text(max_size=5), tags=st.lists(st.text(max_size=3) | JSON, max_size=2)),
    confirmed=NUMBERS,
)
EDITS = _object(
    type=st.just("edit"),
    number=NUMBERS,
    base=NUMBERS,
    op=st.sampled_from(["set", "insert", "remove", "test"]),
    path=st.lists(STEPS, max_size=4),
    value=JSON,
    confirmed=NUMBERS,
)
OTHERS = (
    _object(type=st.sampled_from(["attach", "resume"]), token=st.text(max_size=9), session=st.text(max_size=9))
    | _object(type=st.just("present"), metadata=JSON)
    | _object(type=st.just("watch"), scope=st.sampled_from(["session", "application", "server"]))
    | JSON
)


@st.composite
def ordered_edits(draw):
    """Edits that pass all checks but those of their places, so that they come to the document."""
    count = draw(st.integers(1, 6))
    return [
        {
            "type": "edit",
            "number": number,
            "base": draw(st.sampled_from([1, 1, 1, 2, 0])),
            "op": draw(st.sampled_from(["set", "insert"])),
            "path": draw(
                st.lists(STEPS.filter(lambda step: isinstance(step, str) or step == 1), min_size=1, max_size=4)
            ),
            "value": draw(JSON),
            "confirmed": 0,
        }
        for number in range(1, count + 1)
    ]


def _encode(message):
    return json.dumps(message).encode()


KNOWN_TEXTS = [
    b"[" * 3_000,
    b'{"a":' * 700,
    b"1e999",
    b"NaN",
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    b"x" * 5_000,
    b'{"type":"edit","number":1,"base":1,"op":"set","path":["free"],"confirmed":0,"value":%s%s}'
    % (b"[" * 1_900, b"]" * 1_900),
    b'{"type":"send","number":1,"name":"Note","fields":{"text":"\\ud800"},"confirmed":0}',
    b'{"type":"present","metadata":{"a":%s}}' % (b"[" * 500 + b"]" * 500),
]
"""Those that have broken something once, here or elsewhere."""
TEXTS = st.lists(
    (SENDS | EDITS | OTHERS).map(_encode) | mutated((SENDS | EDITS).map(_encode)) | st.sampled_from(KNOWN_TEXTS),
    min_size=1,
    max_size=5,
) | ordered_edits().map(lambda edits: [_encode(edit) for edit in edits])


@st.composite
def _frame(draw):
    payload = draw(st.binary(max_size=130) | st.sampled_from([b"\xff", b"\x03\xe8", b"\x03\xee", b"\0", b"x" * 126]))
    opcode = draw(st.sampled_from([0x81, 0x82, 0x80, 0x01, 0x00, 0x88, 0x89, 0x8A, 0x09, 0x83, 0xC1, 0xF1, 0x8B]))
    mask = draw(st.sampled_from([b"\0\0\0\0", b"abcd"]))
    frame = text_frame(payload, opcode=opcode, mask=mask)
    match draw(st.integers(0, 5)):
        case 0:  # not masked
            return bytes([frame[0], frame[1] & 0x7F]) + payload
        case 1:  # as long as can be said, and longer
            return bytes([opcode, 0xFF]) + draw(st.sampled_from([b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 8])) + mask
        case 2:  # a short length in the long form
            return bytes([opcode, 0xFE]) + len(payload).to_bytes(2, "big") + mask + payload
    return frame


FRAMES = cut(st.lists(_frame(), min_size=1, max_size=5).map(b"".join) | st.binary(max_size=40))


def _sign(*, purpose="attach to app", now=NOW):
    return lambda id: KEYS.sign(id, purpose=purpose, now=now)


_FOREIGN = [
    _sign(purpose="attach to other"),
    _sign(purpose="session id"),
    _sign(now=NOW - 302),
    _sign(now=1e9),
    lambda id: KeyRing((b"o" * 32,)).sign(id, purpose="attach to app", now=NOW),
    lambda id: KEYS.sign_id(id, expires=None),
    lambda id: id,
]
_DAMAGED = st.builds(
    lambda at, change: lambda id: _damage(_sign()(id), at, change), st.integers(0, 120), st.sampled_from("xA-_.~é\0 ")
)


def _damage(token, at, change):
    at %= len(token) - 1  # the last character of base64 has bits that say nothing
    return token[:at] + (change if token[at] != change else "") + token[at + 1 :]


TOKENS = st.sampled_from(_FOREIGN) | st.text(max_size=20).map(lambda text: lambda id: text) | _DAMAGED
"""Functions: of the witness's session's id, which would let somebody in, they make a token that must not."""
