"""One GET over a stream. What the kit's `get` does with it is in `tests/testing/test_http.py`."""

import pytest
import trio
import trio.testing

from supervisor.client import http
from supervisor.client.http import exchange, make_head


async def answer_to(data, **options):
    """What `exchange` makes of these bytes, and what it had sent."""
    ours, theirs = trio.testing.memory_stream_pair()
    sent = []

    async def server():
        sent.append(bytes(await theirs.receive_some()))
        for piece in data:
            try:
                await theirs.send_all(piece)
            except trio.BrokenResourceError:
                return
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        answer = await exchange(ours, "/app?a=1", headers=[("Host", "example.org:81")], **options)
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")
    return answer, sent[0]


async def test_it_asks_once_and_closes():
    answer, sent = await answer_to([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 3\r\n\r\na", b"bc"])
    assert sent == b"GET /app?a=1 HTTP/1.1\r\nHost: example.org:81\r\nConnection: close\r\n\r\n"
    assert (answer.status, answer.text) == (200, "abc")


async def test_each_header_is_kept_as_it_came():
    answer, _ = await answer_to([b"HTTP/1.1 204 X\r\nSet-Cookie: a=1\r\nSet-Cookie: b=\xe4\r\n\r\n"])
    assert answer.fields == (("set-cookie", "a=1"), ("set-cookie", "b=ä"))
    assert answer.headers == {"set-cookie": "b=ä"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "^no complete response: the connection was closed$"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "^no complete response: illegal status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "^no complete response: the connection was closed$"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "no complete response"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, "more than 1,000 bytes"),
    ],
)
async def test_what_is_no_whole_answer_is_a_broken_connection(data, why, monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY", 1_000)
    with pytest.RaisesGroup(pytest.RaisesExc(trio.BrokenResourceError, match=why)):
        await answer_to([data])


async def test_a_request_that_cannot_be_sent_leaves_nothing_open():
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match="HTTP can't carry this request"):
        await exchange(ours, "/", headers=[("Host", "a"), ("A", "\u20ac")])
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


@pytest.mark.parametrize("header", [("A", "b\r\nC: d"), ("A b", "c"), ("A", "ä\u20ac"), ("", "x")])
def test_what_http_cannot_carry_is_refused(header):
    with pytest.raises(ValueError, match="HTTP can't carry this request"):
        make_head("GET", "/", [("Host", "a"), header])
