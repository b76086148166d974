import trio

from supervisor.transport.draining import Draining


async def test_begin_ends_the_waits_of_idle_connections(nursery, autojump_clock):
    draining = Draining()
    ended = trio.Event()

    async def connection():
        with draining.idle(75):
            await trio.sleep_forever()
        ended.set()

    nursery.start_soon(connection)
    await trio.testing.wait_all_tasks_blocked()
    assert draining.idle_connections == 1
    assert "not begun, 1 idle" in repr(draining)
    draining.begin()
    draining.begin()
    await ended.wait()
    assert draining.begun
    assert draining.idle_connections == 0
    assert "<Draining begun" in repr(draining)
    assert trio.current_time() < 75


async def test_an_idle_wait_has_a_timeout(autojump_clock):
    draining = Draining()
    start = trio.current_time()
    with draining.idle(75):
        await trio.sleep_forever()
    assert trio.current_time() - start == 75


async def test_nobody_waits_idly_once_begun(autojump_clock):
    draining = Draining()
    draining.begin()
    start = trio.current_time()
    with draining.idle(75):
        await trio.sleep_forever()
    assert trio.current_time() == start


async def test_a_byte_that_came_first_wins():
    draining = Draining()
    with draining.idle(75):
        draining.begin()
        got = b"byte"
    assert got == b"byte"
