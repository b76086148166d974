"""Which Host and Origin are ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.transport.origin import Origins, frame_source, is_address, parse_allowed

# A page can be opened by these names on a machine that is called "Box", served with --allow-origin of these two.
OURS = Origins(["Live.Example.org", "https://other.example:8443"], machine="Box")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5006",
        "LOCALHOST:5006",
        "localhost.",
        "localhost.:80",
        "127.0.0.1",
        "127.0.0.1:5006",
        "192.0.2.7:1",
        "[::1]",
        "[::1]:5006",
        "[2001:DB8::1]:80",
        "[fe80::1%eth0]:5006",
        "box",
        "BOX:5006",
        "box.:5006",
        "live.example.org",
        "LIVE.EXAMPLE.ORG:443",
        "live.example.org.",
        "live.example.org:9",
        "other.example",
    ],
)
def test_hosts_that_nobody_else_can_point_at_us_are_accepted(host):
    assert OURS.accepts_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        ":5006",
        "evil.example",
        "evil.example:5006",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.live.example.org",
        "live.example.org.evil.example",
        "localhost..",
        "localhost@evil.example",
        "evil.example@localhost",
        "user:pass@localhost",
        "localhost/",
        "localhost\\evil.example",
        "localhost,evil.example",
        "localhost evil.example",
        "localhost?",
        "localhost#",
        "localhost:port",
        "localhost:99999",
        "localhost:80:80",
        "::1",
        "[::1",
        "::1]",
        "[localhost]",
        "[127.0.0.1]",
        "[v1.localhost]",
        "2130706433",
        "0x7f.1",
        "١٢٧.0.0.1",
        "http://localhost",
        "[",
        "[]",
        "\ud800",
        "a\u2100b",  # urlsplit raises for it, as its NFKC form has a slash
    ],
)
def test_other_hosts_are_refused(host):
    assert not OURS.accepts_host(host)


def test_a_machine_without_a_name_has_no_host_of_that_name():
    assert not Origins().accepts_host("")
    assert Origins().accepts_host("localhost")
    assert not Origins().accepts_host("box")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:5006", "localhost:5006"),
        ("HTTP://LOCALHOST:5006", "localhost:5006"),
        ("http://localhost:5006", "LOCALHOST.:5006"),
        ("http://localhost", "localhost"),
        ("http://localhost:80", "localhost"),
        ("http://localhost", "localhost:80"),
        ("https://localhost", "localhost"),  # behind a proxy that speaks TLS
        ("https://localhost:443", "localhost"),
        ("https://localhost", "localhost:443"),
        ("http://[::1]:5006", "[::1]:5006"),
        ("ws://localhost:5006", "localhost:5006"),
        ("http://live.example.org", "localhost:5006"),  # named, so on any port and by any scheme
        ("https://live.example.org:9", "localhost:5006"),
        ("https://Live.Example.Org.", "127.0.0.1"),
        ("https://other.example:8443", "localhost"),
    ],
)
def test_origins_of_ours_are_accepted(origin, host):
    assert OURS.accepts_origin(origin, host=host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "localhost:5006"),
        ("", "localhost:5006"),
        ("localhost:5006", "localhost:5006"),
        ("//localhost:5006", "localhost:5006"),
        ("http://evil.example", "localhost:5006"),
        ("http://localhost.evil.example:5006", "localhost:5006"),
        ("http://localhost:5007", "localhost:5006"),
        ("http://localhost", "localhost:5006"),
        ("http://localhost:5006", "localhost"),
        ("https://localhost", "localhost:80"),
        ("http://127.0.0.1:5006", "localhost:5006"),
        ("http://localhost@evil.example", "localhost"),
        ("http://localhost:80@evil.example", "localhost"),
        ("http://evil.example@localhost", "localhost"),
        ("http://evil.example#localhost", "localhost"),
        ("http://evil.example\\@localhost", "localhost"),
        ("file://localhost", "localhost"),
        ("chrome-extension://localhost", "localhost"),
        ("javascript://localhost", "localhost"),
        ("http://other.example:8443", "localhost"),  # named with another scheme
        ("https://other.example", "localhost"),  # and with another port
        ("http://sub.live.example.org", "localhost"),
        ("http://[", "localhost"),
        ("http://[::1", "[::1]"),
        ("http://localhost:port", "localhost"),
        ("http://a\u2100b", "localhost"),
        ("http://", "localhost"),
        ("http://.", "."),
        ("http://localhost", ""),
        ("http://localhost", "["),
    ],
)
def test_other_origins_are_refused(origin, host):
    assert not OURS.accepts_origin(origin, host=host)


@given(st.text() | st.from_regex(r"(https?://)?[\[\]a-z0-9.:@/\\?#%-]*", fullmatch=True), st.text())
def test_nothing_that_a_client_sends_raises(text, other):
    """And what is no name of ours is never accepted with the port or the user of one."""
    for name in (text, f"http://{text}", f"localhost{text}", f"http://localhost{text}"):
        OURS.accepts_host(name)
        OURS.accepts_origin(name, host=other)
        OURS.accepts_origin(other, host=name)
        OURS.accepts_origin(name, host=name)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("example.org", (None, "example.org", None)),
        ("EXAMPLE.org.", (None, "example.org", None)),
        ("example.org:8443", (None, "example.org", 8443)),
        ("https://example.org", ("https", "example.org", 443)),
        ("HTTPS://example.org/", ("https", "example.org", 443)),
        ("http://example.org", ("http", "example.org", 80)),
        ("https://example.org:8443", ("https", "example.org", 8443)),
        ("my_box", (None, "my_box", None)),
        ("192.0.2.1:80", (None, "192.0.2.1", 80)),
        ("[2001:db8::1]:80", (None, "2001:db8::1", 80)),
        ("bücher.example", (None, "xn--bcher-kva.example", None)),
    ],
)
def test_the_forms_of_allow_origin(name, parsed):
    assert parse_allowed(name) == parsed


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "*.example.org",
        "https://",
        "ftp://example.org",
        "://example.org",
        "example.org/path",
        "https://example.org/path",
        "https://example.org//",
        "example.org:port",
        "user@example.org",
        "a b",
        "a,b",
        "example..org",
        ".example.org",
        "null?",
        "[::1",
        "bü..cher",
        "\ud800",
    ],
)
def test_what_is_no_allow_origin_is_refused_with_advice(name):
    with pytest.raises(ValueError, match="write a name such as"):
        parse_allowed(name)


@given(st.text())
def test_a_value_that_is_taken_allows_what_it_names(text):
    try:
        scheme, _, _ = parse_allowed(text)
    except ValueError:
        return
    ours = Origins([text])
    authority = text.rpartition("://")[2].removesuffix("/")
    if authority.isascii():
        assert ours.accepts_host(authority)
        assert ours.accepts_origin(f"{scheme or 'http'}://{authority}", host="localhost")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("https://portal.example.org", "https://portal.example.org"),
        ("https://portal.example.org/", "https://portal.example.org"),
        ("https://PORTAL.example.org:8443", "https://portal.example.org:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("portal.example.org", "portal.example.org"),
        ("portal.example.org:8443", "portal.example.org:8443"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_embedder_is_a_source_of_the_policy(name, source):
    assert frame_source(name) == source


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("*", "write a name such as"),
        ("https://portal.example.org; script-src *", "write a name such as"),
        ("https://portal.example.org 'self'", "write a name such as"),
        ("wss://portal.example.org", "write http:// or https://"),
        ("https://[2001:db8::1]", "no IPv6 addresses: write a host name"),
    ],
)
def test_what_a_policy_cannot_name_is_refused_with_advice(name, advice):
    with pytest.raises(ValueError, match=advice):
        frame_source(name)


@given(st.text())
def test_no_embedder_adds_anything_else_to_the_policy(text):
    try:
        source = frame_source(text)
    except ValueError:
        return
    assert not set(source) & set(";, '\"*\\\r\n\t")


@pytest.mark.parametrize(
    ("origin", "accepted"), [("https://box", True), ("http://box", False), ("http://box:443", False)]
)
def test_where_this_server_is_surely_reached_by_tls_its_own_pages_are_too(origin, accepted):
    """Whoever sits on the visitor's line can make a page of `http` with our name, and cookies don't know schemes."""
    assert OURS.accepts_origin(origin, host="box:443", secure=True) == accepted
    assert OURS.accepts_origin("http://box", host="box:80", secure=False)


def test_an_operator_may_name_an_origin_of_http_all_the_same():
    assert OURS.accepts_origin("http://live.example.org", host="live.example.org", secure=True)


def test_an_address_is_no_name():
    assert [is_address(host) for host in ("10.0.0.1", "::1", "example.org", "")] == [True, True, False, False]
