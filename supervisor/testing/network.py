"""Networks as bad as a test wants them: what passes over a stream is delayed, slowed down or cut, in both directions.

    client = await session.connect(network=Network(seed=7))
    client.network.down.delay = 0.2

Essay: who waits where. A stream alone can't be late: bytes that travel for 200 ms are in nobody's hands, and the next
ones set out meanwhile. If `send_all` slept instead, ten messages would take ten times as long as one. So each
connection has a task for each direction (`NetworkStream.run`, in the client's own nursery), and what is under way lies
in a `_Line` with the time at which it set out. When it arrives is reckoned anew whenever the conditions change, so a
network that gets well delivers at once. What is under way is bounded, as TCP's window bounds it: a sender waits then,
and so does whoever is behind it. Over sockets and in memory this is the same code.
"""

from __future__ import annotations

import math
import random
import socket
import struct
from collections import deque
from typing import Any, final

import attrs
import trio

from supervisor.limits import count, none_or, number, seconds
from supervisor.testing.memory import CHUNK, MemoryStream, OneTask, checked_size

WINDOW = 64 * 1024
"""Bytes that are under way in one direction at most: TCP's largest window, without its extension for fast lines."""
_SEGMENT = 1460
"""Bytes that a slow line delivers at once: what a packet of Ethernet holds."""
_TRICKLE = 0.1
"""Seconds for which a slow line is silent at most: less than any patience."""


def _tell(conditions: Conditions, attribute: attrs.Attribute[Any], value: Any) -> Any:
    conditions.notify()
    return value


@final
@attrs.define(eq=False, kw_only=True, on_setattr=[attrs.setters.validate, _tell])
class Conditions:
    """The state of one direction of a network: perfect at first.

    Each condition may be changed at any time, and counts at once, also for what is already under way.
    """

    delay: float = attrs.field(default=0.0, validator=seconds())
    """Seconds for which each byte is under way."""
    jitter: float = attrs.field(default=0.0, validator=seconds())
    """At most this many seconds more, by chance; nothing overtakes, so what is late holds up what follows."""
    rate: float | None = attrs.field(default=None, validator=none_or(number(0.001)))
    """Bytes that arrive per second; None for any number."""
    cut_after: int | None = attrs.field(default=None, validator=none_or(count(0)))
    """Bytes that still arrive; then the connection is cut, and this becomes None: the next connection is whole."""
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False, on_setattr=attrs.setters.NO_OP)

    def notify(self) -> None:
        """Wake those who wait on a line with these conditions: something has changed."""
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def wait_changed(self) -> None:
        """Wait for the next `notify()`."""
        await self._changed.wait()


@final
class Network:
    """What lies between a client and its server, for all connections that the client makes one after the other.

    Several clients may share one; then what happens to it happens to all of them.

    Args:
        up: from the client to the server.
        down: from the server to the client.
        seed: for the random jitter; the same seed gives the same delays.
    """

    def __init__(self, *, up: Conditions | None = None, down: Conditions | None = None, seed: int = 0) -> None:
        self.up = up or Conditions()
        """Conditions from the client to the server."""
        self.down = down or Conditions()
        """Conditions from the server to the client."""
        self._random = random.Random(seed)  # noqa: S311 (chance that can be repeated)

    def wrap(self, stream: trio.abc.Stream) -> NetworkStream:
        """Put this network before a client's stream, which belongs to it from now on. Next: start its `run`."""
        return NetworkStream(stream, _Line(self.up, self._random), _Line(self.down, self._random))

    def __repr__(self) -> str:
        """Shows the conditions."""
        return f"<Network up {self.up}, down {self.down}>"


