"""Delays, slow lines and cuts, over memory and over sockets."""

import contextlib
import itertools

import attrs
import pytest
import trio
import trio.testing

from supervisor.testing.memory import MemoryStream, memory_stream_pair
from supervisor.testing.network import WINDOW, Conditions, Network


@pytest.fixture
def connect(nursery):
    """await connect(network) -> the client's end and the server's, over memory."""

    async def make(network=None, *, pair=None):
        client, server = pair or memory_stream_pair()
        wrapped = (network or Network()).wrap(client)
        nursery.start_soon(wrapped.run)
        return wrapped, server

    return make


async def arrivals(stream, count):
    """When so many bytes arrived, and which."""
    came = []
    while sum(len(data) for _, data in came) < count:
        data = bytes(await stream.receive_some())
        assert data
        came.append((round(trio.current_time(), 6), data))
    return came


async def test_with_good_conditions_it_is_a_stream_like_others(nursery):
    async def make(end):
        client, server = memory_stream_pair(buffer=4096)
        wrapped = Network().wrap(client)
        nursery.start_soon(wrapped.run)
        return (wrapped, server)[:: 1 if end == "client" else -1]

    async def clogged():
        wrapped, server = await make("client")
        for _ in range(2):  # one lies in the line, and one waits to be taken by the server's end
            await wrapped.send_all(bytes(WINDOW))
            await trio.testing.wait_all_tasks_blocked()
        return wrapped, server

    await trio.testing.check_one_way_stream(lambda: make("client"), clogged)
    await trio.testing.check_two_way_stream(lambda: make("client"), None)
    await trio.testing.check_two_way_stream(lambda: make("server"), None)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_delay_shifts_everything_and_stretches_nothing(connect, autojump_clock, direction):
    network = Network()
    getattr(network, direction).delay = 2.0
    client, server = await connect(network)
    sender, receiver = (client, server) if direction == "up" else (server, client)
    async with trio.open_nursery() as nursery:

        async def send():
            for text in (b"one", b"two", b"three"):
                await sender.send_all(text)
                await trio.sleep(0.5)

        nursery.start_soon(send)
        assert await arrivals(receiver, 11) == [(2.0, b"one"), (2.5, b"two"), (3.0, b"three")]
    before = trio.current_time()
    await receiver.send_all(b"back")
    await arrivals(sender, 4)
    assert trio.current_time() == before  # the other direction has its own conditions


async def test_a_delay_may_change_while_something_is_under_way(connect, autojump_clock):
    client, server = await connect()
    client_side = client._up._conditions
    client_side.delay = 100
    await client.send_all(b"slow")
    async with trio.open_nursery() as nursery:

        async def get_well():
            await trio.sleep(3)
            client_side.delay = 0

        nursery.start_soon(get_well)
        assert await arrivals(server, 4) == [(3.0, b"slow")]


async def test_jitter_is_the_same_for_the_same_seed_and_lets_nothing_overtake(connect, autojump_clock):
    async def run(seed):
        network = Network(seed=seed, down=Conditions(delay=1.0, jitter=5.0))
        client, server = await connect(network)
        began = trio.current_time()
        came = []
        async with trio.open_nursery() as nursery:

            async def receive():
                while len(came) < 20:
                    came.append((round(trio.current_time() - began, 6), bytes(await client.receive_some())))

            nursery.start_soon(receive)
            for number in range(20):
                await server.send_all(b"%c" % number)
                await trio.sleep(0.1)
        assert [data for _, data in came] == [b"%c" % number for number in range(20)]
        return [at for at, _ in came]

    first = await run(1)
    assert first == await run(1)
    assert first != await run(2)
    assert first[1] >= 1.0
    assert len(set(first)) > 3
    assert first[-1] <= 1.9 + 6.0


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_rate_bounds_the_bytes_of_a_second_and_trickles(connect, autojump_clock, direction):
    network = Network()
    getattr(network, direction).rate = 1000
    client, server = await connect(network)
    sender, receiver = (client, server) if direction == "up" else (server, client)
    await sender.send_all(bytes(10_000))
    came = await arrivals(receiver, 10_000)
    assert came[-1][0] == pytest.approx(10.0)
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(came)]
    assert max(gaps) < 0.11  # never silent for long
    getattr(network, direction).rate = None
    began = trio.current_time()
    await sender.send_all(bytes(10_000))
    await arrivals(receiver, 10_000)
    assert trio.current_time() == began


