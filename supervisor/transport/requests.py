"""An HTTP request as hooks see it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import SimpleCookie
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
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
        if name == "cookie":
            cookies.append(value)
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=MAX_ARGUMENTS)
    except ValueError:
        found = {}
    return Request(
        headers=MappingProxyType(joined),
        cookies=MappingProxyType(read_cookies("; ".join(cookies))),
        arguments=MappingProxyType({name: tuple(values) for name, values in found.items()}),
        path=unquote(path, errors="replace"),
        remote_address=remote_address,
    )


def read_cookies(header: str) -> dict[str, str]:
    """The cookies of a Cookie header, as lenient as browsers are (RFC 6265, 5.4): of two of one name the first.

    Not `SimpleCookie.load`, which loses every cookie whose value has a space or a quote in it, or whose name is that of
    an attribute, such as `version`.
    """
    decode = SimpleCookie().value_decode
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, found, value = part.partition("=")
        if found and name.strip():
            cookies.setdefault(name.strip(), decode(value.strip())[0])
    return cookies
