"""A client of httpx over a test's transport: connections are streams of the kit, all else is httpx and httpcore.

It needs the package httpx, which only this module imports.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, final

import httpcore
import httpx
import trio

OpenStream = Callable[[], Awaitable[trio.abc.Stream]]

PATIENCE = 60.0
"""Seconds, usually virtual, that each step of a request may take, where the test names no other timeout."""

KEPT = 5.0
"""Seconds, usually virtual, for which an idle connection is kept: httpx's own default, which counts real ones."""


def open_client(
    authority: str, open_stream: OpenStream, *, server: Callable[[], object], **options: Any
) -> httpx.AsyncClient:
    """A client whose relative URLs are the server's. Use it by `async with`.

    All its connections go to the server, whatever host a URL names: so a test may see what becomes of another host.

    Args:
        authority: the server's name, as in a URL.
        open_stream: opens a connection.
        server: says which server there is now; no connection is used again after it was restarted.
        options: those of `httpx.AsyncClient`.
    """
    all_options: dict[str, Any] = {"base_url": f"http://{authority}", "timeout": PATIENCE, **options}
    return httpx.AsyncClient(transport=_Transport(_Network(open_stream, server)), **all_options)


@final
class _Transport(httpx.AsyncBaseTransport):
    """httpcore's pool of connections, as `httpx.AsyncHTTPTransport` has one, over our streams."""

    def __init__(self, network: httpcore.AsyncNetworkBackend) -> None:
        self._pool = httpcore.AsyncConnectionPool(network_backend=network)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _as_httpx_says(request):
            answer = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, request),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


@final
class _Body(httpx.AsyncByteStream):
    """An answer's body, as it arrives."""

    def __init__(self, stream: Any, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_says(self._request):
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextlib.contextmanager
def _as_httpx_says(request: httpx.Request) -> Iterator[None]:
    """Turn httpcore's exceptions into those of httpx, which have the same names."""
    try:
        yield
    except Exception as error:
        kind = getattr(httpx, type(error).__name__, None)
        if not type(error).__module__.startswith("httpcore") or kind is None:
            raise
        raise kind(str(error), request=request) from error


@final
class _Network(httpcore.AsyncNetworkBackend):
    """Connections to one server, whatever the address."""

    def __init__(self, open_stream: OpenStream, server: Callable[[], object]) -> None:
        self._open_stream = open_stream
        self._server = server

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with _as_httpcore_says(httpcore.ConnectError, httpcore.ConnectTimeout, timeout):
            return _Connection(await self._open_stream(), self._server)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


@final
class _Connection(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, stream: trio.abc.Stream, server: Callable[[], object]) -> None:
        self._stream = stream
        self._server = server
        self._opened_by = server()
        self._used_at = trio.current_time()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._used_at = trio.current_time()
        with _as_httpcore_says(httpcore.ReadError, httpcore.ReadTimeout, timeout):
            return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _as_httpcore_says(httpcore.WriteError, httpcore.WriteTimeout, timeout):
            await self._stream.send_all(buffer)

    async def aclose(self) -> None:
        with trio.CancelScope(shield=True):  # forcefully: it never waits, but cancelled it would raise
            await trio.aclose_forcefully(self._stream)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        await self.aclose()
        raise httpcore.ConnectError("the server of a test has no TLS: write http:// in place of https://")

    def get_extra_info(self, info: str) -> Any:
        # Asked before an idle connection is used again: one that can be read is one that the server has closed.
        if info == "is_readable":
            return self._server() is not self._opened_by or trio.current_time() - self._used_at > KEPT
        return None


@contextlib.contextmanager
def _as_httpcore_says(failed: type[Exception], too_slow: type[Exception], timeout: float | None) -> Iterator[None]:
    try:
        with trio.fail_after(float("inf") if timeout is None else timeout):
            yield
    except trio.TooSlowError as error:
        raise too_slow(str(error)) from error
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise failed(str(error)) from error
