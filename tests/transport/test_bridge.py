"""Whole connections: heads, limits, timeouts, drain, upgrades; and Starlette over real sockets."""

import re

import pytest
import trio
import trio.testing
import trio_websocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from supervisor.transport.bridge import serve_http
from supervisor.transport.draining import Draining
from supervisor.transport.head import HttpLimits, Refusal
from supervisor.transport.listener import accept_connections

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def name_path(scope, receive, send):
    data = scope["raw_path"]
    headers = [(b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


# Keep-alive, pipelining, versions


async def test_a_connection_is_kept(serve):
    client = serve(hello).client
    for _ in range(3):
        answer = await client.ask(GET)
        assert (answer.status, answer.body) == (200, b"hello")
        assert "connection" not in answer.headers
        assert "server" not in answer.headers
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", answer.headers["date"])


async def test_pipelined_requests_are_answered_in_order(serve):
    client = serve(name_path).client
    await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(50)))
    assert [(await client.answer()).body for _ in range(50)] == [b"/%d" % n for n in range(50)]


async def test_a_request_may_come_byte_by_byte(serve):

    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        await hello(scope, receive, send)

    client = serve(app).client
    sized = POST + b"Content-Length: 3\r\n\r\nabc"
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for request in (GET, sized, chunked, GET):
        for byte in request:
            await client.send(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        assert (await client.answer()).body == b"hello"


@pytest.mark.parametrize("request_", [GET.replace(b"1.1", b"1.0"), GET.replace(b"Host", b"Connection: close\r\nHost")])
async def test_http_1_0_and_connection_close_end_the_connection(serve, request_):
    served = serve(hello)
    answer = await served.client.ask(request_ + b"more, which nobody reads")
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
    assert await served.client.rest() == b""


async def test_http_1_0_needs_no_host_and_gets_no_chunks(serve):
    async def app(scope, receive, send):
        assert scope["http_version"] == "1.0"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"to the end"})

    client = serve(app).client
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.rest()).endswith(b"\r\n\r\nto the end")


async def test_an_upgrade_to_something_else_is_ignored(serve):
    client = serve(hello).client
    for _ in range(2):
        answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert answer.body == b"hello"


# What is refused


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00 a TLS greeting", 400),
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: \xff\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: \xff\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: 3, 4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: +3\r\n\r\nabc", 400),
        (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (POST + b"Content-Length: 1048577\r\n\r\n", 413),
        (b"GET /" + b"x" * 17000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 4000 + b"\r\n", 431),
    ],
)
async def test_what_is_refused(serve, request_, status, autojump_clock):
    """Also after a good request, since the parser has another state then."""

    async def app(scope, receive, send):
        await (hello(scope, receive, send) if scope["raw_path"] == b"/" else pytest.fail("it got through"))

    for before in (b"", GET):
        served = serve(app)
        if before:
            await served.client.ask(before)
        answer = await served.client.ask(request_)
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert re.fullmatch(rb"[A-Z].*\.\n", answer.body)
        assert await served.client.rest() == b""
        await served.ended.wait()
        assert served.errors == []


async def test_a_refusal_to_head_has_no_body(serve, autojump_clock):
    client = serve(hello).client
    await client.send(b"HEAD * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.rest()).endswith(b"\r\n\r\n")


async def test_a_head_of_just_the_limit_passes(serve):
    head = b"GET / HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n"
    limit = 16 * 1024
    fits = head % (b"x" * (limit - len(head) + 2))
    assert len(fits) == limit
    client = serve(hello).client
    assert (await client.ask(fits)).status == 200
    assert (await client.ask(fits.replace(b"xx", b"xxx", 1))).status == 431


async def test_the_caller_judges_heads_too(serve, autojump_clock):
    def check(head):
        return None if head.get(b"host") == b"x" else Refusal(status=421, text="Wrong host.")

    served = serve(hello, check=check)
    assert (await served.client.ask(GET)).status == 200
    answer = await served.client.ask(GET.replace(b"Host: x", b"Host: evil"))
    assert (answer.status, answer.body) == (421, b"Wrong host.\n")


async def test_an_answer_to_a_refused_request_survives_its_unread_body(serve, tcp_pair):
    """Over real TCP: closing with unread input would reset the connection and take the answer away."""
    served = serve(hello, streams=await tcp_pair())
    await served.client.send(POST + b"Content-Length: 10000000\r\n\r\n")

    async def pour():
        while True:
            await served.client.send(b"x" * 65536)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour)
        answer = await served.client.answer("POST")
        assert answer.status == 413
        assert await served.client.rest() == b""
        nursery.cancel_scope.cancel()


