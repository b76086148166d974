"""Who may come in, judged by the peer and the head alone, before any page or websocket is asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container
from typing import final

from supervisor.transport.forwarded import Caller, Peer
from supervisor.transport.head import Head, Refusal
from supervisor.transport.origin import Origins, parse_allowed

SHOWN_NAME = 300
"""How much of a refused Host or Origin logs show; a name has at most 253 characters (RFC 1035, 2.3.4)."""

_WRONG_HOST = (
    "This server does not answer to the name that you called it by, since anybody could have made that name lead here. "
    "Use the server's own address, or ask who runs it to allow the name; the log says how."
)
_WRONG_ORIGIN = (
    "Pages of this origin may not connect to this server, since they would do it in your name. "
    "Ask who runs it to allow the origin; the log says how."
)


@final
class Admission:
    """See the module. Refusals are plain text, because there may be no page that they could be part of.

    Args:
        origins: the names that the server answers to.
        websockets: the paths at which there are websockets.
        local_only: turn other machines away.
        tell: hears of each refusal that an operator may want to mend; a plain function.
    """

    def __init__(
        self, origins: Origins, *, websockets: Container[bytes], local_only: bool, tell: Callable[[str], None]
    ) -> None:
        self._origins = origins
        self._websockets = websockets
        self._local_only = local_only
        self._tell = tell

    def check(self, head: Head, peer: Peer, caller: Caller) -> Refusal | None:
        """Turn away what doesn't belong here; see `transport.origin`."""
        if self._local_only and peer.address is not None and not is_loopback(peer.address):
            self._tell(f"{peer.address} is another machine, and a development server is for its own only")
            return Refusal(status=403, text="This server runs for development, and serves its own machine only.")
        host = caller.host
        if not self._origins.accepts_host(host):
            self._tell(f"the host {_shown(host)} is not one of ours{_advice(host)}")
            return Refusal(status=421, text=_WRONG_HOST)
        if not head.asks_for_websocket:
            return None
        if head.target.partition(b"?")[0] not in self._websockets:
            return Refusal(status=404, text="There is no websocket at this address.")
        origin = head.get(b"origin")
        if origin is not None:
            shown = origin.decode("latin-1")
            if not self._origins.accepts_origin(shown, host=host, secure=caller.scheme == "https"):
                self._tell(f"the origin {_shown(shown)} is not {_shown(host)}{_advice(shown)}")
                return Refusal(status=403, text=_WRONG_ORIGIN)
        return None


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own, to itself; IPv4 in IPv6 too."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _shown(text: str) -> str:
    """A header's value for a log line: quoted, and no longer than a name can be."""
    return repr(text if len(text) <= SHOWN_NAME else text[: SHOWN_NAME - 1] + "…")


def _advice(name: str) -> str:
    """The option that would allow a name, if one can."""
    if len(name) > SHOWN_NAME:
        return ""
    try:
        parse_allowed(name)
    except ValueError:
        return ""
    return f"; --allow-origin {name} would allow it"
