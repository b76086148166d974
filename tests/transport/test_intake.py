"""How much is read ahead: in bytes, and until when."""

import pytest
import trio

from supervisor.transport.intake import Intake, size_of

settle = trio.testing.wait_all_tasks_blocked


class Peer:
    """A reader of a stream without end, the library's queue, and a conversation that takes what a test lets it."""

    def __init__(self, limit):
        self.intake = Intake(limit)
        self.read = 0
        self.send, self.receive = trio.open_memory_channel(1000)
        self.may_take = trio.Semaphore(0)
        self.answers = []

    async def run_reader(self, size=10, every=1):
        """Each `every` reads bring a message of all their bytes."""
        reads = 0
        while True:
            await self.intake.wait_may_read()
            await trio.lowlevel.checkpoint()
            self.intake.read(size)
            self.read += size
            reads += 1
            if reads % every == 0:
                self.send.send_nowait("x" * size * every)

    async def run_conversation(self, *, answer=True):
        while True:
            await self.may_take.acquire()
            message = await self.intake.take(self.receive.receive)
            answered = self.intake.taken(len(message))
            if answer:
                answered()
            else:
                self.answers.append(answered)


@pytest.fixture
def peer():
    return Peer(100)


def allow(peer, times):
    for _ in range(times):
        peer.may_take.release()


async def test_while_nobody_takes_it_is_read_to_the_limit(peer, nursery):
    nursery.start_soon(peer.run_reader)
    nursery.start_soon(peer.run_conversation)
    await settle()
    assert peer.read == 110


async def test_it_is_read_on_when_all_was_taken_and_not_before(peer, nursery):
    """Trap: a conversation that finds something in the queue waits for a moment too."""
    nursery.start_soon(peer.run_reader)
    nursery.start_soon(peer.run_conversation)
    await settle()
    allow(peer, 11)
    await settle()
    assert peer.read == 110
    allow(peer, 1)
    await settle()
    assert peer.read == 110 + 110


async def test_what_is_not_answered_counts(peer, nursery):
    nursery.start_soon(peer.run_reader)
    nursery.start_soon(lambda: peer.run_conversation(answer=False))
    allow(peer, 1000)
    await settle()
    assert peer.read == 110
    peer.answers.pop()()
    await settle()
    assert peer.read == 120
    while peer.answers:
        peer.answers.pop()()
    await settle()
    assert peer.read > 200


async def test_a_message_that_is_larger_than_the_limit_is_read(peer, nursery):
    nursery.start_soon(lambda: peer.run_reader(every=50))
    nursery.start_soon(peer.run_conversation)
    allow(peer, 3)
    await settle()
    assert peer.read >= 1500


async def test_what_brings_no_message_does_not_stop_it(peer, nursery):
    """As pings do, and the heads of frames."""

    async def ping():
        for _ in range(1000):
            await peer.intake.wait_may_read()
            peer.intake.read(10)
            peer.read += 10

    nursery.start_soon(peer.run_conversation)
    allow(peer, 1)
    await settle()
    nursery.start_soon(ping)
    await settle()
    assert peer.read == 10_000


async def test_a_wait_can_be_cancelled(peer):
    peer.intake.read(101)
    with trio.move_on_after(0) as scope:
        await peer.intake.wait_may_read()
    assert scope.cancelled_caught


async def test_once_the_conversation_is_over_all_is_read(peer, nursery):
    nursery.start_soon(lambda: peer.run_reader(size=1000, every=10_000))
    peer.intake.read(101)
    await settle()
    assert peer.read == 0
    peer.intake.let_all()
    for _ in range(10):
        await trio.lowlevel.checkpoint()
    assert peer.read > 0
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("frame", "size"), [(b"abc", 3), ("abc", 3), ("äbc", 4), ("\N{PILE OF POO}", 4)])
def test_a_message_counts_as_many_bytes_as_it_had(frame, size):
    assert size_of(frame) == size
