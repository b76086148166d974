"""One GET over a stream, as a browser makes it for a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import attrs
import h11
import trio

MAX_BODY = 16 * 1024 * 1024
"""Bytes of an answer: far more than a page has, and no more than a program can hold."""
_MAX_HEAD = 64 * 1024
"""Bytes of an answer's head; servers commonly allow themselves 8 to 32 KiB."""


@final
@attrs.frozen(kw_only=True)
class Answer:
    """What the server answered. It is untrusted."""

    status: int
    fields: tuple[tuple[str, str], ...]
    """The headers as they came, with lower-case names."""
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; of several of one name the last."""
        return dict(self.fields)

    @property
    def text(self) -> str:
        """The body as text; what isn't UTF-8 is replaced."""
        return self.body.decode(errors="replace")


def make_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> h11.Request:
    """The head of a request.

    Raises:
        ValueError: it can't be sent like this: a header has a line break, or a character that HTTP has no place for

    """
    try:
        # Byte by byte as they were read: RFC 9110, 5.5 leaves open what those beyond ASCII mean.
        encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        return h11.Request(method=method, target=target, headers=encoded)
    except (h11.LocalProtocolError, UnicodeError) as error:
        raise ValueError(f"HTTP can't carry this request: {error}") from None


async def exchange(
    stream: trio.abc.Stream, target: str, *, headers: Iterable[tuple[str, str]], method: str = "GET"
) -> Answer:
    """Ask for one page and close the stream. `headers` must have Host.

    Raises:
        trio.BrokenResourceError: the server closed the connection without a whole answer, or sent too much.
        ValueError: see `make_head`.

    """
    connection = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    async with stream:
        request = make_head(method, target, [*headers, ("Connection", "close")])
        await stream.send_all(connection.send(request) + connection.send(h11.EndOfMessage()))
        head: h11.Response | None = None
        body = bytearray()
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                why = "the connection was closed" if connection.trailing_data[1] else error
                raise trio.BrokenResourceError(f"no complete response: {why}") from error
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    raise trio.BrokenResourceError(f"a response of more than {MAX_BODY:,} bytes")
            elif isinstance(event, h11.EndOfMessage):
                break
    assert head is not None
    return Answer(
        status=head.status_code,
        fields=tuple((name.decode(), value.decode("latin-1")) for name, value in head.headers),
        body=bytes(body),
    )
