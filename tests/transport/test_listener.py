import contextlib
import errno
import socket
import ssl

import pytest
import trio
import trio.testing

from supervisor.transport import listener as module
from supervisor.transport.forwarded import Peer
from supervisor.transport.listener import (
    accept_connections,
    connections_allowed,
    explain_listen_error,
    find_peer,
    open_listeners,
)

from ..docs.proxies import find_free_port


def port_of(listener):
    return listener.socket.getsockname()[1]


@pytest.fixture
async def opened():
    """`opened(listeners or streams)` gives them back, and closes them when the test is over, also if it failed."""
    with contextlib.ExitStack() as stack:

        def keep(all):
            for each in all:
                stack.callback(each.socket.close)
            return all

        yield keep


def resolve_to(*addresses):
    """A resolver that knows these addresses only, whatever the name."""

    async def getaddrinfo(host, port, *args, **options):
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in address], socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


@pytest.fixture
def resolver(monkeypatch):
    """resolver(*addresses): what names stand for; numeric addresses stay themselves."""
    real = trio.socket.getaddrinfo

    def use(*addresses):
        async def getaddrinfo(host, *args, **options):
            answer = resolve_to(*addresses) if host == "many" else real
            return await answer(host, *args, **options)

        monkeypatch.setattr("trio.socket.getaddrinfo", getaddrinfo)

    return use


async def test_any_free_port_is_the_same_on_all_addresses(resolver, opened):
    resolver("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1")
    listeners = opened(await open_listeners("many", 0))
    assert [listener.socket.getsockname()[0] for listener in listeners] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert len({port_of(listener) for listener in listeners}) == 1


async def test_without_a_host_it_listens_everywhere_on_one_port(opened):
    listeners = opened(await open_listeners(None, 0))
    assert len({port_of(listener) for listener in listeners}) == 1


async def test_a_port_that_is_taken_on_a_later_address_is_given_up_for_another(resolver, monkeypatch, opened):
    resolver("127.0.0.1", "127.0.0.2")
    real, taken, tried = trio.open_tcp_listeners, iter([True, True]), []

    async def open_tcp_listeners(port, *, host):
        if host == "127.0.0.2" and next(taken, False):
            raise OSError(errno.EADDRINUSE, "in use")
        listeners = opened(await real(port, host=host))
        tried.extend(listeners)
        return listeners

    monkeypatch.setattr("trio.open_tcp_listeners", open_tcp_listeners)
    listeners = await open_listeners("many", 0)
    assert tried[-2:] == listeners
    assert all(listener.socket.fileno() == -1 for listener in tried[:-2])
    assert len({port_of(listener) for listener in listeners}) == 1


async def test_it_does_not_try_for_ever(monkeypatch):
    tries = []

    async def open_tcp_listeners(port, *, host):
        tries.append(port)
        raise OSError(errno.EADDRINUSE, "in use")

    monkeypatch.setattr("trio.open_tcp_listeners", open_tcp_listeners)
    with pytest.raises(OSError, match="in use"):
        await open_listeners("127.0.0.1", 0)
    assert len(tries) == 10


async def test_a_named_port_that_is_taken_is_an_error_and_leaves_nothing_open(resolver, opened):
    [taken] = opened(await open_listeners("127.0.0.2", find_free_port()))
    resolver("127.0.0.1", "127.0.0.2")
    with pytest.raises(OSError) as raised:
        await open_listeners("many", port_of(taken))
    assert raised.value.errno == errno.EADDRINUSE
    opened(await open_listeners("127.0.0.1", port_of(taken)))


async def test_an_address_that_this_machine_lacks_is_left_out_beside_one_it_has(resolver, opened):
    resolver("192.0.2.1", "127.0.0.1")
    [listener] = opened(await open_listeners("many", 0))
    assert listener.socket.getsockname()[0] == "127.0.0.1"


ERRORS = [
    ("192.0.2.1", 0, "'192.0.2.1' is not an address of this machine; give --host one that is, such as 127.0.0.1."),
    ("no.such.host.invalid", 0, "The host 'no.such.host.invalid' is not known here; give --host a name or"),
    ("a..b", 0, "The host 'a..b' is not known here; give --host a name or an address of this machine."),
]


@pytest.mark.parametrize(("host", "port", "sentence"), ERRORS)
async def test_errors_are_explained_in_one_sentence(host, port, sentence):
    with pytest.raises(OSError) as raised:
        await open_listeners(host, port)
    assert explain_listen_error(raised.value, host=host, port=port).startswith(sentence)


@pytest.mark.parametrize(
    ("number", "host", "sentence"),
    [
        (
            errno.EADDRINUSE,
            "localhost",
            "Another program listens on port 80 of localhost; stop it, or choose another port with --port.",
        ),
        (errno.EACCES, None, "You may not listen on port 80; choose a port above 1023 with --port."),
        (
            errno.EMFILE,
            None,
            "Can't listen on port 80 (Too many open files); choose another with --host and --port.",
        ),
    ],
)
def test_other_errors_are_explained_too(number, host, sentence):
    error = OSError(number, "Too many open files")
    assert explain_listen_error(error, host=host, port=80) == sentence


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_out_of_range_is_refused(port):
    with pytest.raises(ValueError, match=str(port)):
        await open_listeners("127.0.0.1", port)


