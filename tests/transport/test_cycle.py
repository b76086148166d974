"""One request and its answer, by apps that speak plain ASGI."""

import h11
import pytest
import trio
import trio.testing
from starlette.requests import ClientDisconnect

from supervisor.transport.forwarded import Caller
from supervisor.transport.head import HttpLimits

GET = b"GET /a%20b/%C3%A9?q=1 HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def start(status=200, *headers):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def post(data, size=None):
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (size or len(data)) + data


async def hello(scope, receive, send):
    await send(start())
    await send(body(b"hello"))


async def read_body(receive):
    """(the whole body, the last message)."""
    data = b""
    while (message := await receive())["type"] == "http.request":
        data += message["body"]
        if not message["more_body"]:
            break
    return data, message


async def echo(scope, receive, send):
    data, message = await read_body(receive)
    if message["type"] == "http.request":
        await send(start(200, (b"content-length", b"%d" % len(data))))
        await send(body(data))


async def test_the_scope_is_asgi_3(serve):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await hello(scope, receive, send)

    await serve(app, identify=lambda head: Caller(address=None, host="x", scheme="https", counted_as="y")).client.ask(
        GET
    )
    assert scopes == [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": "/a b/é",
            "raw_path": b"/a%20b/%C3%A9",
            "query_string": b"q=1",
            "root_path": "",
            "headers": [(b"host", b"x")],
            "client": None,
            "server": None,
            "supervisor.counted_as": "y",
        }
    ]


async def test_the_scope_has_the_addresses_of_tcp(serve, tcp_pair):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await hello(scope, receive, send)

    theirs, ours = await tcp_pair()
    await serve(app, streams=(theirs, ours)).client.ask(GET)
    assert scopes[0]["client"] == theirs.socket.getsockname()
    assert scopes[0]["server"] == theirs.socket.getpeername()


async def test_unix_sockets_have_no_addresses_and_a_lost_peer_has_none_either(serve, tcp_pair):
    from supervisor.transport.cycle import _address

    ours, _theirs = (trio.SocketStream(socket) for socket in trio.socket.socketpair())
    assert _address(ours, "getpeername") is None
    await ours.aclose()
    await _theirs.aclose()
    ours, _ = await tcp_pair()
    ours.socket.close()
    assert _address(ours, "getpeername") is None


async def test_an_answer_in_one_piece_is_one_write(serve):
    served = serve(hello)
    writes = []
    deliver = served.server_stream.send_stream.send_all_hook

    async def note():
        writes.append(None)
        await deliver()

    served.server_stream.send_stream.send_all_hook = note
    answer = await served.client.ask(GET)
    assert answer.body == b"hello"
    assert answer.headers.keys() == {"date", "transfer-encoding"}
    assert len(writes) == 1


async def test_a_length_and_a_date_of_the_app_stay(serve):
    async def app(scope, receive, send):
        await send(start(200, (b"Date", b"today"), (b"content-length", b"2")))
        await send(body(memoryview(b"ok")))

    answer = await serve(app).client.ask(GET)
    assert answer.headers == {"date": "today", "content-length": "2"}
    assert answer.body == b"ok"


async def test_a_streamed_answer_is_chunked_and_each_piece_sent_at_once(serve):
    proceed = trio.Event()

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"first", True))
        await proceed.wait()
        await send(body(b"", True))
        await send(body(b"second", True))
        await send({"type": "http.response.body"})

    client = serve(app).client
    await client.send(GET)
    assert (await client.stream.receive_some()).endswith(b"5\r\nfirst\r\n")
    proceed.set()
    assert await client.stream.receive_some() == b"6\r\nsecond\r\n"
    assert await client.stream.receive_some() == b"0\r\n\r\n"


@pytest.mark.parametrize("status", [204, 304])
async def test_204_and_304_have_no_body_and_the_connection_goes_on(serve, status):
    async def app(scope, receive, send):
        await send(start(status))
        await send(body(b"dropped"))

    client = serve(app).client
    for _ in range(2):
        answer = await client.ask(GET)
        assert (answer.status, answer.body) == (status, b"")


async def test_head_has_the_headers_of_get_without_the_body(serve):
    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"5")))
        await send(body(b"hello"))

    client = serve(app).client
    for _ in range(2):
        answer = await client.ask(HEAD, "HEAD")
        assert (answer.headers["content-length"], answer.body) == ("5", b"")


