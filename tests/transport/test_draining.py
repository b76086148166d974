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
    assert repr(draining) == "<Draining not begun, 1 idle connections>"
    assert not draining.begun
    draining.begin()
    draining.begin()
    await ended.wait()
    assert draining.begun
    assert repr(draining) == "<Draining begun, 0 idle connections>"
    assert trio.current_time() < 75


async def test_an_idle_wait_has_a_timeout(autojump_clock):
    draining = Draining()
    for _ in range(2):
        start = trio.current_time()
        with draining.idle(75):
            await trio.sleep_forever()
        assert trio.current_time() - start == 75
        draining.begin()


async def test_who_comes_later_may_ask_until_it_is_closed(nursery, autojump_clock):
    draining = Draining()
    draining.begin()

    async def close():
        await trio.sleep(5)
        draining.close()

    nursery.start_soon(close)
    with draining.idle(75):
        await trio.sleep_forever()
    assert trio.current_time() == 5
    assert repr(draining) == "<Draining closed, 0 idle connections>"
    with draining.idle(75):
        await trio.sleep_forever()
    assert trio.current_time() == 5


def test_what_is_closed_has_begun():
    draining = Draining()
    draining.close()
    assert draining.begun


async def test_a_byte_that_came_first_wins():
    draining = Draining()
    with draining.idle(75):
        draining.begin()
        got = b"byte"
    assert got == b"byte"