# Times


async def test_a_slow_head_is_408(serve, autojump_clock):
    served = serve(hello)
    begun = trio.current_time()
    answer = await served.client.ask(GET[:-2])
    assert (answer.status, trio.current_time() - begun) == (408, 10)


async def test_a_dripping_head_is_408_all_the_same(serve, nursery, autojump_clock):
    served = serve(hello)

    async def drip():
        for _ in range(30):
            await served.client.send(b"G")
            await trio.sleep(1)

    nursery.start_soon(drip)
    assert (await served.client.answer()).status == 408
    assert trio.current_time() <= 10.1


async def test_a_new_connection_that_says_nothing_is_closed_silently(serve, autojump_clock):
    served = serve(hello)
    assert await served.client.rest() == b""
    assert trio.current_time() == pytest.approx(10)


async def test_an_idle_connection_is_closed_silently_later(serve, autojump_clock):
    served = serve(hello)
    await served.client.ask(GET)
    assert await served.client.rest() == b""
    assert trio.current_time() == pytest.approx(75)


async def test_a_client_that_does_not_read_is_given_up(serve, autojump_clock):
    served = serve(hello, streams=trio.testing.lockstep_stream_pair())
    await served.client.send(GET)
    await served.ended.wait()
    assert trio.current_time() == pytest.approx(30)
    assert served.errors == []


@pytest.mark.parametrize("data", [b"", GET[:9], GET[:-1], b"nonsense"])
async def test_a_client_that_leaves_amid_a_head_is_forgotten(serve, data):
    served = serve(hello)
    if data:
        await served.client.send(data)
    await served.client.stream.aclose()
    await served.ended.wait()
    assert served.errors == []


async def test_a_client_that_leaves_before_its_refusal_is_forgotten(serve):
    served = serve(hello)
    await served.client.send(b"nonsense\r\n\r\n")
    await served.client.stream.aclose()
    await served.ended.wait()


async def test_a_reset_connection_is_forgotten(serve, tcp_pair):
    theirs, ours = await tcp_pair()
    served = serve(hello, streams=(theirs, ours))
    await served.client.ask(GET)
    theirs.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.socket.close()
    await served.ended.wait()
    assert served.errors == []


async def test_a_stream_closed_under_us_is_forgotten(serve):
    served = serve(hello)
    await served.client.ask(GET)
    await served.server_stream.aclose()
    await served.ended.wait()


# Draining


async def test_draining_closes_idle_connections_at_once(serve, autojump_clock):
    new, kept = serve(hello), serve(hello)
    await kept.client.ask(GET)
    await trio.testing.wait_all_tasks_blocked()
    for served in (new, kept):
        assert served.draining.idle_connections == 1
        served.draining.begin()
        assert await served.client.rest() == b""
    assert trio.current_time() == 0


async def test_draining_lets_a_begun_head_come_to_its_answer(serve):
    served = serve(hello)
    await served.client.send(GET[:9])
    await trio.testing.wait_all_tasks_blocked()
    served.draining.begin()
    await trio.testing.wait_all_tasks_blocked()
    answer = await served.client.ask(GET[9:])
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
    assert await served.client.rest() == b""


