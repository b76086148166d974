"""How clients reach a server, whatever the way is made of."""

import contextlib
import socket
import sys

import pytest
import trio

from supervisor.testing.transports import Tcp, make_transport

REFUSED = (OSError, trio.BrokenResourceError)


@pytest.fixture(params=["memory", "tcp"])
async def transport(request):
    with contextlib.closing(make_transport(request.param)) as transport:
        yield transport


async def test_connections_are_made_to_one_server_after_the_other(transport):
    authorities = set()
    for _ in range(2):
        (listener,) = await transport.listen()
        authorities.add(transport.authority)
        port = f":{listener.socket.getsockname()[1]}" if isinstance(transport, Tcp) else ""
        assert transport.authority == f"localhost{port}"
        async with await transport.connect() as client, await listener.accept() as server:
            await client.send_all(b"hello")
            assert await server.receive_some() == b"hello"
            await server.aclose()
            assert await client.receive_some() == b""
        await listener.aclose()
        with pytest.raises(REFUSED):
            await transport.connect()
    assert len(authorities) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is not held")
async def test_over_tcp_nobody_else_gets_the_port_between_two_servers():
    with contextlib.closing(make_transport("tcp")) as transport:
        (listener,) = await transport.listen()
        _, port = listener.socket.getsockname()
        await listener.aclose()
        with socket.socket() as other:
            with pytest.raises(OSError):
                other.bind(("127.0.0.1", port))
            transport.close()
            other.bind(("127.0.0.1", port))


async def pour(stream):
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(bytes(10_000_000))


@pytest.mark.parametrize("carried", [0, 5_000_000])
async def test_some_64_kib_are_under_way_to_who_does_not_read_whatever_was_carried_before(transport, carried):
    (listener,) = await transport.listen()
    async with listener, await transport.connect() as client, await listener.accept() as server:
        for sender, receiver in ((server, client), (client, server)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.send_all, bytes(carried))
                left = carried
                while left:
                    left -= len(await receiver.receive_some())
        for sender, receiver in ((server, client), (client, server)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pour, sender)
                await trio.testing.wait_all_tasks_blocked(0.05)
                nursery.cancel_scope.cancel()
            await sender.send_eof()
            under_way = 0
            while data := await receiver.receive_some():
                under_way += len(data)
            assert 32 * 1024 <= under_way <= 96 * 1024


async def test_bad_use_is_told(mock_clock):
    with pytest.raises(ValueError, match="a transport must be one of memory, tcp, not 'udp'"):
        make_transport("udp")
    with pytest.raises(RuntimeError, match="sockets take real time, but this run's clock is virtual"):
        make_transport("tcp")
