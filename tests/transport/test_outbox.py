"""The stream under a websocket, over real sockets with small buffers, and over memory streams."""

import errno
import random

import attrs
import pytest
import trio
import trio.testing
import trio_websocket

from supervisor.transport.frames import text_frame
from supervisor.transport.outbox import Outbox
from supervisor.transport.replay import Replay

SMALL = 32 * 1024


@attrs.define(eq=False)
class Pair:
    outbox: Outbox
    client: trio.abc.Stream
    server: trio.abc.Stream
    drained: list[int]
    flusher: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    flusher_ended: trio.Event = attrs.field(factory=trio.Event)

    async def run_flusher(self):
        with self.flusher:
            await self.outbox.run_flusher()
        self.flusher_ended.set()

    async def read(self, size):
        data = b""
        while len(data) < size:
            piece = await self.client.receive_some(size - len(data))
            assert piece, "the end came too early"
            data += piece
        return data


@pytest.fixture
def tcp(tcp_pair, nursery):
    """await tcp(…) -> a Pair over loopback with small buffers, its flusher running."""

    async def make(*, flusher=True, wrap=lambda stream: stream, **options):
        client, server = await tcp_pair(SMALL)
        drained = []
        outbox = Outbox(wrap(server), on_drained=lambda: drained.append(1), **options)
        pair = Pair(outbox, client, server, drained)
        if flusher:
            nursery.start_soon(pair.run_flusher)
            await trio.testing.wait_all_tasks_blocked()
        return pair

    return make


@pytest.fixture
def memory(nursery):
    """await memory(…) -> a Pair over a memory stream, its flusher running."""

    async def make(*, pair=None, **options):
        client, server = pair or trio.testing.memory_stream_pair()
        drained = []
        made = Pair(Outbox(server, on_drained=lambda: drained.append(1), **options), client, server, drained)
        nursery.start_soon(made.run_flusher)
        await trio.testing.wait_all_tasks_blocked()
        return made

    return make


async def fill(pair, frame=b"f" * 1000):
    """Push until the client's and our own buffers are full, and stay so. Returns all that was pushed."""
    pushed = b""
    full = 0
    while full < 3:
        if pair.outbox.statistics().queued_frames:
            full += 1
        else:
            full = 0
            pair.outbox.push(frame)
            pushed += frame
            continue
        await trio.testing.wait_all_tasks_blocked()
    return pushed


# Direct writes


async def test_a_push_to_an_open_socket_is_written_before_it_returns(tcp):
    pair = await tcp(flusher=False)
    assert pair.outbox.push(b"frame")
    pair.outbox.push_urgent(b"urgent")
    assert pair.outbox.statistics().queued_frames == 0
    assert await pair.read(11) == b"frameurgent"
    assert pair.drained == []


async def test_a_socket_inside_a_replay_is_written_directly_too(tcp):
    pair = await tcp(flusher=False, wrap=lambda stream: Replay(Replay(stream, b"a"), b"b"))
    pair.outbox.push(b"frame")
    assert await pair.read(5) == b"frame"
    assert await pair.outbox.receive_some() == b"b"


async def test_accepted_sockets_have_nodelay(tcp):
    pair = await tcp(flusher=False)
    assert pair.server.getsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY)


async def test_a_push_wakes_no_task(tcp):
    pair = await tcp()
    woken = []

    class Watch(trio.abc.Instrument):
        def task_scheduled(self, task):
            woken.append(task)

    watch = Watch()
    trio.lowlevel.add_instrument(watch)
    try:
        for _ in range(20):
            pair.outbox.push(b"frame")
        await trio.lowlevel.checkpoint()
    finally:
        trio.lowlevel.remove_instrument(watch)
    assert set(woken) == {trio.lowlevel.current_task()}


# Backlog


async def test_a_backlog_is_written_in_order_when_the_client_reads(tcp):
    pair = await tcp()
    sent = await fill(pair)
    for n in range(200):
        frame = b"%03d" % n
        assert pair.outbox.push(frame)
        sent += frame
    assert "queued" in repr(pair.outbox)
    assert await pair.read(len(sent)) == sent
    await trio.testing.wait_all_tasks_blocked()
    assert pair.outbox.statistics().queued_bytes == 0
    assert pair.drained == [1]
    pair.outbox.push(b"direct again")
    assert pair.outbox.statistics().queued_frames == 0