@final
class NetworkStream(trio.abc.Stream):
    """A client's end of a connection through a `Network`, which makes it."""

    def __init__(self, stream: trio.abc.Stream, up: _Line, down: _Line) -> None:
        self._stream = stream
        self._up = up
        self._down = down
        self._is_closed = False
        # Whether `run` has begun, and whether it sends no more.
        self._is_carried = False
        self._is_over = False
        self._sending = OneTask("send")
        self._receiving = OneTask("receive")

    async def run(self) -> None:
        """Carry what is under way until the connection is over. One task runs it; cancelled, it cuts the connection."""
        self._is_carried = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._carry_down, name="network down")
                await self._carry_up()
        except BaseException:
            await self.cut()
            raise

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream.send_all`; waits while too much is under way."""
        with self._sending, memoryview(data) as rest:
            self._raise_if_closed()
            await trio.lowlevel.checkpoint_if_cancelled()
            given = 0
            while True:
                self._up.raise_if_over()
                given += self._up.put(rest[given:])
                if given == len(rest):
                    break
                await self._up.wait()
                self._raise_if_closed()
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream.wait_send_all_might_not_block`."""
        with self._sending:
            self._raise_if_closed()
            await trio.lowlevel.checkpoint()
            try:
                await self._up.wait_room()
            except trio.BrokenResourceError:
                self._raise_if_closed()
                raise

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream.receive_some`. Cancelled, it has taken nothing."""
        most = checked_size(max_bytes)
        with self._receiving:
            self._raise_if_closed()
            await trio.lowlevel.checkpoint()
            try:
                data = await self._down.take(most)
            except trio.BrokenResourceError:
                self._raise_if_closed()
                if self._down.is_cut_here:
                    await self.cut()
                raise
            if self._down.is_cut_here:
                await self.cut()
            return data

    async def cut(self) -> None:
        """Break the connection now, without a word: what is under way is lost, and both ends get an error.

        It never waits. May be called twice.
        """
        self._up.lose()
        self._down.lose()
        with trio.CancelScope(shield=True):
            await _reset(self._stream)

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource.aclose`; what was sent arrives, as from a socket that was closed."""
        if not self._is_closed:
            self._is_closed = True
            self._is_over = self._is_over or not (self._is_carried or self._up)
            self._down.lose()
            self._up.end()
        if self._is_over:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
        await trio.lowlevel.checkpoint()

    async def _carry_up(self) -> None:
        try:
            while data := await self._up.take(CHUNK):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._up.lose()
        self._is_over = True
        if self._up.is_cut_here:
            await self.cut()
        elif self._is_closed:
            await trio.aclose_forcefully(self._stream)

    async def _carry_down(self) -> None:
        try:
            while True:
                room = await self._down.wait_room()
                data = await self._stream.receive_some(room)
                if not data:
                    break
                self._down.put(memoryview(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._down.end(is_broken=True)
        else:
            self._down.end()

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this connection was closed here")

    def __repr__(self) -> str:
        """Shows what is under way, in bytes."""
        return f"<NetworkStream {len(self._up)} bytes up, {len(self._down)} down, over {self._stream!r}>"


@final
@attrs.frozen
class _Piece:
    """Something under way."""

    set_out_at: float
    luck: float
    """Its share of the jitter, from 0 to 1."""
    data: bytes
    """Empty: the end of all."""


@final
class _Line:
    """What is under way in one direction of one connection, in order."""

    def __init__(self, conditions: Conditions, chance: random.Random) -> None:
        self._conditions = conditions
        self._chance = chance
        self._pieces: deque[_Piece] = deque()
        self._size = 0
        # When what arrived last had passed the narrowest place.
        self._free_at = -math.inf
        # Nothing more is put in; what is there arrives.
        self._is_ended = False
        # The end that arrives is none in peace.
        self._is_broken = False
        # Nothing arrives any more.
        self._is_lost = False
        self.is_cut_here = False
        """`cut_after` was reached: the connection is to be cut."""

    def __len__(self) -> int:
        return self._size

    def put(self, data: memoryview) -> int:
        """Let as many bytes set out as there is room for; how many."""
        taken = bytes(data[: WINDOW - self._size])
        if taken and not self._is_ended:
            self._set_out(taken)
        return len(taken)

    def end(self, *, is_broken: bool = False) -> None:
        """Nothing more sets out; who takes learns of it when all has arrived."""
        if not self._is_ended:
            self._is_ended, self._is_broken = True, is_broken
            self._set_out(b"")

    def lose(self) -> None:
        """Nothing arrives any more, from now on."""
        self._is_ended = self._is_lost = True
        self._pieces.clear()
        self._size = 0
        self._conditions.notify()

    def raise_if_over(self) -> None:
        if self._is_ended:
            raise trio.BrokenResourceError("the connection is lost")

    async def wait_room(self) -> int:
        """Wait until something may be put in; how many bytes."""
        while True:
            self.raise_if_over()
            if self._size < WINDOW:
                return WINDOW - self._size
            await self.wait()

    async def take(self, most: int) -> bytes:
        """Wait for what arrives next; empty at the end. Cancelled, it has taken nothing.

        Raises:
            trio.BrokenResourceError: nothing will arrive any more.

        """
        while True:
            if self._is_lost:
                raise trio.BrokenResourceError("the connection is lost")
            if self._conditions.cut_after == 0:
                self._cut()
                continue
            size = self._next_size(most)
            arrives_at = self._arrives_at(size)
            if arrives_at <= trio.current_time():
                break
            with trio.move_on_at(arrives_at):
                await self.wait()
        if not size:  # it stays there, for whoever asks again
            if self._is_broken:
                raise trio.BrokenResourceError("the peer has reset the connection")
            return b""
        self._free_at = arrives_at
        return self._taken(size)

    async def wait(self) -> None:
        """Wait until something has changed."""
        await self._conditions.wait_changed()

    def _set_out(self, data: bytes) -> None:
        self._pieces.append(_Piece(trio.current_time(), self._chance.random(), data))
        self._size += len(data)
        self._conditions.notify()

    def _next_size(self, most: int) -> int:
        """How many bytes arrive together next."""
        head = self._pieces[0].data if self._pieces else b""
        size = min(len(head), most)
        if self._conditions.cut_after is not None:
            size = min(size, self._conditions.cut_after)
        if self._conditions.rate is not None:
            size = min(size, _SEGMENT, max(1, int(self._conditions.rate * _TRICKLE)))
        return size

    def _arrives_at(self, size: int) -> float:
        if not self._pieces:
            return math.inf
        conditions, head = self._conditions, self._pieces[0]
        at = head.set_out_at + conditions.delay + head.luck * conditions.jitter
        if conditions.rate is not None:
            at = max(at, self._free_at) + size / conditions.rate
        return at

    def _taken(self, size: int) -> bytes:
        head = self._pieces.popleft()
        if size < len(head.data):
            self._pieces.appendleft(attrs.evolve(head, data=head.data[size:]))
        self._size -= size
        conditions = self._conditions
        if conditions.cut_after is None:
            conditions.notify()  # there is room
        else:
            conditions.cut_after -= size
            if conditions.cut_after == 0:
                self._cut()
        return head.data[:size]

    def _cut(self) -> None:
        self.is_cut_here = True
        self._conditions.cut_after = None
        self.lose()


async def _reset(stream: trio.abc.Stream) -> None:
    """Close it so that the peer gets an error, where that is possible, and not an end in peace."""
    if isinstance(stream, MemoryStream):
        stream.reset()
    elif isinstance(stream, trio.SocketStream) and stream.socket.fileno() >= 0:
        # To linger for no time is to forget what is not sent yet, and to send RST instead of FIN.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(stream)
