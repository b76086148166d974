"""Whose word counts on who asks: the connection's, or that of trusted proxies."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.transport.forwarded import Caller, Peer, TrustedProxies

PROXY, OTHER_PROXY, VISITOR, LIAR = "10.0.0.1", "10.0.0.2", "203.0.113.9", "198.51.100.66"


def ask(trusted, peer, *headers):
    peer = peer if isinstance(peer, Peer) else Peer(address=peer)
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (("Host", "inside:5006"), *headers)]
    caller = TrustedProxies(trusted).find_caller(peer, raw)
    return attrs.evolve(caller, counted_as=None, is_behind_unknown_proxy=False)


FORWARDED = (("X-Forwarded-For", VISITOR), ("X-Forwarded-Host", "example.org"), ("X-Forwarded-Proto", "https"))


def test_the_word_of_a_trusted_proxy_counts():
    caller = ask([PROXY], PROXY, *FORWARDED)
    assert caller == Caller(address=VISITOR, host="example.org", scheme="https")


@pytest.mark.parametrize("trusted", [(), (OTHER_PROXY,), ("unix",), ("10.0.1.0/24",)])
def test_the_word_of_anybody_else_does_not(trusted):
    assert ask(trusted, PROXY, *FORWARDED) == Caller(address=PROXY, host="inside:5006", scheme="http")


def test_a_network_is_trusted_as_a_whole():
    assert ask(["10.0.0.0/8"], "10.200.3.4", *FORWARDED).address == VISITOR
    assert ask(["2001:db8::/32"], "2001:db8::5", *FORWARDED).address == VISITOR


def test_whoever_connects_by_the_unix_socket_is_trusted_by_the_word_unix_alone():
    peer = Peer(address=None, is_unix=True)
    assert ask(["unix"], peer, *FORWARDED) == Caller(address=VISITOR, host="example.org", scheme="https")
    assert ask(["0.0.0.0/0", "::/0"], peer, *FORWARDED).address is None
    assert ask(["unix"], Peer(address=None), *FORWARDED).host == "inside:5006"


def test_what_a_visitor_wrote_himself_stands_before_what_the_proxy_adds():
    assert ask([PROXY], PROXY, ("X-Forwarded-For", f"{LIAR}, {VISITOR}")).address == VISITOR
    assert ask([PROXY], PROXY, ("X-Forwarded-For", LIAR), ("X-Forwarded-For", VISITOR)).address == VISITOR
    assert ask([PROXY], PROXY, ("X-Forwarded-Host", "evil.example, example.org")).host == "example.org"
    assert ask([PROXY], PROXY, ("X-Forwarded-Proto", "https, http")).scheme == "http"


def test_of_several_trusted_proxies_the_one_that_the_visitor_met_is_believed():
    forwarded = ("X-Forwarded-For", f"{LIAR}, {VISITOR}, {OTHER_PROXY}")
    assert ask(["10.0.0.0/8"], PROXY, forwarded).address == VISITOR
    assert ask([PROXY], PROXY, forwarded).address == OTHER_PROXY


def test_a_visitor_from_the_proxies_own_network_is_the_first_of_all():
    assert ask(["10.0.0.0/8"], PROXY, ("X-Forwarded-For", "10.0.0.7, 10.0.0.2")).address == "10.0.0.7"


@pytest.mark.parametrize("rubbish", ["unknown", "_hidden", "", "1.2.3", "evil.example", "ä", "::1::", "999.1.1.1"])
def test_what_is_no_address_ends_the_list(rubbish):
    assert ask([PROXY], PROXY, ("X-Forwarded-For", f"{LIAR}, {rubbish}, {VISITOR}")).address == VISITOR
    assert ask(["10.0.0.0/8"], PROXY, ("X-Forwarded-For", f"{LIAR}, {rubbish}, {OTHER_PROXY}")).address == OTHER_PROXY
    assert ask([PROXY], PROXY, ("X-Forwarded-For", f"{VISITOR}, {rubbish}")).address == PROXY


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.9:4711", VISITOR),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", VISITOR),
    ],
)
def test_addresses_are_read_as_proxies_write_them(written, address):
    assert ask([PROXY], PROXY, ("X-Forwarded-For", written)).address == address


def test_an_ipv4_proxy_is_known_on_a_socket_of_both_families():
    assert ask([PROXY], f"::ffff:{PROXY}", *FORWARDED).address == VISITOR


def test_without_forwarded_headers_a_trusted_proxy_asks_for_itself():
    assert ask([PROXY], PROXY) == Caller(address=PROXY, host="inside:5006", scheme="http")
    assert ask([PROXY], Peer(address=PROXY, scheme="https")).scheme == "https"


@pytest.mark.parametrize(("proto", "scheme"), [("wss", "https"), ("HTTPS", "https"), ("ws", "http"), ("ftp", "http")])
def test_schemes_of_websockets_are_those_of_their_pages(proto, scheme):
    assert ask([PROXY], PROXY, ("X-Forwarded-Proto", proto)).scheme == scheme


def test_a_request_without_a_host_has_an_empty_one():
    assert TrustedProxies().find_caller(Peer(address=PROXY), []).host == ""


@pytest.mark.parametrize("word", ["", "proxy.example", "10.0.0.0/33", "10.0.0.*", "Unix", "/run/socket", "10.0.0.1:80"])
def test_what_is_no_proxy_is_refused_with_advice(word):
    with pytest.raises(ValueError, match=r"write an IP address, a network such as 10\.0\.0\.0/8, or unix"):
        TrustedProxies([word])


def test_a_network_with_an_address_in_it_is_refused_with_the_network_that_was_meant():
    with pytest.raises(ValueError, match=r"did you mean 10\.0\.0\.0/8\?"):
        TrustedProxies(["10.1.2.3/8"])


@given(st.lists(st.text(st.characters(codec="latin-1"), max_size=20), max_size=5))
def test_no_header_breaks_it_and_an_untrusted_peer_is_always_itself(values):
    headers = [
        (name, value) for value in values for name in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto")
    ]
    ask(["0.0.0.0/0", "::/0"], PROXY, *headers)
    assert ask([OTHER_PROXY], PROXY, *headers) == Caller(address=PROXY, host="inside:5006", scheme="http")


# Whose sessions are counted together.


def counted(trusted, peer, *headers):
    """What its sessions are counted under, and whether it came through a proxy that nobody named."""
    peer = peer if isinstance(peer, Peer) else Peer(address=peer)
    caller = TrustedProxies(trusted).find_caller(
        peer, [(name.lower().encode(), b"%b" % text) for name, text in headers]
    )
    return caller.counted_as, caller.is_behind_unknown_proxy


SAYS_WHO = ("X-Forwarded-For", VISITOR.encode())


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (VISITOR, VISITOR),
        (f"::ffff:{VISITOR}", VISITOR),
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("127.8.9.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        (None, None),
    ],
)
def test_a_visitor_is_counted_by_address_or_network_and_this_machine_is_not(address, name):
    assert counted([], address) == (name, False)
    if address is not None:
        assert counted([PROXY], PROXY, ("X-Forwarded-For", address.encode())) == (name, False)


def test_a_public_address_is_counted_whatever_it_sends():
    for header in (SAYS_WHO, ("Forwarded", b"for=198.51.100.1"), ("X-Forwarded-For", b"127.0.0.1")):
        assert counted([], "8.8.8.8", header) == ("8.8.8.8", False)
        assert counted(["unix"], "8.8.8.8", header) == ("8.8.8.8", False)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", PROXY, "192.168.1.1", "fd00::5"])
@pytest.mark.parametrize("header", [SAYS_WHO, ("Forwarded", b"for=198.51.100.1")], ids=lambda header: header[0])
def test_what_comes_through_a_proxy_that_nobody_named_is_not_counted(peer, header):
    assert counted([], peer, header) == (None, True)


def test_where_a_proxy_was_named_others_can_not_pass_for_one():
    assert counted([OTHER_PROXY], PROXY, SAYS_WHO) == (PROXY, False)


def test_by_a_unix_socket_nobody_is_counted_but_whom_a_trusted_proxy_names():
    peer = Peer(address=None, is_unix=True)
    assert counted([], peer, SAYS_WHO) == (None, False)
    assert counted(["unix"], peer) == (None, False)
    assert counted(["unix"], peer, SAYS_WHO) == (VISITOR, False)


def test_a_trusted_proxy_that_names_nobody_is_not_counted():
    assert counted([PROXY], PROXY) == (None, False)
    assert counted([PROXY], PROXY, ("X-Forwarded-For", b"unknown")) == (None, False)
