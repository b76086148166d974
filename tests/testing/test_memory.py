"""Streams in memory behave as sockets do; and a listener without a network."""

import socket

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from supervisor.testing.memory import BUFFER, MemoryListener, MemoryStream, memory_stream_pair


async def pair():
    return memory_stream_pair()


async def clogged_pair():
    ours, theirs = memory_stream_pair(buffer=1)
    for stream in (ours, theirs):
        await stream.send_all(b"x")
    return ours, theirs


async def sockets():
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)


async def test_it_passes_trios_own_checks_of_streams():
    await trio.testing.check_half_closeable_stream(pair, clogged_pair)


async def test_who_sends_to_one_that_does_not_read_waits_once_the_buffer_is_full():
    """What `trio.testing.memory_stream_pair` never does, so that no test with it has a slow reader."""
    endless, _ = trio.testing.memory_stream_pair()
    await endless.send_all(bytes(100 * BUFFER))
    ours, theirs = memory_stream_pair()
    await ours.send_all(bytes(BUFFER))
    assert repr(ours) == f"<MemoryStream 0 bytes to read, {BUFFER} not read yet>"
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, b"x")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert len(await theirs.receive_some()) == BUFFER
    await ours.send_all(b"y")
    assert await theirs.receive_some() == b"y"


async def test_the_two_directions_have_a_buffer_each():
    ours, theirs = memory_stream_pair(buffer=3)
    await ours.send_all(b"abc")
    await theirs.send_all(b"def")
    assert (await ours.receive_some(), await theirs.receive_some()) == (b"def", b"abc")


async def test_what_is_larger_than_the_buffer_goes_through_while_it_is_read():
    ours, theirs = memory_stream_pair(buffer=10)
    sent = bytes(range(256)) * 4
    received = b""
    async with trio.open_nursery() as nursery:

        async def send():
            await ours.send_all(sent)
            await ours.aclose()

        nursery.start_soon(send)
        while data := await theirs.receive_some(7):
            received += data
    assert received == sent


async def test_a_reset_is_seen_as_broken_once_what_arrived_is_read():
    ours, theirs = memory_stream_pair()
    await ours.send_all(b"last words")
    ours.reset()
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"x")
    assert await theirs.receive_some() == b"last words"
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some()
    assert repr(ours) == "<MemoryStream closed>"


async def test_a_reset_wakes_who_reads_and_who_writes():
    ours, theirs = memory_stream_pair(buffer=1)
    await theirs.send_all(b"x")

    async def fails(wait):
        with pytest.raises(trio.BrokenResourceError):
            await wait

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, theirs.receive_some())
        nursery.start_soon(fails, theirs.send_all(b"y"))
        await trio.testing.wait_all_tasks_blocked()
        ours.reset()


class Ends:
    """Two ends of a connection, and what comes of each thing that is done to them: to compare two kinds of streams."""

    def __init__(self, ends):
        self.ends = ends

    async def do(self, end, what, argument):
        stream = self.ends[end]
        try:
            if what == "send":
                return await stream.send_all(bytes([65 + argument]) * argument)
            if what == "receive":
                return await self.receive(stream, argument)
            await {"eof": getattr(stream, "send_eof", None), "close": stream.aclose}[what]()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            return type(error).__name__

    async def receive(self, stream, most):
        """What is there now, or that one would wait."""
        outcome = "waits"

        async def receive():
            nonlocal outcome
            try:
                outcome = bytes(await stream.receive_some(most))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                outcome = type(error).__name__

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return outcome


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1]),
        st.sampled_from(["send", "send", "receive", "receive", "eof", "close"]),
        st.integers(1, 20),
    ),
    max_size=12,
)


@given(steps=STEPS)
async def test_whatever_is_done_to_both_it_does_what_a_socket_does(steps):
    """Up to the first failure after a reset, which a socket tells of only once."""
    kinds = [Ends(await make()) for make in (pair, sockets)]
    try:
        for step in steps:
            memory, real = [await kind.do(*step) for kind in kinds]
            assert memory == real, step
            if memory == "BrokenResourceError" and step[1] == "receive":
                break
    finally:
        for kind in kinds:
            for stream in kind.ends:
                await trio.aclose_forcefully(stream)


async def test_over_tcp_too_who_closes_without_having_read_all_resets_the_connection():
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        ours = await trio.open_tcp_stream(*listener.socket.getsockname())
        theirs = await listener.accept()
        await listener.aclose()
        await theirs.send_all(b"never read")
        await trio.testing.wait_all_tasks_blocked()
        assert ours.socket.type == socket.SOCK_STREAM
        await ours.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some()
        await theirs.aclose()
        nursery.cancel_scope.cancel()


async def test_each_connect_is_one_accepted_connection():
    listener = MemoryListener()
    client = await listener.connect()
    assert isinstance(client, MemoryStream)
    other = await listener.connect()
    server = await listener.accept()
    await client.send_all(b"hello")
    assert await server.receive_some() == b"hello"
    await (await listener.accept()).send_all(b"other")
    assert await other.receive_some() == b"other"


async def test_closing_it_closes_what_nobody_accepted_and_refuses_the_rest(autojump_clock):
    listener = MemoryListener()
    client = await listener.connect()
    async with trio.open_nursery() as nursery:
        await listener.aclose()
        assert await client.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await listener.connect()
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()
        await listener.aclose()  # again
        nursery.cancel_scope.cancel()


async def test_cancelled_it_is_closed_at_once():
    listener = MemoryListener()
    client = await listener.connect()
    await trio.aclose_forcefully(listener)
    assert await client.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await listener.connect()
