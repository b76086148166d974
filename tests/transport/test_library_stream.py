import pytest
import trio
import trio.testing

from supervisor.transport.intake import Intake
from supervisor.transport.library_stream import LibraryStream
from supervisor.transport.outbox import Outbox


@pytest.fixture
async def outbox_and_peer(nursery):
    ours, theirs = trio.testing.memory_stream_pair()
    outbox = Outbox(ours)
    nursery.start_soon(outbox.run_flusher)
    yield outbox, theirs
    await outbox.aclose()


async def test_bytes_pass_through(outbox_and_peer):
    outbox, peer = outbox_and_peer
    stream = LibraryStream(outbox, Intake(1_000), may_close=lambda: True)
    await stream.wait_send_all_might_not_block()
    await stream.send_all(b"\x88\x00")
    assert await peer.receive_some() == b"\x88\x00"
    assert outbox.close_was_sent
    await peer.send_all(b"back")
    assert await stream.receive_some(3) == b"bac"


async def test_it_closes_the_outbox_when_it_may(outbox_and_peer):
    outbox, peer = outbox_and_peer
    await LibraryStream(outbox, Intake(1_000), may_close=lambda: True).aclose()
    assert outbox.broken is not None
    assert await peer.receive_some() == b""


async def test_it_leaves_the_outbox_open_when_it_may_not(outbox_and_peer):
    outbox, peer = outbox_and_peer
    stream = LibraryStream(outbox, Intake(1_000), may_close=lambda: False)
    with trio.testing.assert_checkpoints():
        await stream.aclose()
    await outbox.send_all(b"why")
    assert await peer.receive_some() == b"why"


async def test_what_is_read_is_counted_and_past_the_limit_it_waits(outbox_and_peer, autojump_clock):
    outbox, peer = outbox_and_peer
    intake = Intake(3)
    stream = LibraryStream(outbox, intake, may_close=lambda: True)
    await peer.send_all(b"abcdef")
    assert await stream.receive_some(4) == b"abcd"
    with trio.move_on_after(1) as scope:
        await stream.receive_some()
    assert scope.cancelled_caught
