"""One GET over a stream, as a browser on this machine makes it for a page."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from supervisor.client.http import Answer as Answer
from supervisor.client.http import exchange


async def get(
    stream: trio.abc.Stream, target: str, *, headers: Iterable[tuple[str, str]] = (), method: str = "GET"
) -> Answer:
    """Ask for one page and close the stream.

    Raises:
        trio.BrokenResourceError: the server closed the connection without a whole answer.
    """
    return await exchange(stream, target, headers=[("Host", "localhost"), *headers], method=method)