async def test_on_drained_may_push(tcp_pair, nursery):
    client, server = await tcp_pair(SMALL)
    snapshots = []

    def on_drained():
        snapshots.append(outbox.push(b"snapshot"))

    outbox = Outbox(server, on_drained=on_drained)
    pair = Pair(outbox, client, server, [])
    nursery.start_soon(pair.run_flusher)
    await trio.testing.wait_all_tasks_blocked()
    sent = await fill(pair)
    assert await pair.read(len(sent) + 8) == sent + b"snapshot"
    assert snapshots == [True]


@pytest.mark.parametrize("how", ["end", "loss", "close frame"])
async def test_an_end_is_told(memory, how):
    ends = []
    pair = await memory(on_ended=lambda: ends.append(how))
    await pair.client.send_all(b"bytes")
    assert await pair.outbox.receive_some() == b"bytes"
    await pair.outbox.send_all(b"\x81\x00")
    assert ends == []
    if how == "end":
        await pair.client.send_eof()
        assert await pair.outbox.receive_some() == b""
    elif how == "loss":
        await pair.server.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await pair.outbox.receive_some()
    else:
        await pair.outbox.send_all(b"\x88\x00")
    assert ends == [how]


async def test_beyond_the_limit_push_refuses_and_urgent_frames_are_taken(tcp):
    pair = await tcp(limit=5000)
    await fill(pair)
    while pair.outbox.push(b"x" * 1000):
        pass
    queued = pair.outbox.statistics().queued_bytes
    assert 5000 < queued <= 6000
    assert not pair.outbox.push(b"y")
    pair.outbox.push_urgent(b"urgent")
    assert pair.outbox.statistics().queued_bytes == queued + 6


async def test_the_last_frames_are_taken_beyond_the_limit_and_may_be_dropped(tcp):
    pair = await tcp(limit=5000)
    await fill(pair)
    while pair.outbox.push(b"x" * 1000):
        pass
    before = pair.outbox.statistics().queued_bytes
    pair.outbox.push_last(b"l" * 1000)
    assert pair.outbox.statistics().queued_bytes == before + 1000
    assert pair.outbox.drop_backlog() >= 1000


async def test_one_frame_of_any_size_is_taken(tcp):
    pair = await tcp(limit=1000)
    frame = bytes(range(256)) * 4096
    assert pair.outbox.push(frame)
    assert not pair.outbox.push(b"x")
    assert await pair.read(len(frame)) == frame


