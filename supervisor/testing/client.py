"""A client for tests: the Python client that programs use, with its connection in the test's hands."""

from __future__ import annotations

import functools
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, final

import trio

from supervisor.client.dialing import Dialer
from supervisor.client.link import Link, LinkOptions
from supervisor.client.predicate import plain_predicate
from supervisor.client.session import ClientSession
from supervisor.client.status import ClientStatus
from supervisor.client.visit import Visit
from supervisor.client.websocket import MAX_MESSAGE_SIZE
from supervisor.errors import SessionEnded
from supervisor.protocol.events import Event
from supervisor.protocol.messages import Peer, Scope
from supervisor.testing.network import Network, NetworkStream
from supervisor.testing.record import Patch, Record

UNTIL = 60.0
"""Seconds, usually virtual, that `until` waits: far beyond every deadline that a test's answer could wait for."""

ANSWER = 600.0
"""Seconds that `send` waits for an answer: a handler may take longer than all deadlines together, but not for ever."""

LAST_BYTES = 10.0
"""Seconds for what a client has sent before it left: a bad network has it under way still."""

_NEVER_SENT = (1004, 1005, 1006, 1015)
"""Close codes that no frame may carry (RFC 6455, 7.4.1)."""
_CONNECTED = ("live", "restarting")


