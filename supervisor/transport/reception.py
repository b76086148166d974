"""Where connections come in: each is served as HTTP, until it ends or becomes a websocket of an application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import trio

from supervisor.application.failed_application import ending_of_failed
from supervisor.transport.admission import Admission
from supervisor.transport.bridge import Upgrade, serve_http
from supervisor.transport.conversation import Door
from supervisor.transport.draining import Draining
from supervisor.transport.forwarded import Caller, Peer, TrustedProxies
from supervisor.transport.head import Head, HttpLimits, Refusal
from supervisor.transport.http_stream import LINGER, ClientGone, HttpStream
from supervisor.transport.listener import find_peer
from supervisor.transport.occupancy import Occupancy
from supervisor.transport.requests import read_request
from supervisor.transport.websocket import WebSocketConnection
from supervisor.transport.websocket_options import WebSocketOptions

_RESTARTING = Refusal(status=503, text="The server is stopping or restarting. Try again soon.")
_FULL = Refusal(status=503, text="This server has no room for another connection. Try again later.", retry_after=5)
_TURNED_AWAY = 100
"""Connections that are told so at once; further ones are only closed, since each of them needs a file too."""


@final
class Reception:
    """The connections of one server, whichever listener they come from.

    Args:
        web_app: the ASGI app that answers HTTP.
        doors: the applications' websockets, by their paths; looked up for each connection, so it may change.
        admission: judges each request by its head.
        proxies: find who really asks.
        draining: the server's.
        http: limits of each connection.
        websocket: limits of each websocket.
        occupancy: the server's.
        on_proxy: a plain function, told once the address of a proxy that nobody has named as trusted.
        on_error: a plain function, told what a request's app raised.
    """

    def __init__(
        self,
        web_app: Callable[..., Any],
        *,
        doors: Mapping[bytes, Door],
        admission: Admission,
        proxies: TrustedProxies,
        draining: Draining,
        http: HttpLimits,
        websocket: WebSocketOptions,
        occupancy: Occupancy,
        on_proxy: Callable[[str], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._web_app = web_app
        self._doors = doors
        self._admission = admission
        self._proxies = proxies
        self._draining = draining
        self._http = http
        self._websocket = websocket
        self._occupancy = occupancy
        self._on_proxy = on_proxy
        self._on_error = on_error
        self._turned_away = 0
        self._met_proxy = False

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection, which may be any stream. Takes the stream over, and closes it in the end.

        When the connection becomes a websocket this returns: its tasks belong to the application's nursery then.
        """
        if not self._occupancy.enter():
            await self._turn_away(stream)
            return
        peer = find_peer(stream)

        def identify(head: Head) -> Caller:
            caller = self._proxies.find_caller(peer, head.headers)
            if caller.is_behind_unknown_proxy and not self._met_proxy:
                self._met_proxy = True
                self._on_proxy(caller.address or "")
            return caller

        upgrade, is_handed_over = None, False
        try:
            upgrade = await serve_http(
                stream,
                self._web_app,
                check=lambda head: self._check(head, peer, identify(head)),
                identify=identify,
                on_error=self._on_error,
                draining=self._draining,
                limits=self._http,
            )
            if upgrade is not None:
                is_handed_over = await self._open_websocket(upgrade, identify(upgrade.head))
        finally:
            if not is_handed_over:
                self._occupancy.leave()
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)

    def _check(self, head: Head, peer: Peer, caller: Caller) -> Refusal | None:
        refusal = self._admission.check(head, peer, caller)
        if refusal is None and head.asks_for_websocket and self._draining.begun:
            return _RESTARTING
        return refusal

    async def _turn_away(self, stream: trio.abc.Stream) -> None:
        self._turned_away += 1
        try:
            if self._turned_away <= _TURNED_AWAY and not self._draining.begun:
                http = HttpStream(stream, self._http)
                with trio.move_on_after(LINGER):
                    try:
                        await http.refuse(_FULL)
                        await http.linger()
                    except ClientGone:
                        pass  # it didn't wait for an answer
        finally:
            self._turned_away -= 1
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _open_websocket(self, upgrade: Upgrade, caller: Caller) -> bool:
        """Hand a connection over to its application; False if that has ended meanwhile.

        One that has failed has no nursery for it any more: the client is told so here, in the connection's own task.
        """
        door = self._doors[upgrade.head.target.partition(b"?")[0]]
        nursery, failure = door.application.connection_nursery, door.application.failure
        if nursery is None and failure is None:
            return False
        request = read_request(upgrade.head.target, upgrade.head.headers, remote_address=caller.address)
        connection = WebSocketConnection(upgrade.stream, request, door, self._websocket, self._occupancy)
        if failure is not None:
            connection.end(ending_of_failed(failure))
        if nursery is None:
            await connection.run()
        else:
            nursery.start_soon(connection.run, name=f"websocket of {door.application.application}")
        return True
