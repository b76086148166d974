import h11
import pytest
import trio
import trio.testing

from supervisor.transport.head import HttpLimits, Refusal
from supervisor.transport.http_stream import LINGER, PIECE, ClientGone, HttpStream

LIMITS = HttpLimits()


def memory():
    far, near = trio.testing.memory_stream_pair()
    return far, HttpStream(near, LIMITS)


async def test_what_is_read_goes_to_the_parser():
    far, http = memory()
    await far.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await http.fill()
    assert http.buffered.startswith(b"GET")
    assert isinstance(http.parser.next_event(), h11.Request)


async def test_the_clients_end_is_noted_once():
    far, http = memory()
    await far.aclose()
    assert not await http.fill()
    assert not await http.fill()
    assert http.eof
    assert not http.lost


@pytest.mark.parametrize("error", [trio.BrokenResourceError, trio.ClosedResourceError])
async def test_a_broken_stream_reads_as_an_end_that_takes_no_answer(error):
    _, http = memory()

    async def fail():
        raise error

    http.stream.receive_stream.receive_some_hook = fail
    assert not await http.fill()
    assert http.lost
    with pytest.raises(ClientGone):
        await http.write(b"x")


async def test_large_writes_are_cut_into_pieces_each_with_its_own_timeout(autojump_clock):
    far, near = trio.testing.lockstep_stream_pair()
    http = HttpStream(near, HttpLimits(write_timeout=30))
    data = bytes(range(256)) * (PIECE // 64) + b"end"
    got = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(http.write, data)
        while len(got) < len(data):
            if len(got) % PIECE == 0:
                await trio.sleep(20)
            got += await far.receive_some(PIECE)
    assert got == data
    assert trio.current_time() > 80
    assert not http.lost


async def test_a_client_that_takes_nothing_is_given_up_after_the_timeout(autojump_clock):
    _, near = trio.testing.lockstep_stream_pair()
    http = HttpStream(near, HttpLimits(write_timeout=30))
    start = trio.current_time()
    with pytest.raises(ClientGone, match="took nothing for 30 s"):
        await http.write(b"x")
    assert trio.current_time() - start == 30
    assert http.lost
    await http.linger()
    assert trio.current_time() - start == 30


async def test_a_write_to_a_client_that_left_is_an_oserror():
    far, http = memory()
    await far.aclose()
    with pytest.raises(OSError, match="the client has left") as raised:
        await http.write(b"x")
    assert isinstance(raised.value.__cause__, trio.BrokenResourceError)


async def test_a_cancelled_write_loses_the_stream():
    _, near = trio.testing.lockstep_stream_pair()
    http = HttpStream(near, LIMITS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(http.write, b"x")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(ClientGone):
        await http.write(b"y")


async def test_refusals_are_written_whole():
    far, http = memory()
    await http.refuse(Refusal(status=404, text="No."))
    assert (await far.receive_some()).endswith(b"\r\n\r\nNo.\n")


async def test_lingering_ends_our_side_and_waits_for_the_clients(autojump_clock):
    far, http = memory()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(http.linger)
        assert await far.receive_some() == b""
        await far.send_all(b"more of what nobody reads")
        await far.aclose()
    assert trio.current_time() < LINGER


async def test_lingering_is_bounded(autojump_clock):
    _far, http = memory()
    start = trio.current_time()
    await http.linger()
    assert trio.current_time() - start == LINGER


async def test_streams_without_half_close_linger_too(autojump_clock):
    far, near = trio.testing.memory_stream_pair()

    class Tls(trio.abc.Stream):
        receive_some = near.receive_some
        send_all = near.send_all
        wait_send_all_might_not_block = near.wait_send_all_might_not_block
        aclose = near.aclose

    await far.send_all(b"x")
    http = HttpStream(Tls(), LIMITS)
    await http.linger()
    await http.write(b"still open")
    assert await far.receive_some() == b"still open"


async def test_lingering_after_the_clients_end_does_not_read():
    far, http = memory()
    await far.aclose()
    await http.fill()
    await http.linger()


async def test_lingering_at_a_broken_stream_is_over():
    _, http = memory()
    await http.stream.aclose()
    await http.linger()


@pytest.mark.parametrize(
    ("pieces", "well"),
    [
        ((b"0\r\n\r\n",), True),
        ((b"0\r\n", b"\r\n"), True),
        ((b"0\r\n\r", b"\nGET"), True),
        ((b"0", b"\r", b"\n", b"\r", b"\n"), True),
        ((b"1\r\nx\r\n0\r\nTrailer: x\r\n\r\nGET",), True),
        ((b"0\r\n\nGET",), False),
        ((b"0\r\n", b"\n"), False),
        ((b"0\r\nTrailer: x\n\nGET",), False),
    ],
)
async def test_the_end_of_a_chunked_body_is_looked_at(pieces, well):
    far, http = memory()
    await far.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await http.fill()
    http.parser.next_event()
    for piece in pieces:
        await far.send_all(piece)
        await http.fill()
        while isinstance(event := http.parser.next_event(), h11.Data):
            pass
    assert isinstance(event, h11.EndOfMessage)
    assert http.chunks_ended_well() is well
