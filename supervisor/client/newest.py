"""An async iterator that yields the newest value whenever it has changed, and never falls behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, final

import trio

T = TypeVar("T")


@final
class Newest(Generic[T]):
    """Use it by `async for`: it gives the present state at once, and then the newest one, without those in between.

    It keeps no queue, so a slow consumer costs nothing. One task uses one iterator. To stop, just take no more: nothing
    has to be closed.
    """

    # A class, and no async generator: trio warns of those that are left half-way, which is what `break` does.

    def __init__(self, take: Callable[[], T | None], wait: Callable[[], Awaitable[None]]) -> None:
        # `take` gives what is new since it was called last, or None; `wait` raises where nothing more will come.
        self._take = take
        self._wait = wait

    def __aiter__(self) -> Newest[T]:
        """Itself."""
        return self

    async def __anext__(self) -> T:
        """The next one. Cancelled, it has taken nothing."""
        await trio.lowlevel.checkpoint()
        while True:
            value = self._take()
            if value is not None:
                return value
            await self._wait()