@final
class Client:
    """One client of one session, which comes back by itself as pages do. `TestSession.connect()` makes one.

    When its block is over, what is sent or waited for raises `RuntimeError`; what it had can be looked at.

    Args:
        visit: what the page gave.
        open_stream: opens a connection to the server, in memory or by TCP.
        revisit: loads the page again by streams of this dialer, when the session is gone; None: then it stays away.
        network: what lies between; a good one by default.
    """

    def __init__(
        self,
        visit: Visit,
        open_stream: Callable[[], Awaitable[trio.abc.Stream]],
        *,
        revisit: Callable[[Dialer], Awaitable[Visit]] | None = None,
        network: Network | None = None,
    ) -> None:
        self.network = network or Network()
        """The network between this client and the server; its conditions may be changed at any time."""
        self._open_stream = open_stream
        # Chance is the same in every run.
        dialer, chance = Dialer(self._open), random.Random(0)  # noqa: S311
        options = LinkOptions(
            dialer=dialer,
            random=chance.random,
            max_message_size=MAX_MESSAGE_SIZE,
            revisit=None if revisit is None else functools.partial(revisit, dialer),
        )
        self._session = ClientSession()
        self._record = Record(self._session)
        self._link = Link(visit, options, self._record)
        self._session.linked_by(self._link)
        self._is_online = True
        self._is_stalled = False
        # The newest connection; None before the first.
        self._stream: NetworkStream | None = None
        # In which connections are carried; there while `run` runs.
        self._nursery: trio.Nursery | None = None
        self._over = trio.Event()

    @property
    def data(self) -> dict[str, Any]:
        """What a page would show: the mirror of the document, with this client's pending edits on top."""
        return self._session.data

    @property
    def session(self) -> str:
        """The session's id."""
        return self._record.protocol.session or ""

    @property
    def mirror(self) -> tuple[str | None, int, dict[str, Any]]:
        """See `ClientConnection.confirmed`."""
        return self._record.protocol.confirmed

    @property
    def is_following(self) -> bool:
        """Whether it is live or coming back by itself: not dropped, stalled or ended."""
        return self._is_online and not self._is_stalled and self.status in (*_CONNECTED, "reconnecting")

    @property
    def editable(self) -> tuple[str, ...]:
        """What clients may edit, as patterns."""
        return self._session.editable

    @property
    def revision(self) -> int:
        """The revision that `data` shows; -1 before there are any."""
        return self._session.revision

    @property
    def status(self) -> str:
        """`connecting`, `live`, `restarting`, `reconnecting` or `ended`."""
        return self._session.status.state

    @property
    def ended(self) -> ClientStatus | None:
        """Why it stays away, once it does: its `code`, and its `reason` for people."""
        return self._session.status if self._session.status.state == "ended" else None

    @property
    def received(self) -> list[Event]:
        """Everything that came, in order; at most the last 10,000 events. A test may clear it."""
        return self._record.received

    async def until(self, predicate: Callable[[dict[str, Any]], object], *, timeout: float = UNTIL) -> dict[str, Any]:
        """Wait until `predicate(data)` is true, and return the data for which it was.

        It is called for each revision, and whenever anything else has come, but not before there are data.

        Raises:
            AssertionError: it was not true within `timeout` seconds, or the client ended; shows the last data.
            Exception: what the predicate raises, with a note that shows the data it was asked about.
            TypeError: the predicate is not a plain function of one argument.
        """
        predicate = plain_predicate(predicate, 'until(lambda data: data["n"] == 1)')
        self._raise_if_over()
        seen = -1

        def is_true(data: dict[str, Any]) -> object:
            nonlocal seen
            seen = self.revision
            if seen < 0:
                return False
            try:
                return predicate(data)
            except Exception as error:
                error.add_note(f"the predicate of until() was asked about {data!r}")
                raise

        try:
            with self._record.looking(is_true) as look:
                look.data = await self._session.until(is_true, timeout=timeout)
        except SessionEnded:
            raise AssertionError(f"{self._state()}; the last data: {self.data!r}") from None
        except trio.TooSlowError:
            where = "" if self.status == "live" else f"; {self._state()}"
            raise AssertionError(f"not within {timeout:g} s{where}; the last data: {self.data!r}") from None
        data = look.result()
        self._record.saw(seen)
        return data

    async def next_patch(self, *, timeout: float = UNTIL) -> Patch:
        """The JSON Patch (RFC 6902) of the next revision, such as `[{"op": "replace", "path": "/n", "value": 1}]`.

        That is the first one after what the test has seen by `connect()`, `until()` and this method, so none is
        overlooked. Several revisions that were merged for a slow client are one patch; a snapshot is a patch that
        replaces the whole document, at the path "".

        Raises:
            AssertionError: none came within `timeout` seconds, or the client ended, or more than 1,000 came that
                nobody looked at.
        """
        await self._wait(self._record.has_patch, "there was a patch", timeout)
        return self._record.take_patch()

    async def until_ended(self, *, timeout: float = UNTIL) -> ClientStatus:
        """Wait until the client stays away; returns why.

        Raises:
            trio.TooSlowError: it did not stay away within `timeout` seconds.
        """
        self._raise_if_over()
        with trio.move_on_after(timeout):
            await self._session.wait_ended()
        if self.ended is None:
            raise trio.TooSlowError(f"the client did not end within {timeout:g} s; {self._state()}")
        return self.ended

    async def send(self, message: str | object, /, **fields: Any) -> Any:
        """Send a message to the session, and wait for what its handler returns: `await client.send("Add", by=3)`.

        The message is the name of its type, with its fields; or an object of its class.

        Raises:
            SendFailed: it was rejected, invalid, or failed, or nobody knows whether it was done.
            AssertionError: no answer came within 600 seconds.
        """
        given = fields if isinstance(message, str) else fields or None
        name = message if isinstance(message, str) else type(message).__name__
        return await self._answer(self._session.send(message, given, timeout=ANSWER), name)

    async def edit(self, path: str, value: Any) -> None:
        """Set a key or an index of the document, and wait until the server has done so and the mirror has it.

        `data` shows it at once. The path is a JSON Pointer. Without a connection, it waits for the next one.

        Raises:
            SendFailed: it was rejected, conflicts with what is shown or with another change, or failed, or nobody knows
                whether it was done.
            AssertionError: no answer came within 600 seconds.
        """
        await self._answer(self._session.edit(path, value, timeout=ANSWER), f"set of {path}")

    async def insert(self, path: str, value: Any) -> None:
        """Insert into a list, before the index that ends the path, or at the end with `-`. Otherwise as `edit()`."""
        await self._answer(self._session.insert(path, value, timeout=ANSWER), f"insert of {path}")

    async def remove(self, path: str) -> None:
        """Take a key or an item out. Otherwise as `edit()`."""
        await self._answer(self._session.remove(path, timeout=ANSWER), f"remove of {path}")

    @property
    def peer(self) -> str | None:
        """What others call this client; None before it was attached."""
        return self._session.peer

    @property
    def presence(self) -> dict[Scope, Mapping[str, Peer]]:
        """Who is there, by scope and peer, as this client was told: `client.presence["session"][client.peer].name`.

        A scope that this client doesn't watch is empty.
        """
        return {scope: self._record.protocol.peers(scope) for scope in ("session", "application")}

    async def watch(self, scope: Scope = "session") -> None:
        """Ask who is there from now on. It doesn't wait for the answer: `until_present` does."""
        self._raise_if_over()
        self._session.presence.watch(scope)
        await trio.lowlevel.checkpoint()

    async def present(self, metadata: Mapping[str, Any]) -> None:
        """Tell those who watch something about this client, such as `{"colour": "teal"}`."""
        self._raise_if_over()
        self._session.presence.set(metadata)
        await trio.lowlevel.checkpoint()

    async def until_present(
        self,
        predicate: Callable[[Mapping[str, Peer]], object],
        *,
        scope: Scope = "session",
        timeout: float = UNTIL,
    ) -> None:
        """Wait until `predicate(peers)` is true of those who are there; begins to watch if need be.

        `peers` maps each client's `peer` to an object with `name` and `metadata`. The scope `application` is empty
        unless the app has called `share_presence()`.

        Raises:
            AssertionError: it was not true within `timeout` seconds, or the client ended; shows who was there.
            TypeError: the predicate is not a plain function of one argument.
        """
        predicate = plain_predicate(predicate, "until_present(lambda peers: len(peers) == 2)")
        await self.watch(scope)
        try:
            await self._wait(lambda: predicate(self.presence[scope]), "that came true", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; there were {self.presence[scope]!r}") from None

    async def drop(self, *, code: int | None = None) -> None:
        """Lose the connection, and stay offline until `reconnect()`. Returns once the client knows.

        Args:
            code: None cuts the connection without a close frame, as a broken network does: what is under way is lost,
                and the server gets an error. With a code, the client sends a close frame, as a browser does with 1001
                when its page is left, and waits at most 2 seconds for the server's answer.

        Raises:
            ValueError: no close frame carries this code.
        """
        if code is not None and (code in _NEVER_SENT or code not in range(1000, 5000)):
            raise ValueError(f"a close frame carries a code from 1000 to 4999, such as 1001, not {code!r}")
        self._is_online = False
        if code is not None:
            self._link.lose(code)
        else:
            await self._cut()
            self.resume()  # else it would not learn of it
        if self.status in _CONNECTED:
            await self._wait(lambda: self.status not in _CONNECTED, "the connection was closed", UNTIL)
        self.resume()

    async def reconnect(self, *, timeout: float = UNTIL) -> None:
        """Come back, and wait until the client is live and has what it missed.

        It connects at once, without the delay that it keeps by itself, also after `stall()`. If it is online, it cuts
        its connection first.

        Raises:
            AssertionError: it was not live within `timeout` seconds, or was turned away.
        """
        before = self._record.attached
        self._is_online = True
        await self._cut()
        self._link.hurry()
        self.resume()
        await self._wait(lambda: self._record.attached > before and self._record.has_all, "it was back", timeout)

    def stall(self) -> None:
        """Stop reading: no data, no ping, not even the end of the connection. What it sends still goes out.

        So its connection fills up: then some 128 KiB are under way, and the rest waits in the server. Like a suspended
        program, the client never gives up meanwhile.
        """
        self._is_stalled = True
        self._link.pause()

    def resume(self) -> None:
        """Go on reading after `stall()`, with what came meanwhile."""
        self._is_stalled = False
        self._link.resume()

    async def close(self) -> None:
        """Leave for good, politely."""
        await self._session.aclose()
        await self._over.wait()

    async def run(self) -> None:
        """Be connected, again and again, until the client is to stay away; `TestSession.connect` starts this."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await self._link.run()
                nursery.cancel_scope.deadline = trio.current_time() + LAST_BYTES
        finally:
            self._over.set()

    async def _open(self, host: str, port: int) -> trio.abc.Stream:
        """See `OpenStream`: there is one server only."""
        stream = await self._open_stream() if self._is_online else None
        if stream is None or not self._is_online:  # it may have been dropped while it dialled
            if stream is not None:
                await trio.aclose_forcefully(stream)
            await trio.lowlevel.checkpoint()
            raise OSError("the test has dropped this client")
        assert self._nursery is not None
        carried = self._stream = self.network.wrap(stream)
        self._nursery.start_soon(carried.run, name="network of a client")
        return carried

    async def _cut(self) -> None:
        if self._stream is not None:
            await self._stream.cut()
        await trio.lowlevel.checkpoint()

    async def _answer(self, answer: Coroutine[Any, Any, Any], what: str) -> Any:
        try:
            self._raise_if_over()
        except RuntimeError:
            answer.close()
            raise
        try:
            return await answer
        except trio.TooSlowError:
            raise AssertionError(f"no answer to {what} within {ANSWER:g} s; {self!r}") from None

    async def _wait(self, is_true: Callable[[], object], what: str, timeout: float) -> None:
        """Wait until this is true; `what` says it in words."""
        self._raise_if_over()
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(timeout):
            while not is_true():
                if self.ended is not None:
                    raise AssertionError(f"{self._state()}, before {what}")
                await self._record.wait_changed()
            return
        raise AssertionError(f"not within {timeout:g} s, before {what}: {self._state()}")

    def _raise_if_over(self) -> None:
        """Refuse what would wait for nothing: who runs the client has ended, as at the end of a test's block."""
        if self._over.is_set() and self.ended is None:
            raise RuntimeError("the client's block has ended, and its connection with it: do this inside the block")

    def _state(self) -> str:
        """For messages."""
        status = self._session.status
        if status.state == "ended":
            return f"the client ended (code {status.code}: {status.reason})"
        return f"the client is {status.state}{f' ({status.reason})' if status.reason else ''}"

    def __repr__(self) -> str:
        """For logs, so without the session's id."""
        return f"<Client {self.status} at revision {self.revision}>"
