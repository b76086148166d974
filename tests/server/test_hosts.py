"""The names that a server answers to: Host, Origin, embedders, proxies."""

import pytest
import trio

from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.http import get
from supervisor.transport.admission import SHOWN_NAME

from .running import MACHINE, SOCKET, UPGRADE, app_of


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:5006", 200),
        ("LocalHost.", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("[2001:db8::7]", 200),
        (MACHINE, 200),
        (MACHINE.upper() + ".:80", 200),
        ("live.example.org", 200),
        ("LIVE.example.org:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost:x", 421),
        ("[", 421),
        ("", 421),
    ],
)
async def test_pages_and_websockets_are_for_our_hosts(serve, host, status):
    run = await serve(allow_origins=("live.example.org",))
    line = b"Host: " + host.encode()
    assert await run.ask(line) == status
    assert await run.ask(line, target="/-/health") == status
    assert await run.ask(line, target="/nothing") == (404 if status == 200 else 421)
    assert await run.ask(line, *UPGRADE, target=SOCKET) == (101 if status == 200 else 421)
    assert len(run.log.refusals) == (0 if status == 200 else 4)


async def test_http_1_0_without_a_host_is_refused(serve):
    run = await serve()
    stream = await run.listener.connect()
    await stream.send_all(b"GET /app HTTP/1.0\r\n\r\n")
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),  # no browser
        ("http://localhost:5006", 101),
        ("http://LOCALHOST.:5006", 101),
        ("https://live.example.org", 101),
        ("https://live.example.org:1", 101),
        ("https://tls.example:8443", 101),
        ("https://tls.example", 403),
        ("http://tls.example:8443", 403),
        ("http://localhost", 403),
        ("http://127.0.0.1:5006", 403),
        ("http://evil.example", 403),
        ("http://localhost:5006@evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("file://", 403),
    ],
)
async def test_websockets_are_for_our_origins(serve, origin, status):
    run = await serve(allow_origins=("live.example.org", "https://tls.example:8443"))
    lines = [b"Host: localhost:5006", *UPGRADE]
    if origin is not None:
        lines.append(b"Origin: " + origin.encode())
    assert await run.ask(*lines, target=SOCKET) == status
    assert len(run.log.refusals) == (status == 403)
    assert run.log.incidents == []


async def test_an_origin_that_is_not_ascii_is_refused(serve):
    run = await serve()
    assert await run.ask(b"Host: localhost", *UPGRADE, b"Origin: http://localhost\xff", target=SOCKET) == 403
    assert run.log.incidents == []


async def test_pages_may_be_asked_for_from_anywhere(serve):
    """A link on another site leads here; what it must not do is to open a websocket."""
    run = await serve()
    assert await run.ask(b"Host: localhost", b"Origin: http://evil.example") == 200


async def test_pages_may_be_framed_by_those_who_were_named(serve):
    for options, sources in (
        ({}, ""),
        ({"allow_embedding": ("https://a.example", "b.example:8443")}, " https://a.example b.example:8443"),
    ):
        run = await serve(**options)
        for target in ("/app", "/nowhere"):
            policy = (await run.get(target)).headers["content-security-policy"]
            assert policy.endswith(f"frame-ancestors 'self'{sources}")


def test_a_wrong_embedder_is_refused():
    with pytest.raises(ValueError, match="is not an origin"):
        Server([app_of()], options=ServerOptions(allow_embedding=("*",)))


async def test_a_refusal_names_the_option_that_would_allow_it(serve):
    run = await serve()
    await run.ask(b"Host: live.example.org:5006")
    await run.ask(b"Host: localhost", *UPGRADE, b"Origin: https://live.example.org", target=SOCKET)
    assert run.log.refusals == [
        "the host 'live.example.org:5006' is not one of ours; --allow-origin live.example.org:5006 would allow it",
        "the origin 'https://live.example.org' is not 'localhost'; "
        "--allow-origin https://live.example.org would allow it",
    ]
    for name in ("live.example.org:5006", "https://live.example.org"):
        again = await serve(allow_origins=(name,))
        assert await again.ask(b"Host: live.example.org:5006") == 200
        origin = b"Origin: https://live.example.org" if "https" in name else b"Origin: http://live.example.org:5006"
        assert await again.ask(b"Host: localhost", *UPGRADE, origin, target=SOCKET) == 101


