import os
import socket

import pytest

from supervisor.testing import sockets
from supervisor.testing.sockets import addresses_of, open_sockets


def new(before):
    return addresses_of(open_sockets() - before)


def test_what_was_open_before_is_not_new_and_what_is_no_socket_is_none(tmp_path):
    with socket.socket(), open(tmp_path / "file", "w"):
        before = open_sockets()
        with open(tmp_path / "other", "w"):
            assert new(before) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listener_and_both_ends_of_a_connection_are_told_by_their_addresses(host):
    before = open_sockets()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no such address")
    shown = f"[{host}]" if ":" in host else host
    with listener:
        port = listener.getsockname()[1]
        assert list(new(before).values()) == [f"{shown}:{port}, descriptor {listener.fileno()}"]
        with socket.create_connection((host, port)) as ours:
            mine = ours.getsockname()[1]
            assert f"{shown}:{mine} → {shown}:{port}, descriptor {ours.fileno()}" in new(before).values()
    assert new(before) == {}


def test_unix_sockets_are_told_by_their_paths(tmp_path):
    before = open_sockets()
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert list(new(before).values()) == [f"{path}, descriptor {listener.fileno()}"]
    one, other = socket.socketpair()
    with one, other:
        name = "a Unix socket without a name"
        assert next(iter(new(before).values())).startswith(f"{name} → {name}, descriptor ")


def test_a_descriptor_that_is_used_again_is_another_socket():
    before_all = open_sockets()
    with socket.socket() as first:
        number = first.fileno()
        before = open_sockets()
    with socket.socket() as second:
        assert second.fileno() == number
        assert len(new(before)) == 1
    assert open_sockets() == before_all


def test_asking_opens_and_closes_nothing():
    before = set(os.listdir("/dev/fd"))
    with socket.socket() as one:
        addresses_of(open_sockets())
        assert one.fileno() >= 0
    assert set(os.listdir("/dev/fd")) == before


def test_a_descriptor_that_is_closed_meanwhile_has_no_address():
    with socket.socket() as one:
        (key,) = [key for key in open_sockets() if key[0] == one.fileno()]
    assert list(addresses_of([key]).values()) == [f"a socket without an address, descriptor {key[0]}"]


def test_where_descriptors_cannot_be_listed_there_is_no_socket(monkeypatch):
    monkeypatch.setattr(sockets, "_DESCRIPTORS", "/dev/null/nothing")
    assert open_sockets() == frozenset()
