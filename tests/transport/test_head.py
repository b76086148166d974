import h11
import pytest

from supervisor.transport.head import (
    Head,
    HttpLimits,
    Refusal,
    encode_refusal,
    http_date,
    read_head,
    refuse_error,
    refuse_head,
    refuse_raw_head,
)

LIMITS = HttpLimits(max_head=100, max_body=10)


def head(*headers, method="GET", target=b"/a?b", http_version="1.1"):
    return Head(method=method, target=target, headers=list(headers), http_version=http_version)


def hosted(*headers, **options):
    return head((b"host", b"x"), *headers, **options)


def test_headers_are_found_by_name_and_split_into_tokens():
    it = head((b"connection", b"Keep-Alive, Upgrade"), (b"connection", b"x"))
    assert it.get(b"connection") == b"Keep-Alive, Upgrade"
    assert it.get(b"host") is None
    assert it.tokens(b"connection") == [b"keep-alive", b"upgrade", b"x"]


def test_a_head_is_serialised_so_that_a_parser_reads_the_same():
    it = head((b"host", b"x"), (b"cookie", b"a=b; c"))
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(it.serialise())
    assert read_head(parser.next_event()) == it


@pytest.mark.parametrize(("sent", "read"), [("1.0", "1.0"), ("1.1", "1.1"), ("1.7", "1.1"), ("2.0", "2.0")])
def test_higher_minor_versions_are_read_as_1_1(sent, read):
    request = h11.Request(method="GET", target="/", headers=[("host", "x")], http_version=sent)
    assert read_head(request).http_version == read


WEBSOCKET = ((b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"WebSocket"))


def test_a_websocket_handshake_is_recognised():
    assert head(*WEBSOCKET).asks_for_websocket


@pytest.mark.parametrize(
    "other",
    [
        hosted(*WEBSOCKET, method="POST"),
        hosted(*WEBSOCKET, http_version="1.0"),
        hosted(WEBSOCKET[0]),
        hosted(WEBSOCKET[1]),
        hosted((b"connection", b"upgrade"), (b"upgrade", b"h2c")),
    ],
)
def test_other_requests_are_no_websocket_handshakes(other):
    assert not other.asks_for_websocket
    assert refuse_head(other, LIMITS) is None


@pytest.mark.parametrize(
    ("headers", "has_body"),
    [
        ((), False),
        (((b"content-length", b"0"),), False),
        (((b"content-length", b"00"),), False),
        (((b"content-length", b"3"),), True),
        (((b"transfer-encoding", b"chunked"),), True),
    ],
)
def test_a_body_is_announced_by_two_headers(headers, has_body):
    assert head(*headers).has_body is has_body


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (b"", None),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n\n" + b"x" * 500, None),
        (b"x" * 100, None),
        (b"x" * 101, 431),
        (b"x" * 97 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\n\nGET /b HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\ty\r\n\r\n", 400),
    ],
)
def test_raw_heads_are_judged_by_size_and_line_ends(received, status):
    refusal = refuse_raw_head(received, LIMITS)
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (head(http_version="2.0"), 505),
        (head(method="CONNECT"), 501),
        (head(target=b"http://x/"), 400),
        (head(target=b"*"), 400),
        (head((b"host", b"\xc3\xa9")), 400),
        (head((b"connection", b"\x7f")), 400),
        (head((b"upgrade", b"\xff")), 400),
        (head((b"sec-websocket-protocol", b"\xff")), 400),
        (head((b"sec-websocket-extensions", b"a\x01b")), 400),
        (head((b"content-length", b"1"), (b"transfer-encoding", b"chunked")), 400),
        (head((b"transfer-encoding", b"chunked"), http_version="1.0"), 400),
        (hosted((b"content-length", b"11")), 413),
        (head(*WEBSOCKET, (b"content-length", b"1")), 400),
    ],
)
def test_heads_that_must_not_pass_are_refused(bad, status):
    refusal = refuse_head(bad, LIMITS)
    assert refusal is not None
    assert refusal.status == status


def test_1_1_and_above_need_a_host():
    """h11 asks for one in 1.1 exactly."""
    request = h11.Request(method="GET", target="/", headers=[], http_version="1.2")
    assert refuse_head(read_head(request), LIMITS).status == 400
    assert refuse_head(head(http_version="1.0"), LIMITS) is None


def test_other_headers_may_have_any_bytes():
    assert refuse_head(head((b"host", b"x"), (b"x-name", b"\xff"), (b"content-length", b"10")), LIMITS) is None


def test_an_unknown_transfer_coding_is_501_and_other_nonsense_400():
    assert refuse_error(h11.RemoteProtocolError("x", error_status_hint=501)).status == 501
    assert refuse_error(h11.RemoteProtocolError("x")).status == 400


def test_a_refusal_is_a_whole_answer_that_closes():
    data = encode_refusal(Refusal(status=400, text="No."), now=0.0)
    assert data == (
        b"HTTP/1.1 400 Bad Request\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"content-type: text/plain; charset=utf-8\r\ncontent-length: 4\r\n"
        b"cache-control: no-store\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
        b"cross-origin-resource-policy: same-origin\r\nreferrer-policy: no-referrer\r\n"
        b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\nNo.\n"
    )
    assert encode_refusal(Refusal(status=400, text="No."), now=0.0, with_body=False) == data[:-4]
    assert encode_refusal(Refusal(status=499, text="No."), now=0.0).startswith(b"HTTP/1.1 499 \r\n")


def test_dates_are_as_http_wants_them():
    assert http_date(0.9) == b"Thu, 01 Jan 1970 00:00:00 GMT"
