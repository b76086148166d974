"""Requests that two parsers may read in two ways, sent through real proxies, over connections that they share.

If the proxy saw one request where the server sees two, the second one's answer would go to whoever is served next.
"""

import contextlib
import itertools

import pytest
import trio

from supervisor.application.handlers import Application, FunctionHandler
from supervisor.instruments import Instruments
from supervisor.server import Server

from ..docs.proxies import find_free_port, run_haproxy, run_nginx

NGINX = """
upstream app {{ server 127.0.0.1:{server}; keepalive 1; }}
server {{
    listen 127.0.0.1:{port};
    underscores_in_headers on;
    ignore_invalid_headers off;
    location / {{
        proxy_pass http://app;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host localhost;
        proxy_request_buffering off;
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    option accept-invalid-http-request
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    default_backend app
backend app
    http-request set-header Host localhost
    server app 127.0.0.1:{server} pool-max-conn 1
"""
HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HEADS = [
    [b"Content-Length: %d" % len(HIDDEN), b"Transfer-Encoding: chunked"],
    [b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(HIDDEN)],
    [b"Content-Length: 0", b"Content-Length: %d" % len(HIDDEN)],
    [b"Content-Length: 0, %d" % len(HIDDEN)],
    [b"Content-Length: +0"],
    [b"Content_Length: %d" % len(HIDDEN)],
    [b"Content-Length : %d" % len(HIDDEN)],
    [b"Content-Length: 0\r\n %d" % len(HIDDEN)],
    [b"Transfer-Encoding : chunked", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"Transfer_Encoding: chunked", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"Transfer-Encoding: xchunked", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"Transfer-Encoding:\tchunked", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"Transfer-Encoding: chunked, identity", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"Transfer-Encoding: \x0bchunked", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"X: y\nTransfer-Encoding: chunked", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"X: y\rTransfer-Encoding: chunked", b"Content-Length: %d" % (len(HIDDEN) + 5)],
    [b"Connection: Content-Length", b"Content-Length: %d" % len(HIDDEN)],
    [b"Expect: 100-continue", b"Content-Length: %d" % len(HIDDEN)],
    [b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: %d" % len(HIDDEN)],
]
_BODIES = [HIDDEN, b"0\r\n\r\n" + HIDDEN, b"0\n\n" + HIDDEN, b"0;x=\n\r\n\r\n" + HIDDEN, b"0\r\nX: y\r\n\r\n" + HIDDEN]


def attacks():
    for method, target, lines, body in itertools.product((b"GET", b"POST"), (b"/app",), _HEADS, _BODIES):
        head = [b"%s %s HTTP/1.1" % (method, target), b"Host: localhost", *lines, b"", b""]
        yield b"\r\n".join(head) + body


class Seen(Instruments):
    """What of the hidden requests came to the server as a request."""

    def __init__(self):
        self.smuggled = 0
        self.incidents = []

    def page_refused(self, *, application, reason, incident):
        self.smuggled += reason.startswith("404") and "/smuggled" in reason

    def failed(self, incident):
        self.incidents.append(incident)


async def ask(port, data, *, until=b""):
    """What comes back, within a moment, or up to some bytes."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    received = b""
    async with stream:
        with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(10 if until else 0.05):
            await stream.send_all(data)
            while not (until and received.endswith(until)) and (more := await stream.receive_some()):
                received += more
    return received


@pytest.mark.parametrize(
    ("run", "configuration"), [(run_nginx, NGINX), (run_haproxy, HAPROXY)], ids=["nginx", "haproxy"]
)
async def test_no_request_hides_in_another(run, configuration):
    seen = Seen()
    server = Server(Application([FunctionHandler(lambda doc: None)], name="app"), port=0, instruments=seen)
    with trio.fail_after(120):
        async with server:
            port = find_free_port()
            backend = server.urls["app"].rpartition(":")[2].partition("/")[0]
            with run(configuration.format(port=port, server=backend), port=port):
                answered = 0
                for attack in attacks():
                    before = seen.smuggled
                    received = await ask(port, attack)
                    answered += received.count(b"Nothing is here")
                    neighbour = await ask(port, b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n", until=b"ok\n")
                    assert neighbour.startswith(b"HTTP/1.1 200 OK\r\n"), (attack, neighbour)
                    assert neighbour.endswith(b"\r\n\r\nok\n"), (attack, neighbour)
                    # Where it was a request of its own for the proxy too, the attacker has its answer.
                    assert seen.smuggled - before <= received.count(b"HTTP/1.1 404"), (attack, received)
    assert seen.incidents == []