async def test_what_is_under_way_is_bounded_and_the_sender_waits(connect, autojump_clock):
    network = Network(down=Conditions(delay=1.0))
    client, server = await connect(network)
    with trio.move_on_after(0.5) as scope:
        while True:
            await server.send_all(bytes(1000))
    assert scope.cancelled_caught
    assert len(client._down) == WINDOW
    network.up.delay = 1.0
    with trio.move_on_after(0.5):
        while True:
            await client.send_all(bytes(1000))
    with trio.move_on_after(0.1) as scope:
        await client.wait_send_all_might_not_block()
    assert scope.cancelled_caught
    assert len(client._up) == WINDOW
    assert "65536 bytes up, 65536 down" in repr(client)


async def tcp():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client = await trio.open_tcp_stream(*listener.socket.getsockname())
    server = await listener.accept()
    await listener.aclose()
    return client, server


async def memory():
    return memory_stream_pair()


@pytest.mark.parametrize("pair", [memory, tcp])
@pytest.mark.parametrize("bytes_before", [0, 1, 7, 10])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_connection_is_cut_after_so_many_bytes(connect, nursery, pair, bytes_before, direction):
    """Exactly so many arrive; then both ends get an error."""
    network = Network()
    client, server = await connect(network, pair=await pair())
    getattr(network, direction).cut_after = bytes_before
    sender, receiver = (client, server) if direction == "up" else (server, client)
    try:
        await sender.send_all(b"0123456789 and more")
    except trio.BrokenResourceError:
        assert bytes_before == 0
    came = b""
    with pytest.raises(trio.BrokenResourceError):
        while data := await receiver.receive_some():
            came += data
    assert came == b"0123456789"[:bytes_before]
    with pytest.raises(trio.BrokenResourceError):
        for _ in range(100):
            await sender.send_all(b"x")
            await trio.testing.wait_all_tasks_blocked()
    with contextlib.suppress(trio.BrokenResourceError):  # a socket tells of it only once
        assert await sender.receive_some() == b""
    assert getattr(network, direction).cut_after is None
    await client.aclose()
    await server.aclose()


async def test_the_bytes_before_a_cut_are_counted_across_connections(connect):
    network = Network(down=Conditions(cut_after=6))
    client, server = await connect(network)
    await server.send_all(b"1234")
    assert await client.receive_some() == b"1234"
    assert network.down.cut_after == 2
    await client.aclose()
    client, server = await connect(network)
    await server.send_all(b"5678")
    assert await client.receive_some() == b"56"
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    client, server = await connect(network)
    await server.send_all(bytes(1000))
    assert len(await client.receive_some()) == 1000


async def test_the_server_learns_of_a_cut_as_soon_as_the_last_bytes_were_read(connect):
    client, server = await connect(Network(down=Conditions(cut_after=4)))
    await server.send_all(b"1234")
    assert await client.receive_some() == b"1234"
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()


async def test_a_cut_loses_what_is_under_way(connect, autojump_clock):
    network = Network(up=Conditions(delay=1.0), down=Conditions(delay=1.0))
    client, server = await connect(network)
    await client.send_all(b"lost")
    await server.send_all(b"lost")
    await trio.sleep(0.5)
    await client.cut()
    await client.cut()
    for stream in (client, server):
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await client.wait_send_all_might_not_block()


