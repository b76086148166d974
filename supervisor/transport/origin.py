"""Which Host and Origin are ours. Pure.

Essay: two attacks, two headers. *DNS rebinding*: a page of evil.example gets its own name to resolve to our address, so
that the browser takes our pages for evil.example's own; what gives it away is the Host header, which still says
evil.example. So Host must be a name that nobody else can point at us: an IP literal, localhost, this machine's own
name, or one that the operator named. *Cross-site websockets*: browsers let any page open a websocket to us and send our
cookies along; what gives it away is the Origin header. So Origin, if there is one, must be the Host's own or a named
one. A client that is not a browser sends no Origin; it has no cookies of a visitor either, so it is accepted.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable
from typing import final
from urllib.parse import urlsplit

# No wildcards: a name that stands for many is a name that others can get.
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@final
class Origins:
    """The names that this server answers to."""

    def __init__(self, allowed: Iterable[str] = (), *, machine: str = "") -> None:
        self._hosts = {"localhost", machine.lower()} - {""}
        self._origins: set[tuple[str | None, str, int | None]] = set()
        for name in allowed:
            scheme, host, port = parse_allowed(name)
            self._hosts.add(host)
            self._origins.add((scheme, host, port))

    def accepts_host(self, host: str) -> bool:
        """Whether this Host header is one of ours; it is untrusted. The port doesn't matter."""
        split = _split_authority(host)
        if split is None:
            return False
        name = split[0]
        if name in self._hosts:
            return True
        return is_address(name)

    def accepts_origin(self, origin: str, *, host: str, secure: bool = False) -> bool:
        """Whether a page of this Origin may open a websocket to this Host; both are untrusted.

        `secure` says that this server is surely reached by TLS. Then its own pages are too, and a page of `http` with
        its name is somebody's who sits on the visitor's line.
        """
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        split = _split_authority(parts.netloc)
        own = _split_authority(host)
        if split is None or own is None or parts.scheme not in _DEFAULT_PORTS:
            return False
        name, port = split
        default = _DEFAULT_PORTS[parts.scheme]
        is_own = name == own[0] and (port or default) == (own[1] or default)
        if is_own and not (secure and parts.scheme in ("http", "ws")):
            return True
        return any(
            name == allowed and scheme in (None, parts.scheme) and allowed_port in (None, port or default)
            for scheme, allowed, allowed_port in self._origins
        )


def parse_allowed(name: str) -> tuple[str | None, str, int | None]:
    """Read one value of `--allow-origin`: `example.org`, `example.org:8443` or `https://example.org`.

    Raises:
        ValueError: it is none of these.
    """
    scheme, separator, authority = name.lower().rpartition("://")
    split = _split_authority(authority.removesuffix("/"))
    host, port = split or ("", None)
    if not host.isascii():  # browsers send names in this form
        with contextlib.suppress(UnicodeError):
            host = host.encode("idna").decode()
    if not (_NAME.fullmatch(host) or is_address(host)) or (separator and scheme not in _DEFAULT_PORTS):
        raise ValueError(f"{name!r} is not an origin: write a name such as example.org, or https://example.org:8443")
    return scheme or None, host, port or (_DEFAULT_PORTS[scheme] if scheme else None)


def frame_source(name: str) -> str:
    """Read one value of `--allow-embedding`, as `parse_allowed` does, into a source of a Content-Security-Policy.

    Content Security Policy level 3, 2.3.1: a source without a scheme means the page's own, or a safer one; one without
    a port means the scheme's own port. It has no form for IPv6 addresses.

    Raises:
        ValueError: it is not an origin, or none that a policy can name.
    """
    scheme, host, port = parse_allowed(name)
    if scheme in ("ws", "wss"):
        raise ValueError(f"{name!r} is not the origin of a page: write http:// or https://")
    if ":" in host:
        raise ValueError(f"{name!r} can't be part of a page's policy, which has no IPv6 addresses: write a host name")
    prefix = "" if scheme is None else f"{scheme}://"
    return prefix + host + ("" if port is None or port == _DEFAULT_PORTS.get(scheme or "") else f":{port}")


def _split_authority(authority: str) -> tuple[str, int | None] | None:
    """Host (lower case, without brackets or a final dot) and port of `host:port`; None if it is malformed."""
    if not authority or any(character in authority for character in "@/\\ ,?#"):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    name = (name or "").removesuffix(".")
    return (name, port) if name else None


def is_address(name: str) -> bool:
    """Whether this is an IP address, and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
