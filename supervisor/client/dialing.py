"""Opening a stream to an address, with TLS if its scheme asks for it; and why that failed, in words."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import final

import trio

from supervisor.client.address import Address
from supervisor.errors import ConnectFailed

OpenStream = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Opens a stream to host and port: a network of its own, for tests, Unix sockets and tunnels. TLS is put on top."""

LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a network raises."""


async def open_tcp(host: str, port: int) -> trio.abc.Stream:
    """See `OpenStream`: by TCP, trying all addresses of the host."""
    return await trio.open_tcp_stream(host, port)


@final
class Dialer:
    """Opens streams for one client."""

    def __init__(self, open_stream: OpenStream = open_tcp, ssl_context: ssl.SSLContext | None = None) -> None:
        self._open_stream = open_stream
        self._ssl_context = ssl_context

    async def __call__(self, address: Address) -> trio.abc.Stream:
        """Open a stream; it is ready for HTTP.

        Raises:
            ConnectFailed: the server can't be reached, or isn't the one that its certificate must name.

        """
        try:
            stream = await self._open_stream(address.host, address.port)
            return await self._encrypt(stream, address) if address.tls else stream
        except LOST as error:
            raise ConnectFailed(f"{address.authority} can't be reached: {explain(error)}") from error

    async def _encrypt(self, stream: trio.abc.Stream, address: Address) -> trio.abc.Stream:
        if self._ssl_context is None:  # made once, and only if it is needed: it reads all certificates of the system
            self._ssl_context = ssl.create_default_context()
        encrypted = trio.SSLStream(stream, self._ssl_context, server_hostname=address.host, https_compatible=True)
        try:
            await encrypted.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(encrypted)
            raise
        return encrypted


def explain(error: BaseException) -> str:
    """Why the network failed, in a few words, from the innermost cause that has some."""
    said = ""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, ssl.SSLCertVerificationError):
            return f"its certificate isn't trusted ({current.verify_message})"
        if isinstance(current, ssl.SSLError):
            reason = getattr(current, "reason", None) or current.args[-1]
            said = f"it doesn't speak TLS as we do ({reason})"
        elif isinstance(current, OSError) and current.strerror:
            # trio adds the address to the text; only of look-ups is the number not the system's.
            has_text = isinstance(current, socket.gaierror) or current.errno is None
            text = current.strerror if has_text else os.strerror(current.errno or 0)
            said = text[:1].lower() + text[1:]
        elif not said and str(current) and not isinstance(current, BaseExceptionGroup):
            said = str(current)
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[0]
        else:
            current = current.__cause__
    return said or "the connection was lost"
