"""How clients reach a server, whatever the way is made of."""

import pytest
import trio

from supervisor.testing.transports import make_transport

REFUSED = (OSError, trio.BrokenResourceError)


@pytest.mark.parametrize("name", ["memory", "tcp"])
async def test_connections_are_made_to_one_server_after_the_other(name):
    transport = make_transport(name)
    authorities = set()
    for _ in range(2):
        (listener,) = await transport.listen()
        authorities.add(transport.authority)
        port = f":{listener.socket.getsockname()[1]}" if name == "tcp" else ""
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


async def test_bad_use_is_told(mock_clock):
    with pytest.raises(ValueError, match="a transport is one of memory, tcp, not 'udp'"):
        make_transport("udp")
    with pytest.raises(RuntimeError, match="sockets take real time, and this run's clock is virtual"):
        make_transport("tcp")
