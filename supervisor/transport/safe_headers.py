"""The headers that every response carries: what browsers may do with it, and what they may not.

Essay: what is sent, and what is left to others. A response's own headers win; missing ones are added here, so that no
address can be forgotten. `Cross-Origin-Opener-Policy` is sent over TLS only, since otherwise browsers ignore it and
complain; it cuts the link to a site that opens our pages in a window, but not to windows that our pages open, which
sign-ins depend on. `Permissions-Policy` denies to other sites' frames in a page what the page itself may ask its
visitor for. `Strict-Transport-Security` is not sent: it binds all ports and programs of a host for months, so the
operator of the host decides about it, where TLS ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), display-capture=(self), geolocation=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Beside the Content-Security-Policy."""
OPENER_POLICY = ("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
"""Over TLS."""


def content_policy(embedders: Sequence[str] = (), nonce: str | None = None) -> str:
    """The Content-Security-Policy, level 3: scripts and styles from this server, or with the nonce.

    `connect-src 'self'` covers the websocket of the page's own origin. Only our own pages and those of `embedders`
    (sources in the policy's own words; see `origin.frame_source`) may show it in a frame.
    """
    trusted = "'self'" if nonce is None else f"'self' 'nonce-{nonce}'"
    policy = [
        "default-src 'self'",
        f"script-src {trusted}",
        f"style-src {trusted}",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        " ".join(["frame-ancestors 'self'", *embedders]),
    ]
    return "; ".join(policy)


@final
class SafeHeaders:
    """ASGI middleware around all addresses. It raises nothing of its own."""

    def __init__(self, app: ASGIApp, embedders: Sequence[str]) -> None:
        self._app = app
        headers = {**SAFE_HEADERS, "Content-Security-Policy": content_policy(embedders)}
        self._plain = [_encode(*header) for header in headers.items()]
        self._secure = [*self._plain, _encode(*OPENER_POLICY)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with all headers."""
        wanted = self._secure if scope["scheme"] == "https" else self._plain

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = [header for header in wanted if header[0] not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, send_safely)


def _encode(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode(), value.encode()