async def test_an_endless_answer_to_head_ends_after_its_head(serve):
    async def app(scope, receive, send):
        await send(start())
        while True:
            await send(body(b"x", True))

    served = serve(app)
    assert (await served.client.ask(HEAD, "HEAD")).status == 200
    assert (await served.client.ask(HEAD, "HEAD")).status == 200
    assert served.errors == []


@pytest.mark.parametrize("size", [1, 1000, 200_000])
async def test_a_body_arrives_whole(serve, size):
    data = bytes(range(256)) * (size // 256 + 1)
    client = serve(echo).client
    for _ in range(2):
        assert (await client.ask(post(data), "POST")).body == data


async def test_a_chunked_body_arrives_whole_and_the_connection_goes_on(serve):
    client = serve(echo).client
    for _ in range(2):
        request = CHUNKED + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
        assert (await client.ask(request, "POST")).body == b"abcde"


async def test_many_small_chunks_let_others_run_in_between(serve, nursery):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def app(scope, receive, send):
        nursery.start_soon(other)
        data, _ = await read_body(receive)
        await send(start(200, (b"turns", b"%d" % turns)))
        await send(body(data))

    served = serve(app)
    answer = await served.client.ask(CHUNKED + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n", "POST")
    assert len(answer.body) == 1000
    assert int(answer.headers["turns"]) >= 9


async def test_bytes_come_as_the_app_asks_for_them(serve):
    """No task reads ahead: the socket's buffer is the only one between client and app."""
    asked = trio.Event()
    pieces = []

    async def app(scope, receive, send):
        await asked.wait()
        while True:
            message = await receive()
            pieces.append(message["body"])
            if not message["more_body"]:
                break
        await hello(scope, receive, send)

    served = serve(app)
    await served.client.send(post(b"one", 6))
    await trio.testing.wait_all_tasks_blocked()
    await served.client.send(b"two")
    await trio.testing.wait_all_tasks_blocked()
    asked.set()
    await served.client.answer("POST")
    assert b"".join(pieces) == b"onetwo"


async def test_a_request_without_body_is_told_so_at_once(serve):
    async def app(scope, receive, send):
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await hello(scope, receive, send)

    assert (await serve(app).client.ask(GET)).status == 200


async def test_100_continue_is_sent_when_the_app_asks_for_the_body(serve):
    client = serve(echo).client
    await client.send(post(b"", 5).replace(b"Host", b"Expect: 100-continue\r\nHost"))
    assert await client.stream.receive_some() == b"HTTP/1.1 100 \r\n\r\n"
    answer = await client.ask(b"hello", "POST")
    assert answer.body == b"hello"
    assert (await client.ask(post(b"again"), "POST")).body == b"again"


async def test_no_100_continue_when_the_body_is_there_already(serve):
    client = serve(echo).client
    answer = await client.ask(post(b"hello").replace(b"Host", b"Expect: 100-continue\r\nHost"), "POST")
    assert (answer.body, answer.informational) == (b"hello", [])


async def test_no_100_continue_when_the_app_does_not_ask(serve):
    served = serve(hello)
    answer = await served.client.ask(post(b"", 5).replace(b"Host", b"Expect: 100-continue\r\nHost"), "POST")
    assert answer.informational == []
    assert answer.headers["connection"] == "close"
    assert await served.client.rest() == b""


async def test_a_client_that_leaves_instead_of_continuing_is_a_disconnect(serve):
    served = serve(echo)
    await served.client.send(post(b"", 5).replace(b"Host", b"Expect: 100-continue\r\nHost"))
    await served.client.stream.aclose()
    await served.ended.wait()
    assert served.errors == []


async def test_an_unread_body_that_arrived_is_skipped_and_the_connection_kept(serve):
    client = serve(hello).client
    for _ in range(2):
        answer = await client.ask(post(b"unread"), "POST")
        assert "connection" not in answer.headers


async def test_an_unread_body_after_a_streamed_answer_is_skipped_too(serve):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"a", True))
        await send(body(b"b"))

    client = serve(app).client
    for _ in range(2):
        assert (await client.ask(post(b"unread"), "POST")).body == b"ab"