async def test_what_was_sent_before_closing_arrives_and_then_the_end(connect, autojump_clock):
    network = Network(up=Conditions(delay=3.0))
    client, server = await connect(network)
    await client.send_all(b"goodbye")
    await client.aclose()
    for call in (client.send_all(b"x"), client.receive_some(), client.wait_send_all_might_not_block()):
        with pytest.raises(trio.ClosedResourceError):
            await call
    assert await arrivals(server, 7) == [(3.0, b"goodbye")]
    assert await server.receive_some() == b""


async def test_an_end_without_data_takes_as_long_as_data_would(connect, autojump_clock):
    client, server = await connect(Network(up=Conditions(delay=3.0)))
    await trio.testing.wait_all_tasks_blocked()
    await client.aclose()
    assert await server.receive_some() == b""
    assert trio.current_time() == 3.0


async def test_the_servers_end_takes_as_long_as_its_data(connect, autojump_clock):
    network = Network(down=Conditions(delay=3.0))
    client, server = await connect(network)
    await server.send_all(b"goodbye")
    await server.aclose()
    assert await arrivals(client, 7) == [(3.0, b"goodbye")]
    for _ in range(2):
        assert await client.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        for _ in range(3):
            await client.send_all(b"x")
            await trio.testing.wait_all_tasks_blocked()
    await client.aclose()
    assert repr(client).endswith("over <MemoryStream closed>>")


async def test_the_servers_reset_takes_as_long_as_its_data(connect, autojump_clock):
    client, server = await connect(Network(down=Conditions(delay=3.0)))
    await server.send_all(b"last")
    server.reset()
    assert await arrivals(client, 4) == [(3.0, b"last")]
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()


async def test_its_task_ends_with_the_connection_and_cancelled_cuts_it(autojump_clock):
    client, server = memory_stream_pair()
    wrapped = Network().wrap(client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wrapped.run)
        await wrapped.send_all(b"x")
        await wrapped.aclose()
    client, server = memory_stream_pair()
    wrapped = Network().wrap(client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wrapped.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await wrapped.receive_some()
    await wrapped.aclose()


async def test_a_connection_that_never_was_run_can_be_closed():
    client, server = memory_stream_pair()
    await Network().wrap(client).aclose()
    assert await server.receive_some() == b""


async def test_what_was_sent_and_closed_before_it_is_run_arrives():
    client, server = memory_stream_pair()
    wrapped = Network().wrap(client)
    await wrapped.send_all(b"early")
    await wrapped.aclose()
    await wrapped.run()
    assert await server.receive_some() == b"early"
    assert await server.receive_some() == b""


async def test_closing_wakes_who_reads_at_once_however_far_the_server_is(connect, nursery, autojump_clock):
    client, _ = await connect(Network(up=Conditions(delay=3.0)))

    async def read():
        with pytest.raises(trio.ClosedResourceError):
            await client.receive_some()
        assert trio.current_time() == 0

    async with trio.open_nursery() as inner:
        inner.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()


@pytest.mark.parametrize(
    ("name", "value", "error", "said"),
    [
        ("delay", -1, ValueError, "delay must be a finite number of seconds, at least 0, not -1"),
        ("jitter", "much", TypeError, "jitter must be a finite number of seconds, at least 0, not 'much'"),
        ("rate", 0, ValueError, "rate must be a finite number, at least 0.001, or None, not 0"),
        ("cut_after", 1.5, TypeError, "cut_after must be a whole number, at least 0, or None, not 1.5"),
    ],
)
def test_conditions_that_can_not_be_are_refused(name, value, error, said):
    network = Network()
    with pytest.raises(error) as refused:
        setattr(network.up, name, value)
    assert str(refused.value) == said
    with pytest.raises(error):
        Conditions(**{name: value})
    assert getattr(network.up, name) == getattr(Conditions(), name)


def test_it_shows_its_conditions():
    network = Network(up=Conditions(rate=100))
    assert "rate=100" in repr(network)
    assert {each.name for each in attrs.fields(Conditions)} >= {"delay", "jitter", "rate", "cut_after"}
    assert isinstance(memory_stream_pair()[0], MemoryStream)
