"""Who asks, and by which name and scheme: the connection's own word, or that of trusted proxies before it. Pure.

Essay: whom to believe. `X-Forwarded-For` is a list to which each proxy adds, at its end, the address that it was asked
from. Whatever a visitor puts there himself stands at the beginning. So it is read from the end, and only while the one
who wrote an entry is trusted: the peer wrote the last one, and whom it names wrote the one before it. The first address
that is not trusted is the visitor's; nothing before it means anything. `X-Forwarded-Host` and `X-Forwarded-Proto` are
set by the proxy next to us, or made longer by it: their last value is its own. If the peer is not trusted, none of the
three is looked at. `Forwarded` (RFC 7239) never is, but as a sign of a proxy: the proxies that people have set the
three, and hand on what a visitor wrote into it; whoever read both would let him choose his address.

Essay: whose sessions are counted together. One address may have so many of them, so that nobody takes all there are;
the address is the visitor's, as above. But before a proxy that nobody has named as trusted, all visitors have the
proxy's, and would share what is one visitor's. Such a proxy is known by where it is and what it sends: it connects from
this machine or from a private network, and adds `Forwarded` or `X-Forwarded-For`. Those who come through it are not
counted, and the log says once how to have it otherwise. Nobody on the internet can switch their limit off by sending
the header, since a public address stays one, whatever is sent from it. In a private network one can, until a proxy is
named as trusted: from then on whoever else sends the header is counted like all others. This machine itself is never
counted, as whoever is on it can do worse; nor is who comes by a Unix socket, as there is no address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal, final

import attrs

UNIX = "unix"
"""The word that trusts whoever connects by a Unix socket."""

Scheme = Literal["http", "https"]
_IP = ipaddress.IPv4Address | ipaddress.IPv6Address
_Headers = Iterable[tuple[bytes, bytes]]


@final
@attrs.frozen(kw_only=True)
class Peer:
    """Who is at the other end of a connection, whatever it says of itself."""

    address: str | None
    """Its IP address; None on a Unix socket or in memory, and once it is gone."""
    is_unix: bool = False
    scheme: Scheme = "http"
    """`https` if the connection is TLS."""


@final
@attrs.frozen(kw_only=True)
class Caller:
    """Who a request is from."""

    address: str | None
    """The visitor's IP address; None where it isn't known."""
    host: str
    """The name by which this server was asked, with the port; untrusted, and empty without a Host header."""
    scheme: Scheme
    """How the visitor's browser asked, as far as is known."""
    counted_as: str | None = None
    """What its sessions are counted under: its IPv4 address, or its IPv6 network of 64 bits, since a visitor has all
    of that. None if they are not counted."""
    is_behind_unknown_proxy: bool = False
    """Whether it came through what looks like a proxy, and is not trusted."""


@final
class TrustedProxies:
    """The proxies whose forwarded headers count: IP addresses, networks such as 10.0.0.0/8, and the word `unix`.

    Raises:
        ValueError: it is none of these.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        words = list(trusted)
        self._unix = UNIX in words
        self._networks = [_read_network(word) for word in words if word != UNIX]
        self._knows_any = bool(words)

    def find_caller(self, peer: Peer, headers: _Headers) -> Caller:
        """Who asks. The headers are untrusted; their names are in lower case."""
        host, forwarded_for, forwarded_host, forwarded_proto = b"", [], b"", b""
        has_forwarded = False
        for name, value in headers:
            if name == b"host":
                host = host or value
            elif name == b"x-forwarded-for":
                forwarded_for += value.split(b",")
            elif name == b"x-forwarded-host":
                forwarded_host = value
            elif name == b"x-forwarded-proto":
                forwarded_proto = value
            elif name == b"forwarded":
                has_forwarded = True
        shown = host.decode("latin-1")
        came = None if peer.address is None else _read_address(peer.address)
        if not (self._unix if peer.is_unix else came is not None and self._is_trusted(came)):
            looks_like_proxy = came is not None and came.is_private and bool(forwarded_for or has_forwarded)
            is_behind = looks_like_proxy and not self._knows_any
            return Caller(
                address=peer.address,
                host=shown,
                scheme=peer.scheme,
                counted_as=None if came is None or is_behind else counted_as(came),
                is_behind_unknown_proxy=is_behind,
            )
        address = peer.address
        came = None
        for entry in reversed(forwarded_for):
            found = _read_address(entry.decode("latin-1").strip())
            if found is None:  # "unknown", or rubbish: the one before it would be nobody's word
                break
            address, came = str(found), found
            if not self._is_trusted(found):
                break
        proto = _last(forwarded_proto).lower()
        scheme: Scheme = "https" if proto in ("https", "wss") else "http" if proto in ("http", "ws") else peer.scheme
        return Caller(
            address=address,
            host=_last(forwarded_host) or shown,
            scheme=scheme,
            counted_as=None if came is None else counted_as(came),
        )

    def _is_trusted(self, address: _IP) -> bool:
        return any(address in network for network in self._networks)


def counted_as(address: _IP) -> str | None:
    """See `Caller.counted_as`."""
    if address.is_loopback:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def _last(value: bytes) -> str:
    return value.decode("latin-1").rpartition(",")[2].strip()


def _read_network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError as error:
        hint = f" (did you mean {ipaddress.ip_network(word, strict=False)}?)" if "host bits" in str(error) else ""
        raise ValueError(
            f"{word!r} is no address of a proxy: write an IP address, a network such as 10.0.0.0/8, or {UNIX}{hint}"
        ) from None


def _read_address(text: str) -> _IP | None:
    """An address as proxies write it: alone, or with a port; None if it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    # What listens on :: sees its IPv4 peers as ::ffff:192.0.2.1.
    return getattr(found, "ipv4_mapped", None) or found
