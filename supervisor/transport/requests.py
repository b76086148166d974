"""An HTTP request as hooks see it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from types import MappingProxyType
from urllib.parse import parse_qs, unquote

from supervisor.session.request import Request

MAX_ARGUMENTS = 1_000
"""Query arguments that are read; more than that is no page's address but an attack on whoever reads them."""


def read_request(
    target: bytes, headers: Iterable[tuple[bytes, bytes]], *, remote_address: str | None = None
) -> Request:
    """Make a `Request` of a head's raw parts, which are untrusted. Bytes that are no text are replaced."""
    path, _, query = target.decode("latin-1").partition("?")
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=MAX_ARGUMENTS)
    except ValueError:
        found = {}
    return Request(
        headers=MappingProxyType(joined),
        cookies=MappingProxyType(read_cookies(joined.get("cookie", ""))),
        arguments=MappingProxyType({name: tuple(values) for name, values in found.items()}),
        path=unquote(path, errors="replace"),
        remote_address=remote_address,
    )


def read_cookies(header: str) -> dict[str, str]:
    """The cookies of a Cookie header; what can't be understood is left out, the rest is kept (RFC 6265, 5.4)."""
    cookies: dict[str, str] = {}
    for part in header.replace(", ", "; ").split(";"):
        parsed: SimpleCookie = SimpleCookie()
        try:
            parsed.load(part.strip())
        except CookieError:
            continue
        cookies.update({name: morsel.value for name, morsel in parsed.items() if name not in cookies})
    return cookies
