"""Visiting a page: redirects, cookies, and what the page says about its session."""

from __future__ import annotations

import email.message
import urllib.request
from collections.abc import Iterable
from http.cookiejar import CookieJar
from typing import Any, final

import attrs

from supervisor._version import __version__
from supervisor.client.address import Address
from supervisor.client.dialing import LOST, Dialer, explain
from supervisor.client.http import Answer, exchange, make_head
from supervisor.client.page import Entry, read_entry, read_sentence
from supervisor.errors import ConnectFailed, PageRefused

MAX_REDIRECTS = 10
"""More than any way to a page has; browsers follow twenty."""
_REDIRECTS = (301, 302, 303, 307, 308)
_OURS = ("host", "connection", "upgrade", "content-length", "transfer-encoding", "accept-encoding")
"""Headers that belong to the connection and not to its user."""

Headers = tuple[tuple[str, str], ...]


@final
@attrs.frozen(kw_only=True)
class Visit:
    """What a page gave."""

    entry: Entry
    websocket: Address
    headers: Headers = attrs.field(repr=False)
    """For the websocket's handshake: the user's own, and cookies."""


@final
class Visitor:
    """Visits pages for one client. Its cookies stay from one visit to the next, as those of a browser's window do.

    Rule: what the user gave for one server goes to that one alone. Headers and a password go with each request to the
    address that the user named, also if that was http and became https, and nowhere else a redirect may lead.
    """

    def __init__(self, dialer: Dialer, headers: Iterable[tuple[str, str]] = ()) -> None:
        self._dialer = dialer
        self._headers = check_headers(headers)
        self._cookies = CookieJar()

    def by(self, dialer: Dialer) -> Visitor:
        """The same visitor, by other streams: as one more window of a browser, with the same cookies."""
        other = Visitor(dialer, self._headers)
        other._cookies = self._cookies
        return other

    async def visit(self, first: Address) -> Visit:
        """Get the page and read its entry.

        Raises:
            PageRefused: the server answered with another status than 200.
            ConnectFailed: there is no server, or its answer is not the page of a session.

        """
        return self.read(*await self.load(first), first)

    async def load(self, first: Address) -> tuple[Answer, Address]:
        """Get the page, whatever it is, from where redirects lead; and that address.

        Raises:
            ConnectFailed: there is no server, or it leads to nowhere.

        """
        address = first
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(address, first)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or location is None:
                return answer, address
            try:
                following = address.page(location)
            except ValueError as error:
                raise ConnectFailed(f"{address.url} redirects to another address, but {error}") from None
            if address.tls and not following.tls:
                raise ConnectFailed(f"{address.url} redirects to {following.url}, which isn't encrypted")
            address = following
        raise ConnectFailed(f"{first.url} redirects from one address to the next and never to a page")

    def read(self, answer: Answer, address: Address, first: Address) -> Visit:
        """What the page says that `load` has got.

        Raises:
            PageRefused, ConnectFailed: see `visit`.

        """
        if answer.status != 200:
            said = read_sentence(answer.text) or "it says no more"
            raise PageRefused(
                f"{address.url} answers with status {answer.status}: {said}",
                status=answer.status,
                retry_after=_seconds(answer.headers.get("retry-after", "")),
                text=answer.text,
                headers=answer.headers,
            )
        entry = read_entry(answer.text)
        if entry is None:
            raise ConnectFailed(
                f'{address.url} is not the page of a session, since it has no <meta name="supervisor">;'
                " give the address of an app's page, such as http://127.0.0.1:5006/ticker"
            )
        try:
            websocket = address.websocket(entry.websocket)
        except ValueError as error:
            raise ConnectFailed(f"{address.url} names a websocket, but {error}") from None
        return Visit(entry=entry, websocket=websocket, headers=self.headers_for(websocket, first))

    async def _get(self, address: Address, first: Address) -> Answer:
        stream = await self._dialer(address)
        headers = [("Host", address.authority), *self.headers_for(address, first), ("Accept", "text/html, */*;q=0.1")]
        try:
            answer = await exchange(stream, address.target, headers=[*headers, ("Accept-Encoding", "identity")])
        except LOST as error:
            raise ConnectFailed(f"{address.authority} doesn't answer as a web server: {explain(error)}") from error
        self._cookies.extract_cookies(_as_response(answer), _as_request(address))
        return answer

    def headers_for(self, address: Address, first: Address) -> Headers:
        """The user's headers and the cookies, for a request to this address; `first` is the one that the user gave."""
        headers = list(self._headers) if address.is_trusted_by(first) else []
        names = {name.lower() for name, _ in headers}
        if first.authorization is not None and address.is_trusted_by(first) and "authorization" not in names:
            headers.append(("Authorization", first.authorization))
        request = _as_request(address)
        self._cookies.add_cookie_header(request)
        cookies = [value for name, value in headers if name.lower() == "cookie"]
        cookies += filter(None, [request.get_header("Cookie")])
        headers = [(name, value) for name, value in headers if name.lower() != "cookie"]
        if cookies:  # RFC 6265, 5.4: one header
            headers.append(("Cookie", "; ".join(cookies)))
        if "user-agent" not in names:
            headers.append(("User-Agent", f"session-supervisor/{__version__}"))
        return tuple(headers)


def check_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers, if they can be sent.

    Raises:
        ValueError: one can't be sent, or isn't the user's to give.

    """
    checked = []
    for name, value in headers:
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"the header {name!r} is set by the client itself and can't be given")
        make_head("GET", "/", [("Host", "localhost"), (name, value)])
        checked.append((name, value))
    return tuple(checked)


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


# The standard library's cookie jar knows all rules of cookies, and asks for urllib's requests and responses.


def _as_request(address: Address) -> urllib.request.Request:
    return urllib.request.Request(address.url)  # noqa: S310 (nothing is opened)


def _as_response(answer: Answer) -> Any:
    message = email.message.Message()
    for name, value in answer.fields:
        message[name] = value
    return _Response(message)


@final
@attrs.frozen
class _Response:
    _message: email.message.Message

    def info(self) -> email.message.Message:
        return self._message
