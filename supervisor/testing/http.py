"""One GET over a stream, as a browser on this machine makes it for a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import trio

from supervisor.client.http import Answer as Answer
from supervisor.client.http import exchange

if TYPE_CHECKING:
    import httpx


async def get(
    stream: trio.abc.Stream, target: str, *, headers: Iterable[tuple[str, str]] = (), method: str = "GET"
) -> Answer:
    """Ask for one page and close the stream.

    Raises:
        trio.BrokenResourceError: the server closed the connection without a whole answer.
        ValueError: the target doesn't begin with a slash.
    """
    if not target.startswith("/"):
        await trio.aclose_forcefully(stream)
        raise ValueError(f"a page is asked for by its path on the server, as in '/{target}', not {target!r}")
    return await exchange(stream, target, headers=[("Host", "localhost"), *headers], method=method)


def open_http(
    authority: str,
    open_stream: Callable[[], Awaitable[trio.abc.Stream]],
    *,
    server: Callable[[], object],
    **options: Any,
) -> httpx.AsyncClient:
    """See `RunningApp.http` and `httpx_client.open_client`.

    Raises:
        RuntimeError: httpx isn't installed.
    """
    try:
        from supervisor.testing.httpx_client import open_client
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"app.http() needs httpx ({error}): pip install session-supervisor[testing]; app.get() does without"
        ) from error
    return open_client(authority, open_stream, server=server, **options)