async def test_a_refusal_names_no_option_where_none_helps(serve):
    run = await serve()
    await run.ask(b"Host: a b")
    await run.ask(b"Host: localhost", *UPGRADE, b"Origin: http://x/\x9b31m", target=SOCKET)
    await run.ask(b"Host: " + b"a" * 10_000)
    assert run.log.refusals[:2] == [
        "the host 'a b' is not one of ours",
        "the origin 'http://x/\\x9b31m' is not 'localhost'",
    ]
    assert "a" * (SHOWN_NAME - 1) + "…'" in run.log.refusals[2]


async def test_a_websocket_elsewhere_is_404(serve):
    run = await serve(prefix="/tools")
    for target in ("/app", SOCKET, "/tools/app", "/tools/other/-/websocket", "/tools/app/-/websocket/"):
        assert await run.ask(b"Host: localhost", *UPGRADE, target=target) == 404
    assert await run.ask(b"Host: localhost", *UPGRADE, target="/tools" + SOCKET) == 101
    assert await run.ask(b"Host: localhost", *UPGRADE, target="/tools" + SOCKET + "?a=1") == 101


# Proxies.


async def ask_through_proxy(trusted, **headers):
    """What a page's session sees, and whether it was let in, from a peer at 127.0.0.1."""
    server = Server([app_of()], options=ServerOptions(trusted_proxies=trusted, allow_origins=("example.org",)))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        stream = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        answer = await get(stream, "/app", headers=sent)
        requests = [session.request for session in server.applications["app"].snapshot()]
        server.stop()
    return answer.status, [request.remote_address for request in requests]


async def test_a_trusted_proxy_tells_who_the_visitor_is():
    headers = {"X_Forwarded_For": "198.51.100.66, 203.0.113.9", "X_Forwarded_Host": "example.org"}
    assert await ask_through_proxy(("127.0.0.1",), **headers) == (200, ["203.0.113.9"])
    assert await ask_through_proxy((), **headers) == (200, ["127.0.0.1"])


async def test_the_host_that_a_trusted_proxy_tells_must_be_ours():
    assert await ask_through_proxy(("127.0.0.1",), X_Forwarded_Host="evil.example") == (421, [])
    assert await ask_through_proxy((), X_Forwarded_Host="evil.example") == (200, ["127.0.0.1"])


@pytest.mark.parametrize(
    ("trusted", "origin", "status"),
    [
        (("127.0.0.0/8",), "https://192.0.2.1", 101),
        (("127.0.0.0/8",), "http://192.0.2.1", 403),
        (("127.0.0.0/8",), "https://192.0.2.2", 403),
        ((), "https://192.0.2.1", 403),
    ],
)
async def test_the_origin_of_a_websocket_is_compared_with_what_a_trusted_proxy_tells(nursery, trusted, origin, status):
    server = Server([app_of()], options=ServerOptions(trusted_proxies=trusted))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await nursery.start(server.serve, listeners)
    stream = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
    lines = (
        *("GET /app/-/websocket HTTP/1.1", "Host: inside", "Upgrade: websocket", "Connection: Upgrade"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", f"Origin: {origin}"),
        *("X-Forwarded-Host: 192.0.2.1", "X-Forwarded-Proto: https"),
    )
    head = "\r\n".join(lines).replace("Host: inside", "Host: localhost", 1)
    await stream.send_all(f"{head}\r\n\r\n".encode())
    assert int((await stream.receive_some()).split()[1]) == status
    await stream.aclose()
    server.stop()
    await server.wait_stopped()


def test_what_is_no_proxy_is_refused_when_the_server_is_made():
    with pytest.raises(ValueError, match="is not the address of a proxy"):
        Server([app_of()], options=ServerOptions(trusted_proxies=("proxy.example",)))