@pytest.mark.parametrize("size", [1000, 1_000_000])
async def test_dropping_the_backlog_keeps_urgent_and_begun_frames(tcp, size):
    """The frame of 1 MB was begun, so its rest must come; after it, only what is urgent."""
    pair = await tcp()
    sent = await fill(pair, bytes(range(250)) * (size // 250))
    frames = pair.outbox.statistics().queued_frames
    pair.outbox.push(b"droppable")
    pair.outbox.push_urgent(b"first")
    pair.outbox.push(b"droppable too")
    pair.outbox.push_urgent(b"second")
    dropped = pair.outbox.drop_backlog()
    statistics = pair.outbox.statistics()
    assert statistics.dropped_bytes == dropped
    got = await pair.read(len(sent) + 22 - dropped + 11)
    if size > SMALL:
        assert (frames, dropped) == (1, 22)
        assert got == sent + b"firstsecond"
    else:
        assert got.endswith(b"firstsecond")
        assert len(got[:-11]) % size == 0
    pair.outbox.push(b"goes on")
    assert await pair.read(7) == b"goes on"


async def test_a_frame_that_the_first_write_took_in_part_is_begun(tcp, nursery):
    pair = await tcp(flusher=False)
    frame = bytes(range(250)) * 4000
    assert pair.outbox.push(frame)
    assert 0 < pair.outbox.statistics().queued_bytes < len(frame)
    pair.outbox.push(b"dropped")
    assert pair.outbox.drop_backlog() == 7
    pair.outbox.push(b"end")
    nursery.start_soon(pair.run_flusher)
    assert await pair.read(len(frame) + 3) == frame + b"end"


async def test_dropping_everything_drains(tcp):
    pair = await tcp()
    sent = await fill(pair, b"x" * 100)
    pair.outbox.push(b"y" * 100)
    dropped = pair.outbox.drop_backlog()
    pair.outbox.push(b"z" * 100)
    assert await pair.read(len(sent) + 200 - dropped) == sent[: len(sent) + 100 - dropped] + b"z" * 100
    await trio.testing.wait_all_tasks_blocked()
    assert pair.drained
    assert pair.outbox.statistics().queued_bytes == 0
    assert pair.outbox.drop_backlog() == 0


async def test_a_dropped_backlog_with_nothing_begun_leaves_the_flusher_nothing(memory, autojump_clock):
    pair = await memory(pair=trio.testing.lockstep_stream_pair())
    pair.outbox.push(b"begun")
    await trio.testing.wait_all_tasks_blocked()
    pair.outbox.push(b"dropped")
    assert pair.outbox.drop_backlog() == 7
    assert await pair.read(5) == b"begun"
    await trio.testing.wait_all_tasks_blocked()
    assert pair.drained == [1]


async def test_one_stalled_client_delays_no_other(tcp):
    """FINDINGS: with a send_message loop the healthy ones got 1 % in 6 s."""
    stalled = await tcp()
    healthy = [await tcp() for _ in range(5)]
    frame = b"u" * 2000
    got = [0] * 5

    async def read(index):
        while got[index] < 300 * len(frame):
            got[index] += len(await healthy[index].client.receive_some())

    async with trio.open_nursery() as nursery:
        for index in range(5):
            nursery.start_soon(read, index)
        for _ in range(300):
            for pair in (stalled, *healthy):
                pair.outbox.push(frame)
            await trio.lowlevel.checkpoint()
    assert got == [300 * len(frame)] * 5
    assert stalled.outbox.statistics().queued_bytes > 100_000


# send_all


async def test_send_all_writes_directly_where_it_can(tcp):
    pair = await tcp(flusher=False)
    await pair.outbox.wait_send_all_might_not_block()
    with trio.testing.assert_checkpoints():
        await pair.outbox.send_all(memoryview(b"data"))
    with trio.testing.assert_checkpoints():
        await pair.outbox.send_all(b"")
    assert await pair.read(4) == b"data"


async def test_send_all_waits_in_the_same_queue_until_written(tcp, nursery):
    pair = await tcp()
    sent = await fill(pair)
    ended = []

    async def send(data):
        await pair.outbox.send_all(data)
        ended.append(data)

    nursery.start_soon(send, b"one")
    await trio.testing.wait_all_tasks_blocked()
    pair.outbox.push(b"two")
    nursery.start_soon(send, b"three")
    await trio.testing.wait_all_tasks_blocked()
    assert ended == []
    assert await pair.read(len(sent) + 11) == sent + b"onetwothree"
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(ended) == [b"one", b"three"]


async def test_a_cancelled_send_all_leaves_its_bytes_whole(tcp):
    pair = await tcp()
    sent = await fill(pair)
    data = bytearray(b"whole" * 10_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.outbox.send_all, data)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    data[:] = b"changed"
    pair.outbox.push(b"after")
    assert await pair.read(len(sent) + 50_005) == sent + b"whole" * 10_000 + b"after"


async def test_a_send_all_that_was_cancelled_before_sends_nothing(tcp):
    pair = await tcp()
    with trio.CancelScope() as scope:
        scope.cancel()
        await pair.outbox.send_all(b"never")
    assert scope.cancelled_caught
    pair.outbox.push(b"x")
    assert await pair.read(1) == b"x"


@pytest.mark.parametrize("seed", range(20))
async def test_any_mixture_of_writers_is_byte_exact(tcp, seed):
    """Pushes, urgent pushes, send_all (some cancelled), a slow reader: no byte lost, doubled, torn or out of place."""
    rng = random.Random(seed)
    pair = await tcp(limit=10**9)
    expected = []
    received = bytearray()

    async def read():
        while piece := await pair.client.receive_some(rng.choice([100, 5000, 60_000])):
            received.extend(piece)
            for _ in range(rng.randrange(3)):
                await trio.lowlevel.checkpoint()

    async def send(frame, scope):
        with scope:
            if not scope.cancel_called:
                expected.append(frame)
                await pair.outbox.send_all(frame)

    async with trio.open_nursery() as readers:
        readers.start_soon(read)
        async with trio.open_nursery() as senders:
            for _ in range(300):
                frame = text_frame(rng.randbytes(rng.choice([1, 100, 1000, 20_000])))
                kind = rng.randrange(4)
                if kind != 1:
                    expected.append(frame)
                if kind == 0:
                    pair.outbox.push_urgent(frame)
                elif kind == 1:
                    scope = trio.CancelScope()
                    senders.start_soon(send, frame, scope)
                    await trio.lowlevel.checkpoint()
                    if pair.outbox.statistics().queued_frames and rng.random() < 0.5:
                        scope.cancel()
                else:
                    assert pair.outbox.push(frame)
                if rng.random() < 0.1:
                    await trio.lowlevel.checkpoint()
        with trio.fail_after(10):
            while pair.outbox.statistics().queued_bytes:
                await trio.lowlevel.checkpoint()
        await pair.outbox.aclose()
    assert bytes(received) == b"".join(expected)


# Other streams


async def test_over_other_streams_the_flusher_writes(memory):
    pair = await memory()
    assert pair.outbox.push(b"a")
    pair.outbox.push_urgent(b"b")
    await pair.outbox.send_all(b"c")
    assert await pair.read(3) == b"abc"
    assert pair.drained == [1]


async def test_what_is_on_its_way_is_neither_dropped_nor_torn(memory):
    pair = await memory(pair=trio.testing.lockstep_stream_pair())
    pair.outbox.push(b"a")
    pair.outbox.push(b"b")
    await trio.testing.wait_all_tasks_blocked()
    pair.outbox.push(b"c")
    pair.outbox.push_urgent(b"d")
    assert pair.outbox.drop_backlog() == 1
    assert await pair.read(3) == b"abd"


async def test_a_flusher_cancelled_in_a_write_breaks_the_outbox(memory):
    pair = await memory(pair=trio.testing.lockstep_stream_pair())
    pair.outbox.push(b"a")
    await trio.testing.wait_all_tasks_blocked()
    pair.flusher.cancel()
    await pair.flusher_ended.wait()
    assert "given up" in str(pair.outbox.broken)
    with pytest.raises(trio.BrokenResourceError):
        await pair.outbox.send_all(b"x")


async def test_a_flusher_cancelled_over_a_socket_loses_nothing(tcp, nursery):
    pair = await tcp()
    sent = await fill(pair)
    pair.flusher.cancel()
    await pair.flusher_ended.wait()
    again = Pair(pair.outbox, pair.client, pair.server, [])
    nursery.start_soon(again.run_flusher)
    assert await pair.read(len(sent)) == sent


async def test_a_parked_flusher_can_be_cancelled(tcp):
    pair = await tcp()
    pair.flusher.cancel()
    await pair.flusher_ended.wait()
    await fill(pair)


async def test_there_is_one_flusher(tcp):
    pair = await tcp()
    with pytest.raises(RuntimeError, match="already"):
        await pair.outbox.run_flusher()


async def test_a_writable_socket_that_takes_nothing_is_waited_for_again(tcp, monkeypatch):
    """The kernel may say that a socket is writable and take nothing all the same."""
    pair = await tcp()
    sent = await fill(pair)
    real, refusals = __import__("os").writev, iter([True, True])

    def writev(fd, data):
        if next(refusals, None):
            raise BlockingIOError
        return real(fd, data)

    monkeypatch.setattr("os.writev", writev)
    assert await pair.read(len(sent)) == sent


# Ends


async def test_the_time_of_what_the_client_sent_is_kept(memory, autojump_clock):
    pair = await memory()
    made = pair.outbox.received_at
    await trio.sleep(5)
    await pair.client.send_all(b"x")
    assert await pair.outbox.receive_some(10) == b"x"
    assert pair.outbox.received_at == made + 5
    await trio.sleep(5)
    await pair.client.aclose()
    assert await pair.outbox.receive_some() == b""
    assert pair.outbox.received_at == made + 5


async def test_a_broken_peer_breaks_the_outbox_and_pushes_do_no_harm(tcp):
    pair = await tcp()
    pair.client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    pair.client.socket.close()
    with trio.fail_after(60):
        while pair.outbox.broken is None:  # the system may take its time to tell
            assert pair.outbox.push(b"x")
            await trio.lowlevel.checkpoint()
    assert pair.outbox.broken.errno in (errno.EPIPE, errno.ECONNRESET)
    await pair.flusher_ended.wait()
    assert pair.outbox.push(b"x")
    pair.outbox.push_urgent(b"x")
    assert pair.outbox.statistics().queued_frames == 0
    assert "broken" in repr(pair.outbox)
    with pytest.raises(trio.BrokenResourceError, match="lost"):
        await pair.outbox.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await pair.outbox.wait_send_all_might_not_block()
    assert pair.outbox.drop_backlog() == 0
    assert pair.outbox.push(b"x")
    assert pair.drained == []


@pytest.mark.parametrize("kind", ["tcp", "memory"])
async def test_a_peer_that_breaks_amid_a_backlog_fails_those_who_wait(tcp, memory, kind, nursery):
    pair = await (tcp if kind == "tcp" else memory)()
    if kind == "tcp":
        await fill(pair)
        pair.client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        failed = []

        async def send():
            with pytest.raises(trio.BrokenResourceError):
                await pair.outbox.send_all(b"x")
            failed.append(True)

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        pair.client.socket.close()
        await pair.flusher_ended.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert failed
    else:
        await pair.client.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await pair.outbox.send_all(b"x")
        await pair.flusher_ended.wait()
    assert pair.outbox.broken is not None


async def test_closing_loses_the_queue_and_tells_who_waits(tcp, nursery):
    pair = await tcp()
    await fill(pair)
    told = trio.Event()

    async def send():
        with pytest.raises(trio.ClosedResourceError):
            await pair.outbox.send_all(b"x")
        told.set()

    nursery.start_soon(send)
    await trio.testing.wait_all_tasks_blocked()
    await pair.outbox.aclose()
    await told.wait()
    await pair.flusher_ended.wait()
    assert pair.server.socket.fileno() == -1
    assert pair.outbox.push(b"x")
    await pair.outbox.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await pair.outbox.send_all(b"x")


async def test_closing_amid_a_write_of_the_flusher(memory):
    pair = await memory(pair=trio.testing.lockstep_stream_pair())
    pair.outbox.push(b"x")
    await trio.testing.wait_all_tasks_blocked()
    await pair.outbox.aclose()
    await pair.flusher_ended.wait()
    assert isinstance(pair.outbox.broken, trio.ClosedResourceError)


async def test_closing_as_the_flushers_write_succeeds(memory):
    client, server = trio.testing.memory_stream_pair()
    outboxes = []

    async def close():
        outboxes[0]._break(trio.ClosedResourceError("closed"))

    pair = await memory(pair=(client, server))
    outboxes.append(pair.outbox)
    server.send_stream.send_all_hook = close
    pair.outbox.push(b"x")
    await pair.flusher_ended.wait()
    assert pair.outbox.statistics().queued_bytes == 0


async def test_a_socket_closed_under_it_is_never_somebody_elses(tcp, tcp_pair):
    """The number of a closed socket goes to the next connection; a write to it would be that client's."""
    pair = await tcp(flusher=False)
    number = pair.server.socket.fileno()
    pair.server.socket.close()
    other_client, other_server = await tcp_pair()
    assert number in (other_client.socket.fileno(), other_server.socket.fileno())
    assert pair.outbox.push(b"not yours")
    assert pair.outbox.broken.errno == errno.EBADF
    await other_server.send_all(b"mine")
    await other_client.send_all(b"mine")
    assert await other_client.receive_some() == b"mine"
    assert await other_server.receive_some() == b"mine"


# Under trio-websocket


@pytest.mark.parametrize("kind", ["tcp", "memory"])
async def test_a_real_websocket_over_it(tcp, memory, kind):
    pair = await (tcp if kind == "tcp" else memory)()
    async with trio.open_nursery() as nursery:
        connections = []

        async def server():
            opening = await trio_websocket.wrap_server_stream(nursery, pair.outbox)
            connections.append(await opening.accept())

        nursery.start_soon(server)
        client = await trio_websocket.wrap_client_stream(nursery, pair.client, "x", "/")
        texts = ["a", "é" * 100, "x" * 70_000]
        for text in texts:
            pair.outbox.push(text_frame(text.encode()))
        await client.send_message("hello")
        assert [await client.get_message() for _ in texts] == texts
        assert await connections[0].get_message() == "hello"
        await client.ping(b"pong, please")
        await connections[0].aclose(4410, "done")
        with pytest.raises(trio_websocket.ConnectionClosed):
            await client.get_message()
        assert client.closed.code == 4410
    await pair.flusher_ended.wait()
