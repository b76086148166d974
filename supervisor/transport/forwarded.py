"""Who asks, and by which name and scheme: the connection's own word, or that of trusted proxies before it. Pure.

Essay: whom to believe. `X-Forwarded-For` is a list to which each proxy appends the address that its request came from.
Whatever a visitor puts there is at the beginning. So the list is read from the end, and only as long as the writer of
an entry is trusted: the peer wrote the last entry, and the address in it wrote the one before. The first address that
is not trusted is the visitor's; everything before it is meaningless. `X-Forwarded-Host` and `X-Forwarded-Proto` are set
or extended by the proxy next to us: their last value is its own. If the peer is not trusted, all three are ignored.
`Forwarded` (RFC 7239) is always ignored, except as a sign of a proxy: common proxies set the other three, and pass on
what a visitor wrote into this one, so a server that read both would let visitors choose their address.

Essay: whose sessions are counted together. The number of sessions per address is limited, so that nobody takes all of
them; the address is the visitor's, as above. But behind a proxy that isn't configured as trusted, all visitors have the
proxy's address, and would share one visitor's limit. Such a proxy is recognised by where it is and what it sends: it
connects from this machine or from a private network, and adds `Forwarded` or `X-Forwarded-For`. Visitors who come
through it are not counted, and the log says once how to change that. Nobody on the internet can evade the limit by
sending the header, since their address is public whatever they send. In a private network that is possible until a
proxy is configured as trusted: from then on, everybody else who sends the header is counted as usual. This machine
itself is never counted, since whoever is on it can do worse; nor are connections to a Unix socket, which have no
address.
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
            f"{word!r} is not the address of a proxy: write an IP address, a network such as 10.0.0.0/8, or"
            f" {UNIX}{hint}"
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
