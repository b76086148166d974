"""Who may come in; the whole table of names and origins is tested with the server."""

import pytest

from supervisor.transport.admission import SHOWN_NAME, Admission, is_loopback
from supervisor.transport.forwarded import Caller, Peer
from supervisor.transport.head import Head
from supervisor.transport.origin import Origins

UPGRADE = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]


def check(host="localhost", *, peer=None, target=b"/app", headers=(), local_only=False):
    told = []
    admission = Admission(Origins(), websockets={b"/app/-/websocket"}, local_only=local_only, tell=told.append)
    head = Head(method="GET", target=target, headers=list(headers), http_version="1.1")
    refusal = admission.check(head, Peer(address=peer), Caller(address=peer, host=host, scheme="http"))
    return refusal and refusal.status, refusal and refusal.text, told


@pytest.mark.parametrize("peer", [None, "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_a_development_server_is_for_its_own_machine(peer):
    assert check(peer=peer, local_only=True) == (None, None, [])


@pytest.mark.parametrize("peer", ["192.168.1.7", "8.8.8.8", "2001:db8::1", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_and_for_no_other(peer):
    status, text, [told] = check(peer=peer, local_only=True)
    assert status == 403
    assert "its own machine only" in text
    assert peer in told
    assert check(peer=peer) == (None, None, [])


def test_a_wrong_name_is_told_why():
    status, text, [told] = check("evil.example")
    assert status == 421
    assert "does not answer to the name" in text
    assert "evil" not in text  # nothing of the visitor's is sent back
    assert "--allow-origin evil.example would allow it" in told
    assert len(check("a" * 1_000)[2][0]) < SHOWN_NAME + 50


def test_a_wrong_origin_is_told_why():
    headers = [*UPGRADE, (b"origin", b"http://evil.example")]
    status, text, [told] = check(target=b"/app/-/websocket?x=1", headers=headers)
    assert status == 403
    assert "Pages of this origin" in text
    assert "--allow-origin http://evil.example would allow it" in told


def test_a_websocket_is_where_there_is_one():
    assert check(target=b"/app/-/websocket?x=1", headers=UPGRADE)[0] is None
    assert check(target=b"/app", headers=UPGRADE)[0] == 404


@pytest.mark.parametrize("address", ["", "localhost", "0.0.0.0", "::", "1.2.3.4", "x"])
def test_only_loopback_addresses_are_loopback(address):
    assert not is_loopback(address)
