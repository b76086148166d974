"""A client that never empties its queue is too slow; its neighbours notice nothing."""

import pytest
import trio
import trio.testing

from ..peers import (
    all_blocked,
    lockstep,
    options_of,
)
from .piling import pile_up, put


async def test_who_never_empties_the_queue_is_too_slow_and_who_does_is_not(serve):
    async with (
        serve(options=options_of(slow_timeout=3.0, ping_interval=45.0)) as table,
        trio.open_nursery() as nursery,
    ):
        peer, session = await lockstep(table, nursery)
        for number in range(8):
            await put(session, 100_000)
            await put(session, 100 + number)
            await trio.sleep(1)
            while (await peer.message())["operations"][0]["value"] != "x" * (100 + number):
                pass
            await all_blocked()
        assert session.connections
        await put(session, 100_000)
        await put(session, 10)
        began = trio.current_time()
        while session.connections:
            assert trio.current_time() < began + 10
            await trio.sleep(0.1)
        assert trio.current_time() - began == pytest.approx(3 + 2, abs=0.3)
        assert table.detached == [1013]
        nursery.cancel_scope.cancel()


async def test_who_stops_in_the_middle_of_what_was_kept_back_is_too_slow(serve):
    async with (
        serve(options=options_of(slow_timeout=3.0, ping_interval=45.0)) as table,
        trio.open_nursery() as nursery,
    ):
        peer, session = await lockstep(table, nursery)
        await put(session, 100_000)
        await pile_up(session, 100_000, "a")
        await peer.send("Refuse", text="no")  # what comes before it and behind it isn't merged
        await pile_up(session, 100_000, "b")
        assert (await peer.message())["to"] == 2
        await trio.sleep(3 + 2 + 0.1)
        assert table.detached == [1013]
        nursery.cancel_scope.cancel()


async def test_who_has_read_all_has_its_whole_time_again_whatever_a_ping_found(serve):
    async with (
        serve(options=options_of(slow_timeout=3.0, ping_interval=2.0)) as table,
        trio.open_nursery() as nursery,
    ):
        peer, session = await lockstep(table, nursery)
        await trio.sleep(1)
        await put(session, 100_000)
        await put(session, 10)
        await trio.sleep(2)  # there was a ping's turn
        for _ in range(2):
            await peer.message()
        with trio.move_on_after(4) as scope:
            await peer.message()  # pings are answered, and nothing else comes
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_neighbour_is_not_delayed_by_one_that_does_not_read(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        _, session = await lockstep(table, nursery)
        neighbour, _, _ = await table.attached(await table.page(session=session.id))
        began = trio.current_time()
        for number in range(20):
            await put(session, 200_000 + number)
            assert (await neighbour.message())["type"] == "patch"
        assert trio.current_time() == began
        nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_read_is_told_the_end_once_it_does(serve):
    async with serve() as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        for mark in "abcd":
            await put(session, 200_000, mark)
        session.destroy(reason="over")
        await trio.sleep(1.5)  # our patience with the backlog is over; the one with the client is not
        messages, code, reason = await peer.closed()
        assert [message["type"] for message in messages] == ["patch", "closing"]
        assert (code, reason) == (4410, "over")
        nursery.cancel_scope.cancel()