async def test_a_head_that_comes_in_drops_does_not_hold_up_the_end_of_a_drain(serve, autojump_clock):
    served = serve(hello)
    await served.client.send(GET[:9])
    await trio.testing.wait_all_tasks_blocked()
    served.draining.close()
    assert await served.client.rest() == b""
    late = serve(hello)
    late.draining.close()
    await late.client.send(GET[:9])
    assert await late.client.rest() == b""
    assert trio.current_time() == 0


async def test_draining_ends_a_connection_between_pipelined_requests(serve, autojump_clock):
    proceed = trio.Event()

    async def app(scope, receive, send):
        await proceed.wait()
        await hello(scope, receive, send)

    served = serve(app)
    await served.client.send(GET + GET)
    await trio.testing.wait_all_tasks_blocked()
    served.draining.begin()
    proceed.set()
    assert (await served.client.answer()).headers["connection"] == "close"
    assert await served.client.rest() == b""


async def test_a_connection_that_comes_while_draining_is_answered_once(serve, autojump_clock):
    served = serve(hello)
    served.draining.begin()
    assert (await served.client.ask(GET)).headers["connection"] == "close"
    await served.ended.wait()
    assert trio.current_time() == 0


async def test_a_connection_that_comes_while_draining_and_never_asks_is_closed(serve, autojump_clock):
    served = serve(hello)
    served.draining.begin()
    await trio.testing.wait_all_tasks_blocked()
    served.draining.close()
    await served.ended.wait()
    assert trio.current_time() == 0


# Cancellation


class Counting(trio.abc.HalfCloseableStream):
    """Counts the waits of a stream, and cancels a scope in the n-th."""

    def __init__(self, stream, cancel_at, scope):
        self.stream, self.left, self.scope = stream, cancel_at, scope

    def count(self):
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()

    async def receive_some(self, max_bytes=None):
        self.count()
        return await self.stream.receive_some(max_bytes)

    async def send_all(self, data):
        self.count()
        await self.stream.send_all(data)

    async def send_eof(self):
        self.count()
        await self.stream.send_eof()

    async def wait_send_all_might_not_block(self):
        raise NotImplementedError

    async def aclose(self):
        await self.stream.aclose()


