"""Where a server listens: a port of a host, or a Unix socket; with TLS or without."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import stat
from os import PathLike, fspath
from typing import Any, final

import attrs
import trio

from supervisor.errors import ApplicationError
from supervisor.transport.admission import is_loopback
from supervisor.transport.listener import explain_listen_error, open_listeners
from supervisor.transport.origin import is_address

# As trio's own for TCP; the kernel cuts it to net.core.somaxconn.
_BACKLOG = 0xFFFF


@final
@attrs.frozen(kw_only=True)
class Address:
    """Where connections come from. `listen` opens it."""

    host: str | None = "127.0.0.1"
    """A name or an address of this machine; None for all its addresses."""
    port: int = 5006
    """0 for any free one."""
    unix_socket: str | PathLike[str] | None = None
    """The path of a Unix socket, in place of host and port."""
    unix_socket_mode: int | None = None
    """Who may connect to the Unix socket, as a file's mode; None for what the process's umask leaves."""
    ssl_context: ssl.SSLContext | None = None
    """With it, connections are TLS."""
    option_names: tuple[str, str] = ("the argument host", "the argument port")
    """What people who can change host and port know these by."""

    @property
    def allowed_names(self) -> tuple[str, ...]:
        """The name that the URL has and that the server must therefore answer to; to addresses it always does."""
        if self.unix_socket is not None or self.host is None or is_address(self.host):
            return ()
        return (self.host,)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.unix_socket is not None or (
            self.host is not None and (self.host == "localhost" or is_loopback(self.host))
        )

    async def listen(self) -> list[trio.abc.Listener[Any]]:
        """Take connections in, which are not yet accepted. Cancelled or failed, it leaves nothing open.

        Raises:
            ApplicationError: it can't; one sentence says why, and the way out.
        """
        found: list[trio.abc.Listener[Any]] = []
        try:
            if self.unix_socket is not None:
                found.append(await open_unix_listener(self.unix_socket, mode=self.unix_socket_mode))
            else:
                found.extend(await open_listeners(self.host, self.port))
        except OSError as error:
            raise ApplicationError(self._explain(error)) from error
        if self.ssl_context is not None:
            return [trio.SSLListener(each, self.ssl_context, https_compatible=True) for each in found]
        return found

    def _explain(self, error: OSError) -> str:
        if self.unix_socket is not None:
            return explain_unix_socket_error(error, path=fspath(self.unix_socket))
        return explain_listen_error(error, host=self.host, port=self.port, options=self.option_names)

    def url(self, listeners: list[trio.abc.Listener[Any]]) -> str | None:
        """Where to find what `listen` opened, without a slash at the end; None for a Unix socket, which has no URL."""
        listener = listeners[0]
        if isinstance(listener, trio.SSLListener):
            listener = listener.transport_listener
        if not isinstance(listener, trio.SocketListener):
            return None
        scheme = "http" if self.ssl_context is None else "https"
        # Where it listens on all addresses, the one that surely leads here is this machine's own.
        host = "localhost" if self.host in (None, "0.0.0.0", "::") else self.host  # noqa: S104 (it is compared)
        shown = f"[{host}]" if host and ":" in host else host
        return f"{scheme}://{shown}:{listener.socket.getsockname()[1]}"


@final
class UnixListener(trio.abc.Listener[trio.SocketStream]):
    """Listens on a Unix socket, and takes its file away when it is closed."""

    def __init__(self, listener: trio.SocketListener, path: str) -> None:
        self._listener = listener
        self._path = path
        self._file = _identity(path)

    async def accept(self) -> trio.SocketStream:
        """See `trio.abc.Listener.accept`."""
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Stop listening. The file goes first, so that nobody finds it and is refused; another's file stays."""
        with contextlib.suppress(OSError):
            if self._file is not None and _identity(self._path) == self._file:
                os.unlink(self._path)
        self._file = None
        await self._listener.aclose()


async def open_unix_listener(path: str | PathLike[str], *, mode: int | None = None) -> UnixListener:
    """Listen on a Unix socket at this path. What a server left there that is gone is replaced.

    Who may connect is who may write to the file, which gets this mode, or by None what the process's umask leaves.

    Raises:
        OSError: another program listens there, a file is in the way, or the folder isn't there or not writable;
            `explain_unix_socket_error` says it in a sentence.
    """
    path = fspath(path)
    if _identity(path) is not None:
        await _remove_if_left_over(path)
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await listening.bind(path)
        if mode is not None:
            os.chmod(path, mode)  # nobody could connect yet: that needs the next line
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return UnixListener(trio.SocketListener(listening), path)


async def _remove_if_left_over(path: str) -> None:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            await asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file is at a path; None if none is."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def explain_unix_socket_error(error: OSError, *, path: str) -> str:
    """One sentence for people: why `open_unix_listener(path)` failed, and the way out."""
    if error.errno == errno.EADDRINUSE:
        return f"Another program listens on the Unix socket {path}; stop it, or choose another path."
    if isinstance(error, FileExistsError):
        return f"There is a file at {path} that is not a socket; choose another path for the Unix socket."
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"The folder of the Unix socket {path} is not there; make it, or choose another path."
    if isinstance(error, PermissionError):
        return f"You may not make the Unix socket {path}; choose a path in a folder that you may write to."
    if "too long" in str(error):
        return f"The path of the Unix socket {path} is too long; systems take about a hundred characters."
    return f"Can't listen on the Unix socket {path} ({error.strerror or error}); choose another path."
