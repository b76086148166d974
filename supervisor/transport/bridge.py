"""HTTP/1.1 (by h11) on one trio stream ⇄ an ASGI app: keep-alive, pipelining, limits, drain, and the way to
websockets.

The rule: nothing that a client sends leaves `serve_http` as an exception. Whatever breaks on the wire ends this
connection, with a response if possible; whatever an app raises goes to `on_error`; only `Cancelled` and its like pass.
Left out on purpose: HTTP/2, trailers, lifespan, CONNECT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import h11
import trio

from supervisor.transport.cycle import Cycle
from supervisor.transport.draining import Draining
from supervisor.transport.forwarded import Caller
from supervisor.transport.head import (
    Head,
    HttpLimits,
    Refusal,
    read_head,
    refuse_error,
    refuse_head,
    refuse_raw_head,
)
from supervisor.transport.http_stream import ClientGone, HttpStream
from supervisor.transport.replay import Replay

if TYPE_CHECKING:
    from starlette.types import ASGIApp


@attrs.frozen(kw_only=True)
class Upgrade:
    """A request for a websocket: the connection is HTTP no more, and its stream is the caller's."""

    head: Head
    """The head, with all headers; `Origin` and `Host` are to be compared by the caller."""
    stream: trio.abc.Stream
    """What a websocket library may read from the start: it gives back the head first."""


async def serve_http(
    stream: trio.abc.Stream,
    app: ASGIApp,
    *,
    check: Callable[[Head], Refusal | None],
    on_error: Callable[[BaseException], None],
    draining: Draining,
    limits: HttpLimits = HttpLimits(),  # noqa: B008 (frozen)
    identify: Callable[[Head], Caller] | None = None,
) -> Upgrade | None:
    """Serve one connection's requests, one after the other, until it is over or wants to be a websocket.

    It waits for the client and for the app; each wait for the client has a timeout of `limits`. May be
    cancelled at any time: then the stream must be closed, for an answer may have been half written. It starts
        no task.

    Args:
        stream: The connection, which stays the caller's to close.
        app: Any ASGI 3 app; it is called with scopes of type "http" only.
        check: Judges each head before the app or the websocket sees it, such as by its Host; a plain
            function.
        on_error: Gets what the app raises; a plain function. See `Cycle.run`.
        draining: Shared by all connections of a server.
        limits: Sizes and times.
        identify: Who a request is from, as the app is told; a plain function. Without it the app is told the peer's
            address, and plain HTTP.

    Returns:
        An Upgrade, whose stream goes to `trio_websocket.wrap_server_stream`; or None: close the stream.
    """
    http = HttpStream(stream, limits)
    parser = http.parser
    timeout = limits.head_timeout
    try:
        while True:
            head = await _next_head(http, draining, limits, timeout)
            if head is None:
                return None
            refusal = head if isinstance(head, Refusal) else refuse_head(head, limits) or check(head)
            if refusal is not None:
                await http.refuse(refusal, with_body=isinstance(head, Refusal) or head.method != "HEAD")
                await http.linger()
                return None
            assert isinstance(head, Head)
            if head.asks_for_websocket:
                return Upgrade(head=head, stream=Replay(stream, head.serialise() + http.buffered))
            cycle = Cycle(http, head, limits=limits, draining=draining, caller=identify and identify(head))
            await cycle.run(app, on_error)
            if not cycle.completed or parser.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                break
            parser.start_next_cycle()
            timeout = limits.idle_timeout
        if http.buffered or parser.their_state not in (h11.DONE, h11.MUST_CLOSE):
            await http.linger()
    except ClientGone:
        # Nobody is left to tell.
        pass
    return None


_LATE = Refusal(status=408, text="The request's head took too long to arrive.")


async def _next_head(http: HttpStream, draining: Draining, limits: HttpLimits, timeout: float) -> Head | Refusal | None:
    """Wait for the next request's head. None: the connection is over, and nobody waits for an answer."""
    if not http.buffered:
        with draining.idle(timeout):
            await http.fill()
        if not http.buffered:
            return None
    head: Head | Refusal | None = _LATE
    with draining.asking(limits.head_timeout):
        head = await _read_head(http, limits)
    return None if head is _LATE and draining.closed else head


async def _read_head(http: HttpStream, limits: HttpLimits) -> Head | Refusal | None:
    """Read on until the head is whole. None: the client has left in the midst of it."""
    while True:
        refusal = refuse_raw_head(http.buffered, limits)
        if refusal is not None:
            return refusal
        try:
            event = http.parser.next_event()
        except h11.RemoteProtocolError as error:
            return None if http.eof else refuse_error(error)
        if isinstance(event, h11.Request):
            return read_head(event)
        await http.fill()
