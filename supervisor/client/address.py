"""Where a page or a websocket is: the parts of a URL that a client needs. Pure."""

from __future__ import annotations

import base64
import ipaddress
from typing import final
from urllib.parse import quote, unquote, urljoin, urlsplit

import attrs

_TLS = {"http": False, "https": True, "ws": False, "wss": True}
_PAGES = ("http", "https")
_WEBSOCKETS = ("ws", "wss")
_PORTS = {False: 80, True: 443}
# RFC 3986, 3.3 and 3.4: what may stand in a path or a query as it is; `%` because escapes are kept.
_SAFE = "/?:@!$&'()*+,;=%-._~"


@final
@attrs.frozen(kw_only=True)
class Address:
    """One address of a server, ready for a request."""

    tls: bool
    host: str
    """As it is looked up and certified: ASCII, an IPv6 address without brackets."""
    port: int
    target: str
    """Path and query, escaped."""
    authorization: str | None = attrs.field(default=None, repr=False)
    """The Authorization header for `user:password@` in the URL."""

    @property
    def authority(self) -> str:
        """The Host header: the port is left out if it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.tls] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """For pages, cookies and people: http or https, without a password."""
        return f"http{'s' * self.tls}://{self.authority}{self.target}"

    def page(self, location: str) -> Address:
        """Where a redirect, or a link in the page of this address, leads.

        Raises:
            ValueError: it leads to no page

        """
        return _read(urljoin(self.url, location), _PAGES)

    def websocket(self, path: str) -> Address:
        """The websocket that this page names; browsers resolve it in the same way.

        Raises:
            ValueError: it leads nowhere

        """
        return _read(urljoin(self.url, path), (*_PAGES, *_WEBSOCKETS))

    def is_trusted_by(self, first: Address) -> bool:
        """Whether what was meant for the first address may be sent here too: the same host, and never with less."""
        if self.host != first.host:
            return False
        usual = (first.tls, first.port) == (False, 80) and (self.tls, self.port) == (True, 443)
        return usual or (self.tls, self.port) == (first.tls, first.port)


def page_address(url: str, *, session: str | None = None) -> Address:
    """Read the URL of a page; `session` joins the session of that id.

    Raises:
        ValueError: it is none; the message says how one looks

    """
    address = _read(url, _PAGES)
    if session is None:
        return address
    separator = "&" if "?" in address.target else "?"
    return attrs.evolve(address, target=f"{address.target}{separator}session={quote(session, safe='')}")


def websocket_address(url: str) -> Address:
    """Read the URL of a websocket.

    Raises:
        ValueError: it is none; the message says how one looks

    """
    return _read(url, _WEBSOCKETS)


def _read(url: str, schemes: tuple[str, ...]) -> Address:
    example = f"{schemes[0]}://127.0.0.1:5006/" + ("ticker" if schemes[0] == "http" else "ticker/-/websocket")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        ascii_host = host if _is_ip(host) else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise ValueError(f"{url!r} is not an address; one looks like {example}") from None
    if parts.scheme not in schemes or not host:
        raise ValueError(
            f"{url!r} is not an address that begins with {' or '.join(f'{each}://' for each in schemes)};"
            f" one looks like {example}"
        )
    tls = _TLS[parts.scheme]
    query = f"?{parts.query}" if parts.query else ""
    authorization = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(user.encode()).decode()
    return Address(
        tls=tls,
        host=ascii_host,
        port=_PORTS[tls] if port is None else port,
        target=quote((parts.path or "/") + query, safe=_SAFE),
        authorization=authorization,
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
