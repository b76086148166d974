"""Does the app leave something behind? Each block of `supervise` asks, and a check can be asked for at once."""

from pathlib import Path

import pytest
import trio

from supervisor.testing import Left

TICKER = Path(__file__).parents[1] / "ticker"


async def test_nothing_is_left_of_a_session(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        await session.connect()
        context = session.context
        context.destroy()
        await context.wait_destroyed()
        await app.check("connections", "tasks")


async def poll():
    await trio.sleep_forever()


def build_carelessly(doc):
    trio.lowlevel.spawn_system_task(poll)  # right would be doc.session_context.start_soon(poll)


async def test_a_task_that_is_left_is_named(supervise):
    with pytest.raises(Left, match="task poll"):
        async with supervise(build_carelessly) as app:
            await app.new_session()


@pytest.mark.unchecked("coroutines", reason="a library of ours drops one, reported there")
async def test_a_check_is_switched_off_with_a_reason(supervise):
    async with supervise(TICKER) as app:
        await (await app.new_session()).connect()
