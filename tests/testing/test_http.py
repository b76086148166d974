"""One GET over a stream."""

import pytest
import trio
import trio.testing

from supervisor.testing.http import Answer, get


async def answer_with(data, **options):
    """What `get` makes of these bytes, and what it had sent."""
    ours, theirs = trio.testing.memory_stream_pair()
    sent = []

    async def server():
        sent.append(bytes(await theirs.receive_some()))
        await theirs.send_all(data)
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        answer = await get(ours, "/app?a=1", **options)
    return answer, sent[0]


async def test_it_asks_as_a_browser_does_and_reads_the_answer():
    answer, sent = await answer_with(
        b"HTTP/1.1 200 OK\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: 3\r\n\r\n\xc3\xa4!", headers=[("Cookie", "a=1")]
    )
    assert sent == b"GET /app?a=1 HTTP/1.1\r\nHost: localhost\r\nCookie: a=1\r\nConnection: close\r\n\r\n"
    fields = (("x-one", "1"), ("x-one", "2"), ("content-length", "3"))
    assert answer == Answer(status=200, fields=fields, body=b"\xc3\xa4!")
    assert answer.headers == {"x-one": "2", "content-length": "3"}
    assert answer.text == "ä!"


async def test_an_answer_without_a_length_is_read_to_its_end():
    answer, _ = await answer_with(b"HTTP/1.1 200 OK\r\n\r\n\xff\x00")
    assert answer.body == b"\xff\x00"
    assert answer.text == "\ufffd\x00"


async def test_an_answer_to_head_has_no_body():
    answer, sent = await answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", method="HEAD")
    assert sent.startswith(b"HEAD ")
    assert answer.body == b""


async def test_what_comes_before_the_answer_is_skipped():
    answer, _ = await answer_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert answer.status == 204


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"nonsense\r\n\r\n"])
async def test_no_whole_answer_is_a_broken_connection(data):
    with pytest.RaisesGroup(trio.BrokenResourceError):
        await answer_with(data)


async def test_a_target_is_a_path_on_the_server():
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match=r"by its path on the server, as in '/shop\?a=1', not 'shop\?a=1'$"):
        await get(ours, "shop?a=1")
    assert await theirs.receive_some() == b""  # nothing is left open
