"""Opening streams, and why that fails, in words."""

import errno
import os
import socket
import ssl

import pytest
import trio
import trio.testing

from supervisor.client.address import page_address
from supervisor.client.dialing import Dialer, explain, open_tcp
from supervisor.errors import ConnectFailed


async def test_it_opens_a_stream_to_host_and_port():
    asked = []
    ours, _ = trio.testing.memory_stream_pair()

    async def open_stream(host, port):
        await trio.lowlevel.checkpoint()
        asked.append((host, port))
        return ours

    assert await Dialer(open_stream)(page_address("http://example.org:81/x")) is ours
    assert asked == [("example.org", 81)]


async def test_nobody_listens_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        port = taken.getsockname()[1]
        with pytest.raises(ConnectFailed) as caught:
            await Dialer(open_tcp)(page_address(f"http://127.0.0.1:{port}/"))
    assert str(caught.value) == f"127.0.0.1:{port} can't be reached: connection refused"


async def test_it_is_no_server_of_tls():
    async def answer(stream):
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(answer, theirs)

        async def open_stream(host, port):
            await trio.lowlevel.checkpoint()
            return ours

        with pytest.raises(ConnectFailed, match=r"^a can't be reached: it doesn't speak TLS as we do \("):
            await Dialer(open_stream)(page_address("https://a/"))
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive_some()


def cause(error, reason):
    error.__cause__ = reason
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ECONNRESET, "Error connecting to ('::1', 1)"), os.strerror(errno.ECONNRESET)),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (
            cause(OSError("all attempts failed"), ExceptionGroup("x", [OSError(errno.ENETUNREACH, "x"), OSError("y")])),
            os.strerror(errno.ENETUNREACH),
        ),
        (cause(trio.BrokenResourceError(), ConnectionResetError(errno.ECONNRESET, "x")), os.strerror(errno.ECONNRESET)),
        (trio.BrokenResourceError("an answer of more than 5 bytes"), "An answer of more than 5 bytes"),
        (trio.BrokenResourceError(), "The connection was lost"),
        (cause(trio.BrokenResourceError(), ssl.SSLError(1, "x")), "It doesn't speak TLS as we do (x)"),
    ],
)
def test_a_failure_is_said_in_the_words_of_its_innermost_cause(error, said):
    assert explain(error) == said[:1].lower() + said[1:]


def test_a_certificate_that_is_not_trusted_is_told_as_such():
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"
    assert (
        explain(cause(trio.BrokenResourceError(), error)) == "its certificate isn't trusted (self-signed certificate)"
    )
