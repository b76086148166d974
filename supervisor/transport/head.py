"""The head of an HTTP/1.1 request: its limits, what is refused and how, and the short responses. Pure.

h11 parses heads. It accepts some things that we refuse:

- a line that ends in a bare LF, folded lines, and Content-Length together with Transfer-Encoding: some proxy reads each
  of them differently, so that one request can hide inside another (RFC 9112 §11.2);
- a complete head above the limit (h11 counts only incomplete ones);
- versions other than 1.x, and CONNECT;
- bytes outside ASCII in the headers that wsproto decodes, where it raises UnicodeDecodeError.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus

import attrs
import h11

from supervisor.limits import count, seconds

KIB = 1024


@attrs.frozen(kw_only=True)
class HttpLimits:
    """Limits of one HTTP connection: sizes in bytes, times in seconds.

    Raises `ValueError` or `TypeError` for an impossible value, naming the option.
    """

    max_head: int = attrs.field(default=16 * KIB, validator=count())
    """Size of the request line with all headers; a larger one gets 431 (RFC 6585 §5). Apache allows 8 KiB per line,
    nginx 8 KiB per line and 32 KiB in all."""
    max_body: int = attrs.field(default=1024 * KIB, validator=count(0))
    """Size of a request's body, declared or received; a larger one gets 413 (RFC 9110 §15.5.14)."""
    head_timeout: float = attrs.field(default=10.0, validator=seconds(zero=False))
    """How long a new connection may take to send its first byte, before it is closed; and how long a head may take from
    its first byte to its end, before it gets 408."""
    idle_timeout: float = attrs.field(default=75.0, validator=seconds(zero=False))
    """How long a kept-alive connection may wait for its next request, before it is closed. nginx's default."""
    body_timeout: float = attrs.field(default=30.0, validator=seconds(zero=False))
    """How long the next bytes of a body may take, before the request gets 408 (RFC 9110 §15.5.9)."""
    write_timeout: float = attrs.field(default=30.0, validator=seconds(zero=False))
    """How long the client may take to accept the next 64 KiB of a response, before the connection is lost."""


@attrs.frozen(kw_only=True)
class Refusal:
    """A short response instead of the app's; the connection ends with it."""

    status: int
    """The HTTP status."""
    text: str
    """One sentence for the person who reads it."""
    retry_after: int | None = None
    """Seconds after which to try again; None leaves the header out."""


@attrs.frozen(kw_only=True)
class Head:
    """A parsed request head. Untrusted: a client wrote it."""

    method: str
    """As it was sent; methods are case-sensitive."""
    target: bytes
    """The raw path with its query; it begins with a slash, unless the head is refused."""
    headers: list[tuple[bytes, bytes]]
    """(lower-case name, value) in the order of the wire."""
    http_version: str
    """"1.1" or "1.0"."""

    def get(self, name: bytes) -> bytes | None:
        """The first value of that header (name in lower case), or None."""
        for found, value in self.headers:
            if found == name:
                return value
        return None

    def tokens(self, name: bytes) -> list[bytes]:
        """The lower-case members of a comma-separated header, all its lines together."""
        values = [value for found, value in self.headers if found == name]
        return [token.strip().lower() for token in b",".join(values).split(b",")]

    @property
    def asks_for_websocket(self) -> bool:
        """Whether this is an opening handshake of a websocket (RFC 6455 §4.1), well-formed or not."""
        return (
            self.method == "GET"
            and self.http_version == "1.1"
            and b"upgrade" in self.tokens(b"connection")
            and b"websocket" in self.tokens(b"upgrade")
        )

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head (RFC 9112 §6.3)."""
        return self.get(b"transfer-encoding") is not None or int(self.get(b"content-length") or 0) > 0

    def serialise(self) -> bytes:
        """The head's bytes, as another parser may read them."""
        lines = [b"%s %s HTTP/%s" % (self.method.encode(), self.target, self.http_version.encode())]
        lines += [b"%s: %s" % header for header in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n"


_MALFORMED = Refusal(status=400, text="The request is malformed: it is not well-formed HTTP/1.1.")
_BAD_LINES = Refusal(
    status=400, text="The request is malformed: a line of its head ends without CR LF, or goes on in the next one."
)
_TWO_LENGTHS = Refusal(
    status=400,
    text="The request is malformed: it says in two ways, or in one of another version, how long its body is.",
)
_UPGRADE_WITH_BODY = Refusal(status=400, text="The request is malformed: one that asks for a websocket has no body.")

# A line feed without its carriage return, and a header line that goes on in the next (RFC 9112 §2.2, §5.2).
_BAD_LINE = re.compile(rb"(?<!\r)\n|\n[ \t]")

# wsproto decodes these as ASCII; nothing else belongs into them anyway.
_ASCII_HEADERS = re.compile(rb"host|connection|upgrade|sec-websocket-.*")
_ASCII_VALUE = re.compile(rb"[\x20-\x7e\t]*")


def refuse_raw_head(received: bytes, limits: HttpLimits) -> Refusal | None:
    """Judge the bytes of a head as they came, whole or not, with or without what follows them."""
    ends = [end for end in (received.find(b"\n\r\n"), received.find(b"\n\n")) if end >= 0]
    size = min(ends) + 3 if ends else len(received)
    if size > limits.max_head:
        return Refusal(status=431, text=f"The request's head is larger than {limits.max_head} bytes.")
    if ends and _BAD_LINE.search(received[:size]):
        return _BAD_LINES
    return None


def refuse_error(error: h11.RemoteProtocolError) -> Refusal:
    """The answer to what h11 can't parse: 501 for an unknown transfer coding, else 400."""
    if error.error_status_hint == 501:
        return Refusal(status=501, text="The request's transfer encoding is not supported.")
    return _MALFORMED


def read_head(request: h11.Request) -> Head:
    """What h11 has parsed, as a Head."""
    version = request.http_version.decode("ascii")
    # RFC 9110 §2.5: a higher minor version of what we speak is treated as the highest that we speak.
    if version.startswith("1.") and version != "1.0":
        version = "1.1"
    return Head(
        method=request.method.decode("ascii"),
        target=bytes(request.target),
        headers=[(bytes(name), bytes(value)) for name, value in request.headers],
        http_version=version,
    )


def refuse_head(head: Head, limits: HttpLimits) -> Refusal | None:
    """Judge a parsed head."""
    if not head.http_version.startswith("1."):
        return Refusal(status=505, text="This server speaks HTTP/1.1.")
    if head.method == "CONNECT":
        return Refusal(status=501, text="This server is not a proxy.")
    if not head.target.startswith(b"/"):
        return Refusal(status=400, text="The request's target must be a path.")
    for name, value in head.headers:
        if _ASCII_HEADERS.fullmatch(name) and not _ASCII_VALUE.fullmatch(value):
            return Refusal(status=400, text=f"The header {name.decode('ascii')} must be ASCII.")
    if head.http_version == "1.1" and head.get(b"host") is None:  # h11 asks for one in 1.1, and not in 1.2
        return _MALFORMED
    declared = head.get(b"content-length")
    if head.get(b"transfer-encoding") is not None and (declared is not None or head.http_version == "1.0"):
        return _TWO_LENGTHS
    if declared is not None and int(declared) > limits.max_body:
        return refuse_body(limits)
    if head.asks_for_websocket and head.has_body:
        return _UPGRADE_WITH_BODY
    return None


def refuse_body(limits: HttpLimits) -> Refusal:
    """The answer to a body above the limit."""
    return Refusal(status=413, text=f"The request's body is larger than {limits.max_body} bytes.")


def http_date(now: float) -> bytes:
    """That time (seconds of Unix), as the Date header has it."""
    return formatdate(now, usegmt=True).encode("ascii")


REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
"""The reason phrase of each known status."""


def encode_refusal(refusal: Refusal, *, now: float, with_body: bool = True) -> bytes:
    """A refusal's whole answer. It needs no parser state, so it can be sent whatever the client did.

    Args:
        refusal: What to say.
        now: For the Date header, in seconds of Unix.
        with_body: False for an answer to HEAD.
    """
    text = f"{refusal.text}\n".encode()
    head = (
        b"HTTP/1.1 %d %s\r\ndate: %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
        b"cache-control: no-store\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
        b"cross-origin-resource-policy: same-origin\r\nreferrer-policy: no-referrer\r\n"
        b"x-content-type-options: nosniff\r\nconnection: close\r\n"
    ) % (refusal.status, REASONS.get(refusal.status, b""), http_date(now), len(text))
    if refusal.retry_after is not None:
        head += b"retry-after: %d\r\n" % refusal.retry_after
    head += b"\r\n"
    return head + text if with_body else head
