"""Requests as hooks see them, made of untrusted bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.transport.requests import MAX_ARGUMENTS, read_cookies, read_request


def test_the_parts_of_a_request():
    request = read_request(
        b"/tools/my%20app/?symbol=ABC&symbol=%C3%A4&empty=&session=s-1",
        [(b"Host", b"localhost"), (b"Cookie", b"a=1; b=2"), (b"Accept", b"x"), (b"accept", b"y")],
        remote_address="192.0.2.1",
    )
    assert request.path == "/tools/my app/"
    assert request.arguments == {"symbol": ("ABC", "ä"), "empty": ("",), "session": ("s-1",)}
    assert request.headers == {"host": "localhost", "cookie": "a=1; b=2", "accept": "x, y"}
    assert request.cookies == {"a": "1", "b": "2"}
    assert request.remote_address == "192.0.2.1"


def test_a_request_is_read_only():
    request = read_request(b"/?a=1", [(b"a", b"b"), (b"cookie", b"c=d")])
    for mapping in (request.headers, request.arguments, request.cookies):
        with pytest.raises(TypeError):
            mapping["new"] = "value"
    with pytest.raises(AttributeError):
        request.path = "/other"


def test_a_path_without_a_query():
    request = read_request(b"/app", [])
    assert (request.path, request.arguments, request.cookies, request.remote_address) == ("/app", {}, {}, None)


def test_bytes_that_are_no_text_are_replaced():
    request = read_request(b"/%FF?a=%FF", [(b"x-name", b"\xff")])
    assert request.path == "/\ufffd"
    assert request.arguments == {"a": ("\ufffd",)}
    assert request.headers == {"x-name": "ÿ"}


def test_too_many_arguments_are_none():
    at_most = b"&".join(b"a=%d" % number for number in range(MAX_ARGUMENTS))
    assert len(read_request(b"/?" + at_most, []).arguments["a"]) == MAX_ARGUMENTS
    assert read_request(b"/?" + at_most + b"&b=1", []).arguments == {}


def test_cookies_of_several_headers_are_all_read():
    request = read_request(b"/", [(b"cookie", b"a=1, 2"), (b"Cookie", b"b=2")])
    assert request.cookies == {"a": "1, 2", "b": "2"}


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1;b=2", {"a": "1", "b": "2"}),
        (" a = 1 ; ; b=2;", {"a": "1", "b": "2"}),
        ("a=first; a=second", {"a": "first"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("alone; b=2", {"b": "2"}),
        ("=nameless; b=2", {"b": "2"}),
        ('a="quoted \\"text\\""', {"a": 'quoted "text"'}),
        ('json={"x":1,"y":[2]}; b=2', {"json": '{"x":1,"y":[2]}', "b": "2"}),
        ("a=hello world; b=2", {"a": "hello world", "b": "2"}),
        ("version=3; path=/x; $Version=1", {"version": "3", "path": "/x", "$Version": "1"}),
        ("a[0]=1; b:c=2", {"a[0]": "1", "b:c": "2"}),
    ],
)
def test_cookies_are_read_as_leniently_as_browsers_do(header, cookies):
    assert read_cookies(header) == cookies


@given(st.binary(), st.lists(st.tuples(st.binary(), st.binary()) | st.tuples(st.just(b"cookie"), st.binary())))
def test_nothing_that_a_client_sends_raises(target, headers):
    request = read_request(target, headers)
    assert all(isinstance(value, str) for value in request.cookies.values())