# Accepting


class Scripted(trio.abc.Listener):
    """Accepts what it is told to, then waits; errors are raised."""

    def __init__(self, *script):
        self.script = list(script)
        self.closed = trio.Event()

    async def accept(self):
        await trio.lowlevel.checkpoint()
        if self.script:
            if isinstance(step := self.script.pop(0), Exception):
                raise step
            return step
        await self.closed.wait()
        raise trio.ClosedResourceError

    async def aclose(self):
        self.closed.set()


def a_stream():
    return trio.testing.memory_stream_pair()[1]


async def test_each_connection_is_handled_in_a_task_of_its_own(nursery, opened):
    [listener] = opened(await open_listeners("127.0.0.1", 0))
    tell, told = trio.open_memory_channel(3)

    async def handle(stream):
        async with stream:
            tell.send_nowait(stream)
            await trio.sleep_forever()

    ended = trio.Event()

    async def accept():
        await accept_connections(listener, nursery, handle, on_error=pytest.fail)
        ended.set()

    nursery.start_soon(accept)
    for _ in range(3):
        opened([await trio.open_tcp_stream(*listener.socket.getsockname())])
    with trio.fail_after(60):
        handled = [await told.receive() for _ in range(3)]
    assert all(s.getsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY) for s in handled)
    await listener.aclose()
    await ended.wait()


@pytest.mark.parametrize("raised", [ValueError("bug"), SystemExit(1), "group"])
async def test_a_handler_that_fails_ends_its_own_connection_only(raised):
    streams = [a_stream(), a_stream()]
    listener, errors, handled = Scripted(*streams), [], []
    fault = ValueError("in a nursery")

    async def handle(stream):
        handled.append(stream)
        if stream is streams[0]:
            if raised == "group":
                async with trio.open_nursery():
                    raise fault
            raise raised

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: accept_connections(listener, nursery, handle, on_error=errors.append))
        await trio.testing.wait_all_tasks_blocked()
        await listener.aclose()
    assert handled == streams
    assert errors == [fault if raised == "group" else raised]
    with pytest.raises(trio.ClosedResourceError):
        await streams[0].receive_some()
    await streams[1].send_all(b"still open: who returns has handed it on or closed it")


async def test_a_cancelled_handler_leaves_no_open_stream_and_its_failure_is_reported():
    stream, errors, fault = a_stream(), [], ValueError("cleanup")
    listener = Scripted(stream)

    async def handle(stream):
        async with trio.open_nursery() as inner:

            @inner.start_soon
            async def _():
                try:
                    await trio.sleep_forever()
                finally:
                    raise fault

            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: accept_connections(listener, nursery, handle, on_error=errors.append))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert errors == [fault]
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_room_it_tries_again_and_says_so_once(number, nursery, autojump_clock):
    full = [OSError(number, "no room") for _ in range(5)]
    stream = a_stream()
    listener, errors = Scripted(*full[:3], stream, *full[3:]), []
    handled = []

    async def handle(stream):
        handled.append(trio.current_time())

    nursery.start_soon(lambda: accept_connections(listener, nursery, handle, on_error=errors.append))
    await trio.sleep(1)
    assert handled == [pytest.approx(3 * module._NO_ROOM_PAUSE)]
    assert errors == [full[0], full[3]]


async def test_a_client_that_left_in_the_queue_is_passed_over(nursery, autojump_clock):
    handled = []

    async def handle(stream):
        handled.append(trio.current_time())

    listener = Scripted(OSError(errno.ECONNABORTED, "left"), a_stream())
    nursery.start_soon(lambda: accept_connections(listener, nursery, handle, on_error=pytest.fail))
    await trio.testing.wait_all_tasks_blocked()
    assert handled == [0]


async def test_other_errors_of_the_listener_pass(nursery):
    with pytest.raises(OSError, match="strange"):
        await accept_connections(Scripted(OSError(errno.EINVAL, "strange")), nursery, pytest.fail, on_error=pytest.fail)


# Who is at the other end.


async def test_a_peer_is_known_by_its_address(tcp_pair):
    _, ours = await tcp_pair()
    assert find_peer(ours) == Peer(address="127.0.0.1")
    ours.socket.close()
    assert find_peer(ours) == Peer(address=None)


async def test_a_peer_behind_tls_is_known_by_its_address_too(tcp_pair):
    _, ours = await tcp_pair()
    stream = trio.SSLStream(ours, ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), server_side=True)
    assert find_peer(stream) == Peer(address="127.0.0.1", scheme="https")


async def test_a_peer_on_a_unix_socket_has_no_address():
    ours, theirs = (trio.SocketStream(each) for each in trio.socket.socketpair())
    async with ours, theirs:
        assert find_peer(ours) == Peer(address=None, is_unix=True)


async def test_a_peer_in_memory_is_nobody():
    ours, _ = trio.testing.memory_stream_pair()
    assert find_peer(ours) == Peer(address=None)


def test_there_are_no_more_connections_than_files_may_be_opened(monkeypatch):
    resource = pytest.importorskip("resource")
    for files, wanted, allowed in ((1024, 10_000, 924), (1024, 500, 500), (64, 500, 32)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, 10**6))
        assert connections_allowed(wanted) == allowed
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert connections_allowed(10_000) == 10_000
