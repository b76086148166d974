"""A listener without a network: connections are pairs of memory streams."""

from __future__ import annotations

from typing import final

import trio
import trio.testing


@final
class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Give it to `Server.serve`; each `connect()` is one connection."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](1_000)

    async def connect(self) -> trio.abc.Stream:
        """The client's end of a new connection.

        Raises:
            trio.BrokenResourceError: the server accepts no more connections.
        """
        ours, theirs = trio.testing.memory_stream_pair()
        await self._send.send(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        """See `trio.abc.Listener.accept`."""
        return await self._receive.receive()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource.aclose`; connections that nobody accepted are closed."""
        with trio.CancelScope(shield=True):  # forcefully: it never waits, but where we are cancelled it would raise
            while True:
                try:
                    await trio.aclose_forcefully(self._receive.receive_nowait())
                except (trio.WouldBlock, trio.ClosedResourceError):
                    break
        self._receive.close()
        await trio.lowlevel.checkpoint()
