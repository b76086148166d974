"""What a URL says, and what it must not."""

import pytest

from supervisor.client.address import page_address, websocket_address


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://127.0.0.1:5006/ticker", "127.0.0.1:5006", "/ticker"),
        ("http://example.org", "example.org", "/"),
        ("http://example.org:80/a", "example.org", "/a"),
        ("https://example.org:443/a?b=c&d", "example.org", "/a?b=c&d"),
        ("https://example.org:80/", "example.org:80", "/"),
        ("http://[::1]:5006/a", "[::1]:5006", "/a"),
        ("HTTP://EXAMPLE.org/A", "example.org", "/A"),
        ("http://bücher.example/käse und brot?q=ä", "xn--bcher-kva.example", "/k%C3%A4se%20und%20brot?q=%C3%A4"),
        ("http://a/b%20c#part", "a", "/b%20c"),
        (" http://a/ ", "a", "/"),
    ],
)
def test_it_is_taken_apart(url, authority, target):
    address = page_address(url)
    assert (address.authority, address.target) == (authority, target)
    assert address.tls == url.strip().lower().startswith("https")
    assert page_address(address.url) == address


@pytest.mark.parametrize(
    "url",
    ["", "ticker", "127.0.0.1:5006/ticker", "localhost:5006", "ftp://a/b", "http://", "http:///a", "ws://a/b",
     "http://a:99999/", "http://a:b/", "http://[::1/", "http://" + "a" * 70 + "." + "ü" * 70],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(url):
    with pytest.raises(ValueError, match=r"one looks like http://127.0.0.1:5006/ticker$"):
        page_address(url)


def test_a_websocket_has_an_address_of_its_own():
    address = websocket_address("wss://example.org/a/-/websocket")
    assert (address.tls, address.port, address.target) == (True, 443, "/a/-/websocket")
    with pytest.raises(ValueError, match=r"begins with ws:// or wss://; one looks like ws://"):
        websocket_address("http://example.org/a")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://a/b", "/b?session=x%2Fy"),
        ("http://a/b?c=d", "/b?c=d&session=x%2Fy"),
    ],
)
def test_a_session_is_joined_by_its_id(url, target):
    assert page_address(url, session="x/y").target == target


def test_a_password_is_a_header_and_never_shown():
    address = page_address("http://ada:p%40ss@a/b")
    assert address.authorization == "Basic YWRhOnBAc3M="
    assert "YWRh" not in repr(address)
    assert address.url == "http://a/b"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "https://a/x"),
        ("x", "https://a/b/x"),
        ("?y=1", "https://a/b/c?y=1"),
        ("//other/x", "https://other/x"),
        ("http://a/x", "http://a/x"),
    ],
)
def test_a_redirect_leads_on_from_the_page(location, url):
    assert page_address("https://a/b/c").page(location).url == url


def test_a_websocket_is_where_the_page_came_from():
    address = page_address("https://a:1/b/c").websocket("/p/c/-/websocket")
    assert (address.tls, address.authority, address.target) == (True, "a:1", "/p/c/-/websocket")
    assert page_address("http://a/").websocket("wss://b/w").tls


@pytest.mark.parametrize(
    ("other", "is_trusted"),
    [
        ("http://a/x", True),
        ("https://a/x", True),
        ("http://b/", False),
        ("http://a:8080/", False),
        ("https://a:8443/", False),
    ],
)
def test_what_is_meant_for_one_server_goes_to_that_one(other, is_trusted):
    assert page_address(other).is_trusted_by(page_address("http://a/")) is is_trusted


def test_what_was_meant_to_be_encrypted_stays_so():
    assert not page_address("http://a/").is_trusted_by(page_address("https://a/"))
