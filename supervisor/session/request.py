"""The request that a session, or a connection, came with: what hooks decide by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import final

import attrs

_NOTHING: Mapping[str, str] = MappingProxyType({})


@final
@attrs.frozen(kw_only=True)
class Request:
    """One HTTP request, read-only. All of it but `remote_address` is the client's word: untrusted.

    Its repr ends up in logs, so it leaves out headers, cookies and arguments, which may hold secrets.
    """

    headers: Mapping[str, str] = attrs.field(default=_NOTHING, repr=False)
    """By lower-case name; the values of a header that came several times are joined with ", " (RFC 9110 §5.3)."""
    cookies: Mapping[str, str] = attrs.field(default=_NOTHING, repr=False)
    """By name, as the browser sent them."""
    arguments: Mapping[str, tuple[str, ...]] = attrs.field(default=MappingProxyType({}), repr=False)
    """The query's arguments, decoded, each with all its values in order: `request.arguments.get("room", ("",))[0]`."""
    path: str = "/"
    """The path, decoded, without the query."""
    remote_address: str | None = None
    """The peer's IP address, or the visitor's if a trusted proxy tells it; None on a Unix socket or in memory."""
