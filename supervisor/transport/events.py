"""The stream of events by which a page under development follows its app, as an address of its own."""

from __future__ import annotations

from typing import Any, final

import trio

from supervisor.transport.development import Development
from supervisor.transport.site import Endpoint, Site, not_allowed

HEARTBEAT = 15.0
"""Seconds between two signs of life in a stream of events, so that nothing on the way takes it for dead."""


@final
class Events(Endpoint):
    """The stream of events by which a page under development follows its app; see `transport.development`."""

    def __init__(self, site: Site, development: Development, name: str) -> None:
        super().__init__(site)
        self._development = development
        self._developed = development.apps[name]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the state at once and at each change, until the client leaves or the server ends."""
        if scope["method"] != "GET":
            await not_allowed(self._site)(scope, receive, send)
            return
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_left, receive, nursery.cancel_scope)
            shown = b""
            while not self._development.is_over:
                changed = self._developed.changed  # of before, so that what changes during the send counts
                event = self._developed.event()
                body, shown = (b":\n\n" if event == shown else event), event
                await send({"type": "http.response.body", "body": body, "more_body": True})
                with trio.move_on_after(HEARTBEAT):
                    await changed.wait()
            nursery.cancel_scope.cancel()
        if self._development.is_over:
            await send({"type": "http.response.body"})

    @staticmethod
    async def _cancel_when_left(receive: Any, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()
