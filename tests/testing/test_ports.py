"""A port that stays a test's own."""

import contextlib
import errno
import socket
import sys

import pytest
import trio

from supervisor.testing.ports import LOOPBACK, HeldPort

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is not held")


@pytest.fixture
def port():
    port = HeldPort()
    yield port
    port.close()


def bind(number):
    with socket.socket() as other:
        other.bind((LOOPBACK, number))


def test_nobody_else_has_it_until_it_is_closed(port):
    with pytest.raises(OSError) as raised:
        bind(port.number)
    assert raised.value.errno == errno.EADDRINUSE
    port.close()
    bind(port.number)
    port.close()


async def test_one_server_after_the_other_has_it_and_in_between_connections_are_refused(port):
    for _ in range(2):
        with pytest.raises(OSError):
            await trio.open_tcp_stream(LOOPBACK, port.number)
        (listener,) = await trio.open_tcp_listeners(port.number, host=LOOPBACK)
        async with listener, await trio.open_tcp_stream(LOOPBACK, port.number) as client, await listener.accept():
            assert client.socket.getpeername()[1] == port.number
    assert repr(port) == f"<HeldPort {port.number}>"


_LOCAL_PORT_RANGE = 51
"""IP_LOCAL_PORT_RANGE (ip(7)), in Linux since 6.3: from which ports the system chooses for a socket that names none."""


@pytest.fixture
def chooser(port):
    """A socket for which the system has no choice."""
    with socket.socket() as chooser:
        chooser.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        only = port.number << 16 | port.number
        with contextlib.suppress(OSError):  # on an older Linux it chooses from all
            chooser.setsockopt(socket.IPPROTO_IP, _LOCAL_PORT_RANGE, only.to_bytes(4, sys.byteorder))
        yield chooser


def test_a_server_that_asks_for_any_port_gets_another_one(port, chooser):
    with contextlib.suppress(OSError):
        chooser.bind((LOOPBACK, 0))
    assert chooser.getsockname()[1] != port.number


def test_a_client_that_dials_while_nobody_listens_does_not_reach_itself(port, chooser):
    with pytest.raises(OSError):
        chooser.connect((LOOPBACK, port.number))
