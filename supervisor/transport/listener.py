"""Listening sockets: one port on all addresses of a host, and an accept loop that survives its clients."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from supervisor.actor.guard import pass_on, split_failure
from supervisor.transport.forwarded import Peer, Scheme

if sys.platform != "win32":
    import resource

StreamT = TypeVar("StreamT", bound=trio.abc.Stream)

# With port 0 the first address gets a free port, which may be taken on the next one: ports are many, so try
# again.
_TRIES = 10

# The machine has no room for another connection now; `accept()` would fail again at once, since the
# connection waits still. trio.serve_listeners waits as long.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_ROOM_PAUSE = 0.1

# A name can stand for an address that this machine doesn't have: `localhost` for ::1 where IPv6 is off.
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def open_listeners(host: str | None, port: int) -> list[trio.SocketListener]:
    """Listen on one port of all addresses that `host` stands for. Connections are taken in, but not yet
    accepted.

    May wait for the resolver; cancelled or failed, it leaves nothing open. Next: one `accept_connections` for
    each.

    Args:
        host: A name or an address of this machine; None for all its addresses.
        port: 0 for any free one, the same on all addresses.

    Returns:
        At least one listener; `listener.socket.getsockname()[1]` is the port.

    Raises:
        OSError: The port is taken or not allowed, or the host isn't known or isn't this machine's;
            `explain_listen_error` says it in a sentence.
        ValueError: The port is no port.
    """
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"a port is 0 to 65535, got {port}")
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:
        # A label that is empty or too long for the name system, such as in "a..b".
        raise socket.gaierror(socket.EAI_NONAME, "not a valid host name") from error
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    for _ in range(_TRIES - 1):
        try:
            return await _open_all(addresses, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
    return await _open_all(addresses, port)


async def _open_all(addresses: list[str], port: int) -> list[trio.SocketListener]:
    listeners: list[trio.SocketListener] = []
    missing: OSError | None = None
    try:
        for address in addresses:
            try:
                listeners += await trio.open_tcp_listeners(port, host=address)
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise
                missing = error
            else:
                port = listeners[0].socket.getsockname()[1]
        if missing is not None and not listeners:
            raise missing
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


def explain_listen_error(
    error: OSError, *, host: str | None, port: int, options: tuple[str, str] = ("--host", "--port")
) -> str:
    """One sentence for people: why `open_listeners(host, port)` failed, and the way out.

    `options` is what people who can change host and port know these by.
    """
    place = f"port {port}" if host is None else f"port {port} of {host}"
    host_option, port_option = options
    if isinstance(error, socket.gaierror):
        return f"The host {host!r} is not known here; give {host_option} a name or an address of this machine."
    if error.errno == errno.EADDRINUSE:
        return f"Another program listens on {place}; stop it, or choose another port with {port_option}."
    if error.errno in _NO_SUCH_ADDRESS:
        return f"{host!r} is not an address of this machine; give {host_option} one that is, such as 127.0.0.1."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"You may not listen on {place}; choose a port above 1023 with {port_option}."
    return f"Can't listen on {place} ({error.strerror or error}); choose another with {host_option} and {port_option}."


RESERVED_FILES = 100
"""Files that a process needs beside its connections, such as those that it serves."""


def connections_allowed(wanted: int) -> int:
    """How many connections there may be, if so many are wanted: this process may open only so many files."""
    if sys.platform == "win32":  # where sockets are no files
        return wanted
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(files // 2, files - RESERVED_FILES))


def find_peer(stream: trio.abc.Stream) -> Peer:
    """Who is at the other end of a connection."""
    scheme: Scheme = "http"
    if isinstance(stream, trio.SSLStream):
        stream, scheme = stream.transport_stream, "https"
    if not isinstance(stream, trio.SocketStream):
        return Peer(address=None, scheme=scheme)
    if stream.socket.family not in (socket.AF_INET, socket.AF_INET6):
        return Peer(address=None, is_unix=True, scheme=scheme)
    try:
        return Peer(address=stream.socket.getpeername()[0], scheme=scheme)
    except OSError:  # it is gone
        return Peer(address=None, scheme=scheme)


async def accept_connections(
    listener: trio.abc.Listener[StreamT],
    nursery: trio.Nursery,
    handle: Callable[[StreamT], Awaitable[None]],
    *,
    on_error: Callable[[BaseException], None],
) -> None:
    """Start `handle(stream)` in the nursery for each connection, until the listener is closed or this is
    cancelled.

    `handle` owns its stream: returning means that it has closed it or handed it on. If it raises instead,
    whatever it raises, the stream is closed here, forcefully. While the machine has no room for connections
    (file descriptors, memory) it tries again every 0.1 s, and `on_error` hears of it once.

    trio sets TCP_NODELAY on each accepted socket (`SocketStream` does), so one write is one packet, sent at
    once.

    Args:
        listener: Where connections come from; it isn't closed here.
        nursery: Where the connections' tasks belong; what ends it ends them.
        handle: An async function. What it raises ends neither the nursery nor the accepting.
        on_error: A plain function. It gets what `handle` raises: Exceptions and SystemExit, alone or in a
            group.
    """
    short_of_room = False
    while True:
        try:
            stream = await listener.accept()
        except trio.ClosedResourceError:
            return
        except OSError as error:
            if error.errno in _NO_ROOM:
                if not short_of_room:
                    on_error(error)
                short_of_room = True
                await trio.sleep(_NO_ROOM_PAUSE)
            elif error.errno != errno.ECONNABORTED:  # that client has left before its turn
                raise
        else:
            short_of_room = False
            nursery.start_soon(_guard, stream, handle, on_error)


async def _guard(
    stream: StreamT, handle: Callable[[StreamT], Awaitable[None]], on_error: Callable[[BaseException], None]
) -> None:
    try:
        await handle(stream)
    except BaseException as error:
        # It never waits; but where we are cancelled it would raise that, in place of the handler's own failure.
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
        failure, rest = split_failure(error)
        if failure is not None:
            on_error(failure)
        if rest is not None:
            pass_on(error, rest)
