"""One GET over a stream, as a browser makes it for a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import attrs
import h11
import trio


@final
@attrs.frozen(kw_only=True)
class Answer:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    """By lower-case name; of several of one name the last."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; what isn't UTF-8 is replaced."""
        return self.body.decode(errors="replace")


async def get(
    stream: trio.abc.Stream, target: str, *, headers: Iterable[tuple[str, str]] = (), method: str = "GET"
) -> Answer:
    """Ask for one page and close the stream.

    Raises:
        trio.BrokenResourceError: the server closed the connection without a whole answer.
    """
    connection = h11.Connection(our_role=h11.CLIENT)
    request = h11.Request(
        method=method, target=target, headers=[("Host", "localhost"), *headers, ("Connection", "close")]
    )
    async with stream:
        await stream.send_all(connection.send(request) + connection.send(h11.EndOfMessage()))
        head: h11.Response | None = None
        body = b""
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                raise trio.BrokenResourceError(f"no whole answer: {error}") from error
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
    assert head is not None
    return Answer(
        status=head.status_code,
        headers={name.decode(): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )
