"""A TCP proxy that can cut every connection, refuse new ones, and let all through again."""

import contextlib
import selectors
import socket
import struct
import threading

from .conftest import DEADLINE


class Proxy:
    """Stands between a browser and a server, in a thread of its own. Use it as a context manager."""

    def __init__(self, port):
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        # Wakes the thread; what is asked of it is in `_orders`.
        self._waker, self._alarm = socket.socketpair()
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._peers = {}
        self._is_cut = False
        self._is_over = False
        self._done = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.ExitStack() as stack:
            for one in (self._listener, self._waker, self._alarm, self._selector):
                stack.callback(one.close)
            stack.callback(self._thread.join, DEADLINE)
            self._is_over = True
            self._order()

    def cut(self):
        """Drop all connections by a reset, and reset each new one, until `mend()`."""
        self._is_cut = True
        self._order()

    def mend(self):
        """Let connections through again."""
        self._is_cut = False
        self._order()

    def _order(self):
        """Returns when the thread has seen what was asked of it."""
        self._waker.send(b"!")
        assert self._done.acquire(timeout=DEADLINE)

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._alarm:
                    self._alarm.recv(1)
                    if self._is_cut or self._is_over:
                        self._drop_all()
                    self._done.release()
                    # Looked at here alone: a loop that also ended after other events could leave an order unanswered.
                    if self._is_over:
                        return
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peers:
                    self._forward(key.fileobj)

    def _accept(self):
        client, _ = self._listener.accept()
        if self._is_cut:
            _reset(client)
            return
        try:
            server = socket.create_connection(self._server)
        except OSError:
            _reset(client)
            return
        for one, other in ((client, server), (server, client)):
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source):
        try:
            data = source.recv(65536)
            self._peers[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(source)

    def _drop(self, one):
        for end in (one, self._peers[one]):
            self._selector.unregister(end)
            del self._peers[end]
            _reset(end)

    def _drop_all(self):
        while self._peers:
            self._drop(next(iter(self._peers)))


def _reset(end):
    with contextlib.suppress(OSError):
        # Linger for no time: the other side gets a reset, as from a network that is gone, and no orderly end.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
