"""One request and its answer: what an ASGI app is called with, and what its messages become on the wire.

`receive()` pulls from the socket: no task reads ahead, so an app that doesn't read slows down only its own client.
`send()` writes to the socket. An app whose client leaves gets an OSError from `send()`, as ASGI 2.4 promises, or
`http.disconnect` from `receive()`; if it gives up then, that is not a failure.

A head is written together with the first piece of the body, as ASGI asks: one write per response if there is only one
piece, and if the app fails in between, its client still gets a 500.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final
from urllib.parse import unquote

import h11
import trio
from starlette.requests import ClientDisconnect

from supervisor.actor.guard import pass_on, split_failure, unwrap
from supervisor.transport.draining import Draining
from supervisor.transport.forwarded import Caller
from supervisor.transport.head import REASONS, Head, HttpLimits, Refusal, http_date, refuse_body, refuse_error
from supervisor.transport.http_stream import ClientGone, HttpStream

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

# Events parsed in one go: meanwhile nothing else runs, and a client may send chunks of one byte (10 µs each).
_EVENTS_AT_ONCE = 100

_FAILED = Refusal(status=500, text="The server failed to answer this request.")

# Answers with these statuses have no body, whatever the app sends (RFC 9110 §6.4.1).
_BODILESS = (204, 304)


@final
class Cycle:
    """One request of a connection. Made when its head is parsed; `run()` is called once.

    Args:
        http: The connection, its parser standing behind the head.
        head: The head.
        limits: The size of the body and the time to wait for it apply here.
        draining: Once begun, the answer says `Connection: close`.
        caller: Who the request is from, for the app; None for the peer, by plain HTTP.
    """

    def __init__(
        self, http: HttpStream, head: Head, *, limits: HttpLimits, draining: Draining, caller: Caller | None = None
    ) -> None:
        self._http = http
        self._head = head
        self._limits = limits
        self._draining = draining
        self._caller = caller
        # The request's body: how much of it was counted, whether the parser has seen its end, whether the app
        # has.
        self._counted = 0
        self._body_ended = not head.has_body
        self._body_told = False
        # The answer: what the app wants to begin it with, then whether its head was written, then its end.
        self._start: h11.Response | None = None
        self._begun = False
        self._completed = False
        # Set when the app's part is over, by completion, refusal or its return: from then on it may learn of
        # nothing.
        self._over = False
        # Set when receive() has said that the client left: then the app owes no answer.
        self._told_gone = False
        # Around the app's wait in receive(), which ends when its part is over.
        self._receiving: trio.CancelScope | None = None

    @property
    def completed(self) -> bool:
        """Whether the answer was written to its end, even if more of the request's body is to come."""
        return self._completed

    async def run(self, app: ASGIApp, on_error: Callable[[BaseException], None]) -> None:
        """Call the app and wait for it. What it raises goes to `on_error`; the client sees a 500 if nothing
        was sent.

        Args:
            app: Any ASGI 3 app.
            on_error: A plain function. It gets Exceptions and SystemExit (alone or in a group), also that the
                app returned without a whole answer; but not that an app gave up because its client left.
        """
        if self._body_ended:
            self._http.parser.next_event()  # it is EndOfMessage, and brings the parser behind this request
        try:
            await app(self._scope(), self.receive, self.send)
        except BaseException as error:
            failure, rest = split_failure(error)
            failure = _without_client_gone(failure)
            if failure is not None:
                on_error(failure)
            if rest is not None:
                pass_on(error, rest)
        else:
            if not (self._over or self._told_gone or self._http.lost):
                on_error(RuntimeError(f"the app returned without a whole answer to {self._head.method}"))
        finally:
            self._end()
        await self._refuse(_FAILED)

    async def receive(self) -> Message:
        """ASGI's receive: the body's next piece, then the client's end.

        Safe to cancel: no piece is lost. (Only a `100 Continue` cut in two ends the connection.)
        """
        if not self._over:
            with trio.CancelScope() as self._receiving:
                if not self._body_told:
                    return await self._receive_body()
                # The body is over: what comes is a pipelined request, which must wait, or the client's end.
                while not self._http.buffered and await self._http.fill():
                    pass
                if not self._http.eof:
                    await trio.sleep_forever()
        return self._disconnect()

    async def send(self, message: Message) -> None:
        """ASGI's send: waits until the client took the bytes. Cancelled half-way, it ends the connection.

        Raises:
            ClientGone: (an OSError) The client left, was too slow, or wants no more, as after HEAD.
            RuntimeError, h11.LocalProtocolError: The app's fault: a message out of order, or one HTTP can't
                carry.
        """
        kind = message["type"]
        if self._http.lost or (self._over and not self._completed):
            raise ClientGone("the client has left")
        if kind == "http.response.start" and self._start is None:
            self._start = self._response(message)
        elif kind == "http.response.body" and self._start is not None and not self._completed:
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.body" and self._start is not None and self._bodiless(self._start):
            raise ClientGone("this answer has no body, and the client has it whole")
        else:
            raise RuntimeError(f"the ASGI message {kind!r} is out of order")

    async def _receive_body(self) -> Message:
        parser = self._http.parser
        piece = bytearray()
        await trio.lowlevel.checkpoint()
        try:
            # The final answer resets this in the parser: too late, then, to ask for the body.
            if parser.they_are_waiting_for_100_continue and not self._http.buffered:
                await self._http.write(parser.send(h11.InformationalResponse(status_code=100, headers=[])))
            for _ in range(_EVENTS_AT_ONCE):
                if self._body_ended:
                    break
                event = self._next_body_event()
                if isinstance(event, h11.Data):
                    piece += event.data
                elif event is h11.NEED_DATA:
                    if piece:
                        break
                    with trio.move_on_after(self._limits.body_timeout) as scope:
                        await self._http.fill()
                    if scope.cancelled_caught:
                        return await self._refuse(
                            Refusal(status=408, text="The request's body took too long to arrive.")
                        )
        except h11.RemoteProtocolError as error:
            return await self._refuse(refuse_error(error))
        except ClientGone:
            return self._disconnect()
        if self._counted > self._limits.max_body:
            return await self._refuse(refuse_body(self._limits))
        self._body_told = self._body_ended
        return {"type": "http.request", "body": bytes(piece), "more_body": not self._body_ended}

    def _next_body_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The parser's next event, counted; notes the body's end."""
        event = self._http.parser.next_event()
        if isinstance(event, h11.Data):
            self._counted += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            if self._head.get(b"transfer-encoding") is not None and not self._http.chunks_ended_well():
                raise h11.RemoteProtocolError("a chunked body must end in CRLF")
            self._body_ended = True
        return event

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        parser, start = self._http.parser, self._start
        assert start is not None
        bodiless = self._bodiless(start)
        last = bodiless or not more
        out = b""
        if last:
            self._skip_buffered_body()
        if not self._begun:
            if self._draining.begun or (last and not self._body_ended):
                start = h11.Response(
                    status_code=start.status_code,
                    headers=[*start.headers.raw_items(), (b"connection", b"close")],
                    reason=start.reason,
                )
            out = parser.send(start)
        if not bodiless:
            out += parser.send(h11.Data(data=body))
        if last:
            out += parser.send(h11.EndOfMessage())
        # Not before: what the parser refuses was not sent, and leaves room for a 500.
        self._begun = True
        if out:
            await self._http.write(out)
        else:
            await trio.lowlevel.checkpoint()
        if last:
            self._completed = True
            self._end()

    def _skip_buffered_body(self) -> None:
        """Throw away what has arrived of a body that the app answered without reading; often that is all."""
        try:
            for _ in range(_EVENTS_AT_ONCE):
                if self._body_ended or self._next_body_event() is h11.NEED_DATA:
                    break
        except h11.RemoteProtocolError:
            # The parser is in its error state now: the connection ends with this answer.
            pass

    def _response(self, start: Message) -> h11.Response:
        status = start["status"]
        headers = [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"date", http_date(time.time())))
        return h11.Response(status_code=status, headers=headers, reason=REASONS.get(status, b""))

    def _bodiless(self, start: h11.Response) -> bool:
        return self._head.method == "HEAD" or start.status_code in _BODILESS

    async def _refuse(self, refusal: Refusal) -> Message:
        """Answer in the app's place if nothing was sent yet; the app sees that the client has left."""
        self._over = True
        if not self._begun:
            self._begun = True
            try:
                await self._http.refuse(refusal, with_body=self._head.method != "HEAD")
            except ClientGone:
                # It left while we said no: the stream says so to whoever uses it next.
                pass
        return self._disconnect()

    def _disconnect(self) -> Message:
        self._told_gone = True
        return {"type": "http.disconnect"}

    def _end(self) -> None:
        self._over = True
        if self._receiving is not None:
            self._receiving.cancel()

    def _scope(self) -> Scope:
        path, _, query = self._head.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self._head.http_version,
            "method": self._head.method,
            "scheme": "http" if self._caller is None else self._caller.scheme,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(self._head.headers),
            "client": self._client(),
            "server": _address(self._http.stream, "getsockname"),
            "supervisor.counted_as": self._caller and self._caller.counted_as,
        }

    def _client(self) -> tuple[str, int] | None:
        peer = _address(self._http.stream, "getpeername")
        if self._caller is None or self._caller.address == (peer and peer[0]):
            return peer
        # Whom a proxy names has a port that nobody tells.
        return None if self._caller.address is None else (self._caller.address, 0)


def _address(stream: trio.abc.Stream, end: str) -> tuple[str, int] | None:
    """(host, port) of that end of a TCP connection; None for other streams, and once the peer is gone."""
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return None
    if stream.socket.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        name: Any = getattr(stream.socket, end)()
    except OSError:
        return None
    return name[0], name[1]


def _without_client_gone(failure: BaseException | None) -> BaseException | None:
    """What is left of a failure without the leaves that only say that the client left."""
    if isinstance(failure, BaseExceptionGroup):
        _, rest = failure.split((ClientGone, ClientDisconnect))
        return None if rest is None else unwrap(rest)
    return None if isinstance(failure, ClientGone | ClientDisconnect) else failure
