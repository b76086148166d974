"""The stream under a websocket: one order for all its bytes, written at once if the socket takes them, else queued.

Essay: the session writes frames itself, and the library's stream is ours. A broadcast passes one frame to thousands of
connections. Through a websocket library, each of these costs a lock, a checkpoint and an encoding, and one client that
doesn't read makes the sender wait. Here a frame is passed by a plain call that never waits (`push`), and the library's
own writes (its handshake, pongs, close frames) come in by `send_all`. Both go through one queue, because a frame that
begins inside another one destroys the connection. The invariants:

* While anything is queued, everything is queued. So bytes leave in the order in which they were given.
* An entry whose first byte was written stays at the queue's head until its last byte was. Nothing tears a frame:
  neither dropping the backlog nor cancelling a `send_all`.
* Entries leave the queue after they were written, never before. So a cancelled flusher loses nothing.

Rejected: a task per connection that owns the writes, fed by a channel, since that wakes a task per frame (8 µs); and
`send_all` of the socket's stream, which takes 11 µs and waits. A bare `os.write` is 5 to 7 µs, all of it the kernel's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import islice
from math import inf
from typing import final

import attrs
import trio

from supervisor.transport.replay import Replay

# One MiB: a client this far behind is served better with one snapshot.
LIMIT = 1024 * 1024

# A close frame's first byte, FIN and opcode (RFC 6455, 5.2). The library hands over its frames one by one.
_CLOSE = b"\x88"

# Entries gathered into one write. Well below IOV_MAX (1024); above some dozens the gain per entry is nil.
_BATCH = 64


@attrs.frozen(kw_only=True)
class OutboxStatistics:
    """What an outbox holds now and what it has thrown away so far."""

    queued_bytes: int
    """Given and not written yet."""
    queued_frames: int
    """Entries of the queue, the begun one included."""
    dropped_bytes: int
    """All that `drop_backlog()` has thrown away."""


@attrs.define(eq=False)
class _Entry:
    # What is still to be written of it.
    data: bytes | memoryview
    droppable: bool
    # Set when it was written, or never will be; only for the entries of send_all.
    done: trio.Event | None = None


@final
class Outbox(trio.abc.Stream):
    """Give it to `trio_websocket.wrap_server_stream`, run `run_flusher()` beside it, and push frames.

    All of it belongs to trio's thread. `push`, `push_urgent` and `drop_backlog` are plain calls, of any task.

    Args:
        stream: The connection. Over a SocketStream, also one inside a Replay, bytes are written directly;
            over any other (TLS, memory) only the flusher writes. Nobody else may write to it from now on.
        limit: Bytes that may be queued before `push` refuses.
        on_drained: A plain function, called by the flusher each time the queue is empty again after a
            backlog. It may push.
        on_ended: A plain function, called when the client has ended the connection, or the library has written
            a close frame. It may be called again.
    """

    __slots__ = (
        "_begun",
        "_direct",
        "_dropped_bytes",
        "_fileno",
        "_flushing",
        "_limit",
        "_on_drained",
        "_on_ended",
        "_parked_flusher",
        "_queue",
        "_queued_bytes",
        "_ready",
        "_stream",
        "broken",
        "close_was_sent",
        "received_at",
        "receiving_since",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        limit: int = LIMIT,
        on_drained: Callable[[], None] = lambda: None,
        on_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._stream = stream
        self._limit = limit
        self._on_drained = on_drained
        self._on_ended = on_ended
        socket = _socket_of(stream)
        # Whether bytes are written directly; and to which file. It is asked for its number at each write,
        # because a closed socket's number may be another connection's by now.
        self._direct = socket is not None
        self._fileno = socket.fileno if socket is not None else lambda: -1
        self._queue: deque[_Entry] = deque()
        self._queued_bytes = 0
        self._dropped_bytes = 0
        # How many entries at the queue's head may have been written in part; they must stay.
        self._begun = 0
        # Nothing is queued, and the socket may be written to: the one question of the hot path.
        self._ready = self._direct
        self._flushing = False
        self._parked_flusher: trio.lowlevel.Task | None = None
        self.close_was_sent = False
        """Whether the library has sent a close frame: nothing may follow it (RFC 6455, 5.5.1), so don't push."""
        self.broken: Exception | None = None
        """Why nothing can be written any more; None while all is well. Set once."""
        self.received_at = trio.current_time()
        """When the client's last bytes were read, by trio's clock; at first when the outbox was made."""
        self.receiving_since = inf
        """Since when `receive_some` waits for bytes; infinite while nobody does, so that none can come."""

    def __repr__(self) -> str:
        state = "open" if self.broken is None else f"broken ({self.broken})"
        return f"<Outbox {state}, {self._queued_bytes} bytes queued in {len(self._queue)} frames>"

    def statistics(self) -> OutboxStatistics:
        """What is queued and what was dropped, now."""
        return OutboxStatistics(
            queued_bytes=self._queued_bytes,
            queued_frames=len(self._queue),
            dropped_bytes=self._dropped_bytes,
        )

    def push(self, frame: bytes) -> bool:
        """Write one whole frame, or queue it; never waits. Queued, it may be dropped by `drop_backlog()`.

        Returns:
            False if the frame was not taken, because more than the limit is queued already (so one frame of
            any size is always taken). True if it was taken, or if nothing matters any more because the outbox
            is broken.
        """
        if self._queued_bytes > self._limit:
            return False
        self._put(frame, droppable=True)
        return True

    def push_last(self, frame: bytes) -> None:
        """As `push`, whatever the limit: for what was kept back when the connection ends."""
        self._put(frame, droppable=True)

    def push_urgent(self, frame: bytes) -> None:
        """Write one whole frame, or queue it, whatever the limit; never waits. It is never dropped.

        For answers, pings and close frames, whose senders have bounds of their own. A broken outbox forgets
        it.
        """
        self._put(frame, droppable=False)

    def drop_backlog(self) -> int:
        """Forget the queued frames of `push` that were not begun; the others keep their order.

        Returns:
            How many bytes were dropped.
        """
        kept = [entry for index, entry in enumerate(self._queue) if index < self._begun or not entry.droppable]
        self._queue = deque(kept)
        before, self._queued_bytes = self._queued_bytes, sum(len(entry.data) for entry in kept)
        self._ready = self._direct and not kept and self.broken is None
        dropped = before - self._queued_bytes
        self._dropped_bytes += dropped
        return dropped

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream.send_all`; waits until the bytes are written. Several tasks may call it at
        once.

        Cancelled while it waits, its bytes stay queued and are written whole, later. (Other streams leave a
        torn write behind; here that would tear everybody's frames.)

        Raises:
            trio.ClosedResourceError: The outbox was closed here, before or meanwhile.
            trio.BrokenResourceError: The connection is lost.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._raise_if_broken()
        if data[:1] == _CLOSE:
            self.close_was_sent = True
        entry = self._put(bytes(data), droppable=False)
        if entry is None:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            entry.done = trio.Event()
            await entry.done.wait()
        if self.close_was_sent:
            self._on_ended()
        self._raise_if_broken()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream.wait_send_all_might_not_block`; it may return early, and here it does."""
        await trio.lowlevel.checkpoint()
        self._raise_if_broken()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream.receive_some`; notes the time in `received_at`."""
        self.receiving_since = trio.current_time()
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._on_ended()
            raise
        finally:
            self.receiving_since = inf
        if data:
            self.received_at = trio.current_time()
        else:
            self._on_ended()
        return data

    async def aclose(self) -> None:
        """Close the connection at once. What is queued is lost; who waits in `send_all` learns of it."""
        self._break(trio.ClosedResourceError("this outbox was closed"))
        await trio.aclose_forcefully(self._stream)
        await trio.lowlevel.checkpoint()

    async def run_flusher(self) -> None:
        """Write what is queued whenever the client takes it; returns once the outbox is closed or broken.

        One task of the connection runs it, from before the first `send_all`; while there is no backlog it is
        parked. Safe to cancel over sockets: what is queued stays so, until another flusher runs. Over other
            streams a
        write that is cancelled breaks the outbox. An exception of `on_drained` passes.

        Raises:
            RuntimeError: It runs already.
        """
        if self._flushing:
            raise RuntimeError("this outbox has a flusher already")
        self._flushing = True
        try:
            while self.broken is None:
                if not self._queue:
                    await self._park()
                    continue
                await (self._flush_to_socket() if self._direct else self._flush_to_stream())
                if not self._queue and self.broken is None:
                    self._on_drained()
        finally:
            self._flushing = False

    def _put(self, data: bytes, *, droppable: bool) -> _Entry | None:
        """Write, and queue what the socket didn't take: that is returned. None: nothing is left to do."""
        written = 0
        if self._ready:
            try:
                written = os.write(self._fileno(), data)
            except BlockingIOError:
                # The socket's buffer is full: all of it is queued.
                pass
            except OSError as error:
                self._break(error)
                return None
            if written == len(data):
                return None
            self._begun = 1 if written else 0
        elif self.broken is not None:
            return None
        entry = _Entry(memoryview(data)[written:] if written else data, droppable)
        self._queue.append(entry)
        self._queued_bytes += len(entry.data)
        self._ready = False
        self._wake_flusher()
        return entry

    async def _flush_to_socket(self) -> None:
        try:
            await self._stream.wait_send_all_might_not_block()
            written = os.writev(self._fileno(), [entry.data for entry in islice(self._queue, _BATCH)])
        except BlockingIOError:
            return
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._break(error)
        else:
            self._take_written(written)

    async def _flush_to_stream(self) -> None:
        batch = list(islice(self._queue, _BATCH))
        self._begun = len(batch)
        data = b"".join(entry.data for entry in batch)
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._break(error)
        except BaseException:
            self._break(trio.BrokenResourceError("a write was given up half-way"))
            raise
        else:
            self._take_written(len(data))

    def _take_written(self, written: int) -> None:
        """Take that many bytes off the queue's head."""
        if self.broken is not None:
            return
        self._queued_bytes -= written
        self._begun = 0
        while self._queue:
            entry = self._queue[0]
            size = len(entry.data)
            if size > written:
                if written:
                    entry.data = memoryview(entry.data)[written:]
                    self._begun = 1
                return
            written -= size
            self._queue.popleft()
            if entry.done is not None:
                entry.done.set()
        self._ready = self._direct

    async def _park(self) -> None:
        # Not an Event: one would have to be made for each backlog, or kept, per connection.
        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._parked_flusher = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._parked_flusher = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)

    def _wake_flusher(self) -> None:
        if self._parked_flusher is not None:
            task, self._parked_flusher = self._parked_flusher, None
            trio.lowlevel.reschedule(task)

    def _break(self, error: Exception) -> None:
        if self.broken is not None:
            return
        self.broken = error
        queue, self._queue = self._queue, deque()
        self._queued_bytes = self._begun = 0
        self._ready = False
        for entry in queue:
            if entry.done is not None:
                entry.done.set()
        self._wake_flusher()

    def _raise_if_broken(self) -> None:
        if isinstance(self.broken, trio.ClosedResourceError):
            raise trio.ClosedResourceError("this outbox was closed")
        if self.broken is not None:
            raise trio.BrokenResourceError(f"the connection is lost: {self.broken}") from self.broken


def _socket_of(stream: trio.abc.Stream) -> trio.socket.SocketType | None:
    """The socket to write to directly, if there is one under this stream."""
    while isinstance(stream, Replay):
        stream = stream.stream
    # Windows' sockets are no files: there everything goes through the flusher, as over TLS.
    return stream.socket if isinstance(stream, trio.SocketStream) and hasattr(os, "writev") else None