@pytest.mark.parametrize("cancel_at", range(1, 12))
async def test_cancelled_in_any_wait_it_leaves_nothing(cancel_at, autojump_clock):
    """The waits: head, 100, two of the body, three writes, disconnect, head, refusal, end, linger."""
    in_app = 0

    async def app(scope, receive, send):
        nonlocal in_app
        in_app += 1
        try:
            while (await receive())["more_body"]:
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await send({"type": "http.response.body", "body": b"b", "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            in_app -= 1

    far, near = trio.testing.memory_stream_pair()
    draining, errors = Draining(), []
    stream = Counting(near, cancel_at, trio.CancelScope())
    before = len(trio.lowlevel.current_root_task().child_nurseries[0].child_tasks)

    async def client():
        await far.send_all(POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        for data in (b"ab", b"cd", b"nonsense\r\n\r\n"):
            await trio.testing.wait_all_tasks_blocked()
            await far.send_all(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        with stream.scope:
            await serve_http(stream, app, check=lambda head: None, draining=draining, on_error=errors.append)
        assert stream.scope.cancelled_caught
        assert stream.left == 0, "no further wait after the cancelled one"
        nursery.cancel_scope.cancel()
    assert in_app == 0
    assert errors == []
    assert draining.idle_connections == 0
    assert len(trio.lowlevel.current_root_task().child_nurseries[0].child_tasks) == before


# Websockets

HANDSHAKE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://x\r\n\r\n"
)


@pytest.mark.parametrize("trailing", [b"", b"\x89", b"a whole lot of trailing bytes"])
@pytest.mark.parametrize("before", [b"", GET, GET + GET])
async def test_an_upgrade_on_any_request_gives_back_head_and_trailing_bytes(serve, before, trailing):
    served = serve(hello)
    await served.client.send(before + HANDSHAKE + trailing)
    await served.ended.wait()
    upgrade = served.upgrade
    assert upgrade.head.target == b"/ws?x=1"
    assert upgrade.head.get(b"origin") == b"http://x"
    given = bytes(await upgrade.stream.receive_some())
    assert given.lower() == (HANDSHAKE + trailing).lower()


@pytest.mark.parametrize("extra", [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_handshake_with_a_body_is_refused(serve, extra, autojump_clock):
    served = serve(hello)
    answer = await served.client.ask(HANDSHAKE.replace(b"Origin", extra + b"Origin"))
    assert answer.status == 400
    assert served.upgrade is None


async def test_the_caller_judges_handshakes_too(serve, autojump_clock):
    served = serve(hello, check=lambda head: Refusal(status=421, text="No."))
    assert (await served.client.ask(HANDSHAKE)).status == 421
    await served.ended.wait()
    assert served.upgrade is None


@pytest.mark.parametrize("requests_before", [0, 1, 3])
async def test_a_real_websocket_opens_on_a_kept_connection(serve, tcp_pair, requests_before):
    served = serve(hello, streams=await tcp_pair())
    for _ in range(requests_before):
        assert (await served.client.ask(GET)).body == b"hello"

    async def server(nursery):
        await served.ended.wait()
        request = await trio_websocket.wrap_server_stream(nursery, served.upgrade.stream)
        assert request.path == "/ws"
        connection = await request.accept()
        await connection.send_message(await connection.get_message())
        await connection.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server, nursery)
        client = await trio_websocket.wrap_client_stream(nursery, served.client.stream, "x", "/ws")
        await client.send_message("through")
        assert await client.get_message() == "through"
        with pytest.raises(trio_websocket.ConnectionClosed):
            await client.get_message()


# Starlette, over loopback


@pytest.fixture
async def site(tmp_path, nursery, raw_client):
    """A Starlette app on a real port; site() -> a connected client."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_bytes(b"0123456789" * 20_000)

    async def numbers():
        for n in range(3):
            yield f"{n}\n"
            await trio.lowlevel.checkpoint()

    async def echo(request: Request):
        return JSONResponse({"body": (await request.body()).decode(), "gone": await request.is_disconnected()})

    async def upload(request: Request):
        return PlainTextResponse(str(sum([len(piece) async for piece in request.stream()])))

    async def fail(request: Request):
        raise ValueError("secret")

    def in_thread(request: Request):
        return PlainTextResponse("from a thread")

    async def passing(request, call_next):
        response = await call_next(request)
        response.headers["x-middleware"] = "yes"
        return response

    app = Starlette(
        routes=[
            Route("/", lambda request: PlainTextResponse("page")),
            Route("/json", echo, methods=["POST"]),
            Route("/upload", upload, methods=["POST"]),
            Route("/stream", lambda request: StreamingResponse(numbers())),
            Route("/file", lambda request: FileResponse(tmp_path / "static" / "a.txt")),
            Route("/thread", in_thread),
            Route("/fail", fail),
            Route("/away", lambda request: RedirectResponse("/")),
            Mount("/static", StaticFiles(directory=tmp_path / "static")),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=passing)],
    )
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    errors: list[BaseException] = []
    draining = Draining()

    async def handle(stream):
        async with stream:
            limits = HttpLimits(max_body=100_000)
            await serve_http(
                stream, app, check=lambda head: None, draining=draining, on_error=errors.append, limits=limits
            )

    nursery.start_soon(lambda: accept_connections(listener, nursery, handle, on_error=errors.append))
    opened = []

    async def connect():
        stream = await trio.open_tcp_stream(*listener.socket.getsockname())
        opened.append(stream)
        return raw_client(stream)

    connect.errors = errors
    async with listener:
        yield connect
        for stream in opened:
            await stream.aclose()


def get(path, *headers, method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{''.join(h + chr(13) + chr(10) for h in headers)}\r\n".encode()


async def test_starlette_pages_on_one_connection(site):
    client = await site()
    answer = await client.ask(get("/"))
    assert (answer.body, answer.headers["x-middleware"]) == (b"page", "yes")
    assert (await client.ask(get("/", method="HEAD"), "HEAD")).headers["content-length"] == "4"
    assert (await client.ask(get("/thread"))).body == b"from a thread"
    assert (await client.ask(get("/nowhere"))).status == 404
    assert (await client.ask(get("/away"))).status == 307
    assert (await client.ask(get("/", method="POST"), "POST")).status == 405
    assert (await client.ask(get("/stream"))).body == b"0\n1\n2\n"
    posted = get("/json", "Content-Length: 4", method="POST") + b"data"
    assert (await client.ask(posted, "POST")).body == b'{"body":"data","gone":false}'
    posted = get("/json", "Transfer-Encoding: chunked", method="POST") + b"4\r\ndata\r\n0\r\n\r\n"
    assert (await client.ask(posted, "POST")).body == b'{"body":"data","gone":false}'
    posted = get("/upload", "Content-Length: 90000", method="POST") + b"x" * 90_000
    assert (await client.ask(posted, "POST")).body == b"90000"
    assert site.errors == []


async def test_starlette_static_files_on_one_connection(site):
    client = await site()
    whole = await client.ask(get("/static/a.txt"))
    assert len(whole.body) == 200_000
    assert whole.headers["content-length"] == "200000"
    head = await client.ask(get("/static/a.txt", method="HEAD"), "HEAD")
    assert (head.headers["content-length"], head.body) == ("200000", b"")
    etag = whole.headers["etag"]
    unchanged = await client.ask(get("/static/a.txt", f"If-None-Match: {etag}"))
    assert (unchanged.status, unchanged.body) == (304, b"")
    part = await client.ask(get("/static/a.txt", "Range: bytes=5-9"))
    assert (part.status, part.body) == (206, b"56789")
    assert part.headers["content-range"] == "bytes 5-9/200000"
    assert (await client.ask(get("/static/a.txt", "Range: bytes=300000-"))).status == 416
    assert (await client.ask(get("/file", "Range: bytes=0-1"))).body == b"01"
    assert len((await client.ask(get("/file"))).body) == 200_000
    assert (await client.ask(get("/static/../../etc/passwd"))).status == 404
    assert site.errors == []


@pytest.mark.parametrize("path", ["/file", "/stream", "/static/a.txt"])
async def test_starlette_files_and_streams_close_when_the_client_wants_it(site, path):
    client = await site()
    answer = await client.ask(get(path, "Connection: close"))
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.rest() == b""


async def test_starlette_refuses_a_chunked_body_beyond_the_limit(site):
    client = await site()
    posted = get("/upload", "Transfer-Encoding: chunked", method="POST")
    answer = await client.ask(posted + b"10000\r\n" + b"x" * 0x10000 + b"\r\n10000\r\n" + b"x" * 0x10000, "POST")
    assert answer.status == 413
    assert site.errors == []


async def test_starlette_failures_are_500_and_reported_and_the_server_goes_on(site):
    client = await site()
    answer = await client.ask(get("/fail"))
    assert answer.status == 500
    assert b"secret" not in answer.body
    await trio.testing.wait_all_tasks_blocked()
    assert [str(error) for error in site.errors] == ["secret"]
    assert (await (await site()).ask(get("/"))).body == b"page"


async def test_starlette_streams_end_when_the_client_leaves(site):
    client = await site()
    await client.send(get("/static/a.txt") * 20)
    await client.stream.receive_some(100)
    await client.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert (await (await site()).ask(get("/"))).body == b"page"
    assert site.errors == []