async def test_an_unread_body_on_its_way_closes_with_a_lingering(serve, autojump_clock):
    served = serve(hello)
    answer = await served.client.ask(post(b"part", 9), "POST")
    assert answer.headers["connection"] == "close"
    assert await served.client.rest() == b""
    assert not served.ended.is_set()
    await served.client.send(b"rest!")
    await served.client.stream.aclose()
    await served.ended.wait()
    assert trio.current_time() < 1


async def test_an_unread_body_of_many_chunks_is_not_worth_skipping(serve, autojump_clock):
    answer = await serve(hello).client.ask(CHUNKED + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n", "POST")
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")


async def test_an_unread_malformed_body_ends_the_connection_after_the_answer(serve, autojump_clock):
    served = serve(hello)
    answer = await served.client.ask(CHUNKED + b"nonsense\r\n", "POST")
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
    assert await served.client.rest() == b""


async def test_a_body_beyond_the_limit_by_count_is_413(serve, autojump_clock):
    served = serve(echo, limits=HttpLimits(max_body=10))
    answer = await served.client.ask(CHUNKED + b"6\r\nabcdef\r\n" * 2, "POST")
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert answer.body == b"The request's body is larger than 10 bytes.\n"
    await served.ended.wait()
    assert served.errors == []


async def test_a_body_of_exactly_the_limit_passes(serve):
    client = serve(echo, limits=HttpLimits(max_body=10)).client
    assert (await client.ask(CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n", "POST")).body == b"0123456789"


@pytest.mark.parametrize("chunks", [b"x\r\n", b"1\r\nxyz", b"0\r\n\nGET / HTTP/1.1\r\n", b"1\nx\n0\n\n" * 9])
async def test_malformed_chunks_are_400_and_the_end(serve, chunks, autojump_clock):
    """A bare line feed that we took for the end is not what a proxy before us took for it: smuggling."""
    served = serve(echo)
    with trio.move_on_after(31):
        answer = await served.client.ask(CHUNKED + chunks, "POST")
    assert answer.status in (400, 408)
    assert await served.client.rest() == b""
    assert served.errors == []


async def test_a_stalled_body_is_408(serve, autojump_clock):
    served = serve(echo)
    begun = trio.current_time()
    answer = await served.client.ask(post(b"part", 9), "POST")
    assert answer.status == 408
    assert trio.current_time() - begun == 30
    await served.ended.wait()


async def test_a_refused_body_after_the_answer_began_just_ends_the_connection(serve, autojump_clock):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"begun", True))
        assert (await receive())["body"] == b"part"
        assert (await receive())["type"] == "http.disconnect"
        await send(body(b"lost"))

    served = serve(app)
    await served.client.send(post(b"part", 9))
    assert (await served.client.rest()).endswith(b"5\r\nbegun\r\n")
    assert served.errors == []


async def test_after_the_body_receive_waits_for_the_clients_end(serve):
    got = []

    async def app(scope, receive, send):
        got.append(await read_body(receive))
        got.append(await receive())
        got.append(await receive())

    served = serve(app)
    await served.client.send(post(b"data"))
    await trio.testing.wait_all_tasks_blocked()
    assert len(got) == 1
    await served.client.stream.aclose()
    await served.ended.wait()
    assert got[1:] == [{"type": "http.disconnect"}] * 2
    assert served.errors == []


async def test_a_client_that_closed_its_side_only_still_gets_its_answer(serve):
    async def app(scope, receive, send):
        await read_body(receive)
        assert (await receive())["type"] == "http.disconnect"
        await hello(scope, receive, send)

    served = serve(app)
    await served.client.send(GET)
    await served.client.stream.send_eof()
    assert (await served.client.answer()).body == b"hello"
    assert await served.client.rest() == b""


async def test_a_pipelined_request_is_no_disconnect(serve):
    """receive() by one task of the app, send() by another: the wait ends with the answer."""
    got = []

    async def app(scope, receive, send):
        await read_body(receive)

        async def listen():
            got.append(await receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            assert len(got) % 2 == 0
            await hello(scope, receive, send)
        got.append(await receive())

    served = serve(app)
    await served.client.send(GET + GET + b"GET")
    for _ in range(2):
        assert (await served.client.answer()).body == b"hello"
    await trio.testing.wait_all_tasks_blocked()
    assert got == [{"type": "http.disconnect"}] * 4


async def test_a_request_that_comes_while_the_app_waits_for_the_end_is_no_disconnect_either(serve):
    proceed = trio.Event()
    got = []

    async def app(scope, receive, send):
        await read_body(receive)
        if scope["path"] != "/":
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def listen():
                    got.append(await receive())

                await proceed.wait()
                assert got == []
                await hello(scope, receive, send)
        else:
            await hello(scope, receive, send)

    served = serve(app)
    await served.client.send(GET)
    await trio.testing.wait_all_tasks_blocked()
    await served.client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked()
    proceed.set()
    for _ in range(2):
        assert (await served.client.answer()).body == b"hello"
    assert got == [{"type": "http.disconnect"}]


async def test_a_polled_receive_loses_nothing(serve):
    """Starlette's is_disconnected() calls receive() in a scope that is cancelled already."""

    async def app(scope, receive, send):
        for _ in range(3):
            with trio.CancelScope() as poll:
                poll.cancel()
                await receive()
        data, _ = await read_body(receive)
        with trio.CancelScope() as poll:
            poll.cancel()
            await receive()
        await send(start())
        await send(body(data))

    client = serve(app).client
    assert (await client.ask(post(b"data"), "POST")).body == b"data"
    assert (await client.ask(post(b"data"), "POST")).body == b"data"


async def test_a_body_half_sent_is_a_disconnect(serve):
    got = []

    async def app(scope, receive, send):
        got.append(await read_body(receive))

    served = serve(app)
    await served.client.send(post(b"part", 9))
    await served.client.stream.aclose()
    await served.ended.wait()
    assert got == [(b"part", {"type": "http.disconnect"})]
    assert served.errors == []


@pytest.mark.parametrize("raised", [None, ClientDisconnect, "group"])
async def test_an_app_abandoned_by_its_client_sees_an_oserror_which_is_no_failure(serve, raised):
    seen = []

    async def app(scope, receive, send):
        await send(start())
        try:
            while True:
                await send(body(b"x", True))
                await trio.testing.wait_all_tasks_blocked()
        except OSError as error:
            seen.append(error)
            if raised is None:
                raise
            if raised == "group":
                raise ExceptionGroup("", [ExceptionGroup("", [error])]) from None
            raise raised from None

    served = serve(app)
    await served.client.send(GET)
    await served.client.stream.receive_some()
    await served.client.stream.aclose()
    await served.ended.wait()
    assert len(seen) == 1
    assert served.errors == []


async def test_a_failure_beside_an_abandonment_is_reported(serve):
    fault = ValueError("cleanup")

    async def app(scope, receive, send):
        await receive()
        await receive()
        raise ExceptionGroup("", [ClientDisconnect(), fault])

    served = serve(app)
    await served.client.send(GET)
    await served.client.stream.aclose()
    await served.ended.wait()
    assert served.errors == [fault]


async def test_an_app_that_fails_answers_500_and_the_connection_ends(serve):
    fault = ValueError("secret")

    async def app(scope, receive, send):
        await send(start())
        raise fault

    served = serve(app)
    answer = await served.client.ask(GET)
    assert (answer.status, answer.body) == (500, b"The server failed to answer this request.\n")
    assert answer.headers["connection"] == "close"
    assert await served.client.rest() == b""
    assert served.errors == [fault]


async def test_a_failed_answer_to_head_has_no_body(serve):
    async def app(scope, receive, send):
        raise ValueError

    served = serve(app)
    await served.client.send(HEAD)
    assert (await served.client.rest()).endswith(b"\r\n\r\n")


async def test_a_failure_amid_the_answer_ends_the_connection_without_a_false_end(serve):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x", True))
        raise ValueError

    served = serve(app)
    await served.client.send(GET)
    assert (await served.client.rest()).endswith(b"1\r\nx\r\n")
    assert len(served.errors) == 1


async def test_a_failure_after_the_answer_is_reported_and_the_connection_goes_on(serve):
    async def app(scope, receive, send):
        await hello(scope, receive, send)
        raise ValueError

    served = serve(app)
    for _ in range(2):
        assert (await served.client.ask(GET)).status == 200
    await served.client.stream.aclose()
    await served.ended.wait()
    assert len(served.errors) == 2


async def test_sys_exit_is_a_failure_like_any_other(serve):
    async def app(scope, receive, send):
        raise SystemExit(3)

    served = serve(app)
    assert (await served.client.ask(GET)).status == 500
    assert isinstance(served.errors[0], SystemExit)


async def test_a_failure_beside_a_cancellation_is_reported_and_the_cancellation_passes(serve):
    fault = ValueError("cleanup")

    async def app(scope, receive, send):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                try:
                    await trio.sleep_forever()
                finally:
                    raise fault

            await trio.sleep_forever()

    served = serve(app)
    await served.client.send(GET)
    await trio.testing.wait_all_tasks_blocked()
    served.cancel_scope.cancel()
    await served.ended.wait()
    assert served.cancel_scope.cancelled_caught
    assert served.errors == [fault]
    assert await served.client.rest() == b""


@pytest.mark.parametrize("messages", [[], [start()], [start(), body(b"x", True)]])
async def test_an_app_that_returns_too_early_has_failed(serve, messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    served = serve(app)
    await served.client.send(GET)
    data = await served.client.rest()
    assert data.startswith(b"HTTP/1.1 500 ") is (len(messages) < 2)
    assert "without a whole answer" in str(served.errors[0])


@pytest.mark.parametrize(
    "messages",
    [
        [body()],
        [start(), start()],
        [start(), {"type": "http.response.trailers"}],
        [start(200, (b"content-length", b"1")), body(b"too long")],
        [start(200, (b"content-length", b"9")), body(b"short")],
        [start(200, (b"bad name", b"x"))],
        [start(200, (b"name", b"a\r\nb"))],
        [start(101), body()],
        [start(200, (b"transfer-encoding", b"gzip")), body()],
    ],
)
async def test_an_app_that_breaks_the_rules_is_told_and_the_client_gets_a_500(serve, messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    served = serve(app)
    assert (await served.client.ask(GET)).status == 500
    assert isinstance(served.errors[0], RuntimeError | h11.LocalProtocolError)


async def test_an_app_that_hides_its_broken_answer_does_not_get_the_connection_kept(serve):
    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"1")))
        await send(body(b"1", True))
        with pytest.raises(h11.LocalProtocolError):
            await send(body(b"2"))

    served = serve(app)
    await served.client.send(GET + GET)
    assert (await served.client.rest()).endswith(b"\r\n\r\n1")
    assert "without a whole answer" in str(served.errors[0])


async def test_messages_after_the_end_are_out_of_order(serve):
    async def app(scope, receive, send):
        await hello(scope, receive, send)
        await send(body(b"more"))

    served = serve(app)
    assert (await served.client.ask(GET)).body == b"hello"
    await served.client.stream.aclose()
    await served.ended.wait()
    assert "out of order" in str(served.errors[0])


async def test_a_task_that_outlives_the_app_learns_that_it_is_over(serve, nursery):
    kept = []

    async def app(scope, receive, send):
        kept.append((receive, send))

    served = serve(app)
    assert (await served.client.ask(GET)).status == 500
    [(receive, send)] = kept
    assert await receive() == {"type": "http.disconnect"}
    with pytest.raises(OSError, match="left"):
        await send(start())


async def test_an_app_that_gives_up_a_write_half_way_ends_the_connection(serve, autojump_clock):
    async def app(scope, receive, send):
        await send(start())
        with trio.move_on_after(1):
            await send(body(b"x" * 100, True))
        with pytest.raises(OSError, match="left"):
            await send(body(b"y"))

    served = serve(app, streams=trio.testing.lockstep_stream_pair())
    await served.client.send(GET)
    await served.ended.wait()
    assert served.errors == []


async def test_draining_adds_connection_close_and_ends_the_connection(serve):
    proceed = trio.Event()

    async def app(scope, receive, send):
        await proceed.wait()
        await send(start(200, (b"x-app", b"1")))
        await send(body(b"x", True))
        await send(body(b"y"))

    served = serve(app)
    await served.client.send(GET)
    await trio.testing.wait_all_tasks_blocked()
    served.draining.begin()
    proceed.set()
    answer = await served.client.answer()
    assert answer.body == b"xy"
    assert (answer.headers["connection"], answer.headers["x-app"]) == ("close", "1")
    assert await served.client.rest() == b""
