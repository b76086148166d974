"""The iterator over the newest."""

import pytest
import trio

from supervisor.client.newest import Newest


async def test_it_gives_what_is_new_and_waits_for_it():
    values = [1, None, None, 2, None]
    waited = []

    async def wait():
        await trio.lowlevel.checkpoint()
        waited.append(len(values))
        if not values:
            raise StopAsyncIteration

    newest = Newest(lambda: values.pop(0), wait)
    assert [value async for value in newest] == [1, 2]
    assert waited == [3, 2, 0]


async def test_cancelled_it_has_taken_nothing():
    values = [1]
    newest = Newest(lambda: values.pop(), trio.sleep_forever)
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(newest)
    assert await anext(newest) == 1


async def test_what_waiting_raises_is_raised():
    async def wait():
        await trio.lowlevel.checkpoint()
        raise EOFError

    with pytest.raises(EOFError):
        await anext(Newest(lambda: None, wait))
