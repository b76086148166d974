"""Whether a client is there: pings, and what counts as an answer."""

import trio
import trio.testing

from supervisor.actor.timers import TimerQueue
from supervisor.transport.heartbeat import Heartbeat
from supervisor.transport.outbox import Outbox

PING = b'\x89\0\x81\x10{"type":"alive"}'
"""And what says the same to pages, which can't see pings."""


class Line:
    """An outbox, the client at its other end, and a heartbeat of 10 s."""

    def __init__(self, nursery, *, flushes=True, **options):
        self.nursery = nursery
        self.server, self.client = trio.testing.memory_stream_pair()
        self.outbox = Outbox(self.server)
        self.happened = []
        self.heartbeat = Heartbeat(
            self.outbox,
            interval=10,
            on_backlog=lambda: self.happened.append(("backlog", trio.current_time() - self.began)),
            on_silence=lambda: self.happened.append(("silence", trio.current_time() - self.began)),
            **{"pong_timeout": None} | options,
        )
        timers = TimerQueue()
        nursery.start_soon(timers.run)
        if flushes:
            nursery.start_soon(self.outbox.run_flusher)
        self.began = trio.current_time()
        self.heartbeat.begin(timers)

    def listen(self):
        self.nursery.start_soon(self._listen)

    async def _listen(self):
        while await self.outbox.receive_some():
            pass


async def pinged(line):
    with trio.fail_after(100):
        assert await line.client.receive_some() == PING
    return trio.current_time() - line.began


async def test_who_says_nothing_from_one_ping_to_the_next_is_gone(nursery, autojump_clock):
    line = Line(nursery)
    line.listen()
    assert await pinged(line) == 10
    await trio.sleep(100)
    assert line.happened == [("silence", 20)]


async def test_whatever_is_said_is_a_sign_of_life(nursery, autojump_clock):
    line = Line(nursery)
    line.listen()
    for number in range(1, 6):
        assert await pinged(line) == 10 * number
        await line.client.send_all(b"no pong")
    assert line.happened == []


async def test_after_the_end_there_are_no_pings(nursery, autojump_clock):
    line = Line(nursery)
    line.heartbeat.end()
    line.heartbeat.end()
    with trio.move_on_after(100) as scope:
        await pinged(line)
    assert scope.cancelled_caught
    assert line.happened == []


async def test_nothing_follows_a_close_frame(nursery, autojump_clock):
    """The library has refused a message that is too big, while what came before it is still in hand."""
    line = Line(nursery)
    close = b"\x88\0"
    await line.outbox.send_all(close)
    assert await line.client.receive_some() == close
    with trio.move_on_after(100) as scope:
        await pinged(line)
    assert scope.cancelled_caught
    assert line.happened == []


async def test_who_is_not_listened_to_is_pinged_and_not_judged(nursery, autojump_clock):
    line = Line(nursery)
    for number in range(1, 6):
        assert await pinged(line) == 10 * number
    await trio.sleep(5)
    line.listen()  # silence counts from the next ping on
    assert await pinged(line) == 60
    await trio.sleep(100)
    assert line.happened == [("silence", 70)]


async def test_behind_a_backlog_nothing_is_pinged_or_judged(nursery, autojump_clock):
    line = Line(nursery, flushes=False)
    line.listen()
    line.outbox.push(b"x")
    await trio.sleep(25)
    assert line.happened == [("backlog", 10), ("backlog", 20)]
    nursery.start_soon(line.outbox.run_flusher)
    assert await line.client.receive_some() == b"x"
    assert await pinged(line) == 30
    await trio.sleep(100)
    assert line.happened[2:] == [("silence", 40)]


async def test_a_pong_may_have_a_deadline_of_its_own(nursery, autojump_clock):
    line = Line(nursery, pong_timeout=3)
    line.listen()
    assert await pinged(line) == 10
    await line.client.send_all(b"pong")
    assert await pinged(line) == 20
    await trio.sleep(100)
    assert line.happened == [("silence", 23)]
