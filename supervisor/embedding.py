"""A server around a block of somebody's program: it serves while the block runs, and shuts down as it is left."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from supervisor.actor.guard import unwrap


@contextlib.asynccontextmanager
async def serving(serve: Callable[[trio.Nursery], Awaitable[None]], stop: Callable[[], None]) -> AsyncIterator[None]:
    """Serve inside this block: `serve` starts it in a nursery, and returns when it is up; `stop` begins its end.

    What is raised is the block's or the server's own exception, and a group if both failed. A server that fails cancels
    the block; a block that fails doesn't cancel the server, since hooks and clients are owed an end.
    """
    failures: list[BaseException] = []
    try:
        async with trio.open_nursery() as nursery:
            await serve(nursery)
            try:
                yield
            except (trio.Cancelled, GeneratorExit):
                raise
            except BaseException as error:
                failures.append(error)
            stop()
    except BaseExceptionGroup as group:
        failures.append(unwrap(group))
    if len(failures) > 1:
        raise BaseExceptionGroup("a block and the server around it failed", failures)
    if failures:  # raised here and not above, where it would lose its own cause
        raise failures[0]
