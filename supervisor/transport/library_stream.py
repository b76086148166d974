"""The stream that the websocket library gets: the outbox, without the right to close it too early.

Essay: who may close. A peer that breaks RFC 6455 should get a close frame with 1002 or 1007 (§7.1.7), but the library
closes the stream without one. And closing a socket with unread input resets the connection, so that the peer loses what
it was sent last. So, once the handshake is done, the library's request to close goes to the connection's owner, who
decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import trio

from supervisor.transport.intake import Intake
from supervisor.transport.outbox import Outbox


@final
class LibraryStream(trio.abc.Stream):
    """Give it to `trio_websocket.wrap_server_stream` in place of the outbox.

    Args:
        outbox: All passes to it.
        intake: Says when the client may be read on.
        may_close: A plain function, called when the library wants to close the stream. False: it stays open, and its
            owner closes the outbox.
    """

    __slots__ = ("_intake", "_may_close", "_outbox")

    def __init__(self, outbox: Outbox, intake: Intake, *, may_close: Callable[[], bool]) -> None:
        self._outbox = outbox
        self._intake = intake
        self._may_close = may_close

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `Outbox.send_all`."""
        await self._outbox.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `Outbox.wait_send_all_might_not_block`."""
        await self._outbox.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `Outbox.receive_some`; waits until the intake lets it."""
        await self._intake.wait_may_read()
        data = await self._outbox.receive_some(max_bytes)
        self._intake.read(len(data))
        return data

    async def aclose(self) -> None:
        """Close the outbox, if that may be."""
        if self._may_close():
            await self._outbox.aclose()
        else:
            await trio.lowlevel.checkpoint()
