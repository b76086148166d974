import pytest
import trio
import trio.testing

from supervisor.transport.intake import Intake
from supervisor.transport.library_stream import LibraryStream
from supervisor.transport.outbox import Outbox
from supervisor.transport.replay import Replay, send_eof


async def test_gives_back_the_head_in_pieces_and_then_the_stream():
    far, near = trio.testing.memory_stream_pair()
    replay = Replay(near, b"head")
    await far.send_all(b"more")
    assert [await replay.receive_some(n) for n in (1, 2, 9, 2, None)] == [b"h", b"ea", b"d", b"mo", b"re"]


async def test_gives_back_the_whole_head_when_no_size_is_asked_for():
    _, near = trio.testing.memory_stream_pair()
    replay = Replay(near, b"head")
    assert "4 bytes" in repr(replay)
    assert await replay.receive_some() == b"head"


async def test_refuses_sizes_below_one_as_streams_do():
    _, near = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match="at least 1, got 0"):
        await Replay(near, b"head").receive_some(0)


async def test_a_cancelled_read_loses_nothing():
    _, near = trio.testing.memory_stream_pair()
    replay = Replay(near, b"head")
    with trio.CancelScope() as scope:
        scope.cancel()
        await replay.receive_some()
    assert scope.cancelled_caught
    assert await replay.receive_some() == b"head"


async def test_sending_and_closing_pass_through():
    far, near = trio.testing.memory_stream_pair()
    async with Replay(near, b"head") as replay:
        await replay.wait_send_all_might_not_block()
        await replay.send_all(b"data")
        assert await far.receive_some() == b"data"
    assert await far.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        await replay.receive_some()


async def test_our_side_ends_where_it_can():
    ours, theirs = trio.testing.memory_stream_pair()
    await send_eof(Replay(Replay(ours, b"x"), b"y"))
    assert await theirs.receive_some() == b""
    await theirs.send_all(b"still here")
    assert await ours.receive_some() == b"still here"


async def test_a_stream_that_has_one_end_only_goes_on(nursery):
    ours, theirs = trio.testing.memory_stream_pair()
    stream = LibraryStream(Outbox(ours), Intake(1_000), may_close=lambda: True)
    await send_eof(stream)
    nursery.start_soon(ours.send_all, b"more")
    assert await theirs.receive_some() == b"more"
