"""Keeps a client connected: one websocket after the other, the waits between them, and reloads of the page.

`ClientConnection` decides whether and when to come back; this file has the clock, the randomness and the tasks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, final

import attrs
import trio

from supervisor.client.dialing import Dialer
from supervisor.client.status import SESSION_RESTARTS, ClientStatus, State, sentence
from supervisor.client.visit import Visit
from supervisor.client.websocket import Closed, Websocket
from supervisor.errors import ConnectFailed, PageRefused
from supervisor.protocol.client import FIRST_DELAY, MAX_DELAY, ClientConnection
from supervisor.protocol.codes import HAVE_A_DELAY, CloseCode
from supervisor.protocol.events import Arrived, Event, Reconnect, Refused, Reload, Restarting, Status

PAGE = 120.0
"""Seconds for the page when it is loaded again: an app may take 60 s for a document, after 10 s for each hook. Who
gives up earlier would have another session made each time, and never get one. Browsers wait for minutes."""
LONGEST_SERVER_DELAY = 3600.0
"""Seconds: a delay that a server asks for is believed up to this."""

Revisit = Callable[[], Awaitable[Visit]]
"""Loads the page anew. Raises `ConnectFailed`."""


class Owner(Protocol):
    """Who is told what happens; the methods are plain."""

    def connected_by(self, protocol: ClientConnection) -> None:
        """This connection speaks for the client from now on; the one before it has ended."""

    def happened(self, events: list[Event]) -> None:
        """Events arrived."""

    def settled(self, events: tuple[Arrived | Refused, ...]) -> None:
        """The connection has ended, and this became of what was not settled yet."""

    def status_changed(self, status: ClientStatus) -> None:
        """The status is another one."""


@final
@attrs.frozen(kw_only=True)
class LinkOptions:
    """What a link does, and with what."""

    dialer: Dialer
    random: Callable[[], float]
    """Evenly from 0 to 1."""
    max_message_size: int
    revisit: Revisit | None = None
    """None: a session that is gone is the end."""


@final
class Link:
    """One client's way to its session. Call `run` once; the other methods but `wait_over` are plain."""

    def __init__(self, visit: Visit, options: LinkOptions, owner: Owner) -> None:
        self._visit = visit
        self._options = options
        self._owner = owner
        self._protocol = _connection_of(visit)
        # The last one, which may be over: it is told what there is no other to tell, and nothing comes of it.
        self._websocket: Websocket | None = None
        self._left = trio.Event()
        # Set when what is waited for until the next attempt is to wait no more.
        self._hurry = trio.Event()
        self._is_paused = False
        self._over = trio.Event()
        # Around the loading of the page anew.
        self._loading = trio.CancelScope()
        self.status = ClientStatus()
        self.refused: int | None = None
        """The HTTP status that the websocket was last refused with; None if it wasn't."""
        owner.connected_by(self._protocol)

    async def run(self) -> None:
        """Stay connected until the client is to stay away, or has left."""
        try:
            while not self._left.is_set():
                closed = await self._connect_once()
                if self._left.is_set():
                    break
                if not await self._go_on_after(closed):
                    return
            # As if the server had closed with 1000, so that what has no answer is settled. What the last connection
            # had announced, or had broken, would come before that once.
            decision = self._protocol.closed(CloseCode.DONE, random=0.0)
            if isinstance(decision, Reconnect):
                decision = self._protocol.closed(CloseCode.DONE, random=0.0)
            assert not isinstance(decision, Reconnect)
            self._owner.settled(decision.settled)
            self._tell(ClientStatus(state="ended", reason="This client has left.", sessions=self.status.sessions))
        finally:
            self._over.set()

    def flush(self) -> None:
        """Write what may be written; call it after each send."""
        if self._websocket is not None:
            self._websocket.flush()

    def leave(self) -> None:
        """End it politely; may be called twice."""
        self._left.set()
        self._hurry.set()
        self._loading.cancel()
        if self._websocket is not None:
            self._websocket.leave()

    def lose(self, code: int) -> None:
        """Close the connection that there is, politely and with this code; it is lost, and so comes back."""
        if self._websocket is not None:
            self._websocket.leave(code)

    def hurry(self) -> None:
        """Don't wait any longer for the next attempt, or if there is a connection, not after it either."""
        self._hurry.set()

    def pause(self) -> None:
        """Read nothing of what the server sends, on no connection, until `resume`."""
        self._is_paused = True
        if self._websocket is not None:
            self._websocket.pause()

    def resume(self) -> None:
        """Go on reading."""
        self._is_paused = False
        if self._websocket is not None:
            self._websocket.resume()

    async def wait_over(self) -> None:
        """Wait until `run` has returned."""
        await self._over.wait()

    async def _connect_once(self) -> Closed:
        if self.status.retry_at is not None:
            self._tell(attrs.evolve(self.status, retry_at=None))
        self._websocket = Websocket(
            self._protocol,
            dialer=self._options.dialer,
            address=self._visit.websocket,
            headers=self._visit.headers,
            on_events=self._happened,
            max_message_size=self._options.max_message_size,
        )
        if self._is_paused:
            self._websocket.pause()
        return await self._websocket.run()

    def _happened(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Restarting):
                at, sessions = trio.current_time() + event.after, self.status.sessions
                self._tell(ClientStatus(state="restarting", reason=SESSION_RESTARTS, retry_at=at, sessions=sessions))
        if self._protocol.status is Status.LIVE and self.status.state != "live":
            self._tell(ClientStatus(state="live", sessions=self.status.sessions))
        self._owner.happened(events)

    async def _go_on_after(self, closed: Closed) -> bool:
        """Do what is to be done after a close; whether that is to go on."""
        self.refused = closed.refused
        decision = self._protocol.closed(closed.code, closed.reason, random=self._options.random())
        if isinstance(decision, Reconnect):
            code, reason = self._explained(closed)
            await self._wait(min(decision.after, LONGEST_SERVER_DELAY), code=code, reason=reason)
            return True
        self._owner.settled(decision.settled)
        reason = sentence(decision.code, decision.reason, closed.problem)
        if isinstance(decision, Reload) and self._options.revisit is not None:
            return await self._load_anew(self._options.revisit, decision.code, reason)
        self._end(decision.code, reason)
        return False

    def _explained(self, closed: Closed) -> tuple[int, str]:
        """What to tell of a close. What the server said explains more than that it can't be reached since then."""
        before = self.status.code  # None since it was live last
        if before not in HAVE_A_DELAY or closed.code in HAVE_A_DELAY:
            return closed.code, sentence(closed.code, closed.reason, closed.problem)
        reason = sentence(before, "")
        return before, f"{reason} {closed.problem}." if closed.problem else reason

    async def _load_anew(self, revisit: Revisit, code: int, reason: str) -> bool:
        """Get the page again, which gives another session. What only has no server yet is waited for."""
        failures = 0
        said = f"{reason} Loading the page again."
        self._tell(attrs.evolve(self.status, state=self._state(), code=code, reason=said, retry_at=None))
        while not self._left.is_set():
            problem, asked = f"there is no answer within {PAGE:g} s", 0.0
            with trio.move_on_after(PAGE) as self._loading:
                try:
                    self._begin_anew(await revisit())
                    return True
                except PageRefused as error:
                    if error.status < 500 and error.status != 429:  # a "no", which won't change by itself
                        self._end(code, f"{reason} {error}.")
                        return False
                    problem, asked = str(error), error.retry_after or 0.0
                except ConnectFailed as error:
                    problem = str(error)
            longest = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16))
            failures += 1
            delay = max(asked, longest * (0.5 + self._options.random() / 2))
            await self._wait(min(delay, LONGEST_SERVER_DELAY), code=code, reason=f"{reason} {problem}.")
        return True

    def _begin_anew(self, visit: Visit) -> None:
        self._visit = visit
        self._protocol = _connection_of(visit, was_reload=True)
        self._tell(attrs.evolve(self.status, sessions=self.status.sessions + 1))
        self._owner.connected_by(self._protocol)

    async def _wait(self, seconds: float, *, code: int, reason: str) -> None:
        retry_at = trio.current_time() + seconds
        self._tell(attrs.evolve(self.status, state=self._state(), code=code, reason=reason, retry_at=retry_at))
        with trio.move_on_after(seconds):
            await self._hurry.wait()
        self._hurry = trio.Event()

    def _state(self) -> State:
        return "connecting" if self.status.state == "connecting" else "reconnecting"

    def _end(self, code: int, reason: str) -> None:
        self._tell(ClientStatus(state="ended", code=code, reason=reason, sessions=self.status.sessions))

    def _tell(self, status: ClientStatus) -> None:
        self.status = status
        self._owner.status_changed(status)


def _connection_of(visit: Visit, *, was_reload: bool = False) -> ClientConnection:
    entry = visit.entry
    return ClientConnection(
        token=entry.token, session=entry.session, was_reload=was_reload, max_message_size=entry.max_message_size
    )
