"""What a scenario is given: a server, clients, orders to the server's own side, and the checks at the end."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from supervisor.client.page import Entry

from . import baseline, history
from .clients import Client, digest
from .log import Account
from .server import Server
from .sockets import open_page

REST = 15.0
"""Seconds in which a server must be at rest again, on a busy machine."""
CATCHING_UP = 150.0
"""Seconds in which the clients of a long run must have read all: one process plays a hundred of them."""


class Violation(AssertionError):
    """An invariant was broken."""


class Skipped(Exception):
    """This scenario can't be played here; says why."""


@attrs.define(eq=False)
class Stage:
    """One scenario's world. Everything random comes from `rng`."""

    name: str
    server: Server
    rng: random.Random
    nursery: trio.Nursery
    folder: Path
    long: bool = False
    minutes: float = 10.0
    account: Account = attrs.field(factory=Account)
    checks_hooks: bool = True
    refused: str = "created~"
    """How the names of sessions begin that their created hook refuses."""
    notes: list[str] = attrs.field(factory=list)
    """What the table says of it."""
    _clients: list[Client] = attrs.field(factory=list)
    _control: Client | None = None
    _before: dict[str, Any] = attrs.field(factory=dict)
    _count: int = 0

    @property
    def port(self) -> int:
        return self.server.port

    def scale(self, short: int, long: int) -> int:
        """How many, in a short run and in a long one."""
        return long if self.long else short

    def note(self, text: str) -> None:
        self.notes.append(text)

    def require(self, condition: object, text: str) -> None:
        if not condition:
            raise Violation(text)

    def require_none(self, violations: Iterable[str]) -> None:
        wrong = list(violations)
        if wrong:
            raise Violation("; ".join(wrong[:6]) + (f"; ... {len(wrong)} in all" if len(wrong) > 6 else ""))

    def expect(self, pattern: str, least: int = 1, most: int | None = None) -> None:
        """See `Account.expect`."""
        self.account.expect(pattern, least, most)

    def expect_exactly(self, pattern: str, count: int) -> None:
        """See `Account.expect_exactly`."""
        self.account.expect_exactly(pattern, count)

    # The server's own side.

    async def order(self, order: str, *, wait: float = 30.0, **fields: Any) -> Any:
        """Give an order to the control app; its answer."""
        if self._control is None:
            self._control = await self.new_control()
            self._clients.remove(self._control)
        return await self._control.ask(order, wait=wait, **fields)

    async def new_control(self) -> Client:
        """One more session of the control app, for orders that run beside others; the stage ends it."""
        entry = await open_page(self.port, "control")
        control = Client(self.port, entry, name="control", records=False)
        self._clients.append(control)
        self.nursery.start_soon(control.run)
        await control.until_live()
        return control

    def new_session(self, prefix: str = "") -> str:
        """A name for a session that nobody has used."""
        self._count += 1
        return f"{prefix}{self.name}-{self._count}-{self.rng.randrange(10**6)}"

    # Clients.

    async def client(self, session: str, *, entry: Entry | None = None, live: bool = True, **options: Any) -> Client:
        """A client that runs, and by default is live."""
        entry = entry or await open_page(self.port, "work", session)
        self._count += 1
        options.setdefault("name", f"{self.name}-{self._count}")
        client = Client(self.port, entry, rng=random.Random(self.rng.random()), **options)
        self._clients.append(client)
        self.nursery.start_soon(client.run)
        if live:
            await client.until_live()
        return client

    async def clients(self, count: int, session: str, **options: Any) -> list[Client]:
        """Several clients of one session, attached side by side."""
        entry = await open_page(self.port, "work", session)
        made = [await self.client(session, entry=entry, live=False, **options) for _ in range(count)]
        for each in made:
            await each.until_live()
        return made

    @contextlib.asynccontextmanager
    async def producer(self, rate: float) -> AsyncIterator[None]:
        """While this is entered, a producer broadcasts ticks, so many a second."""
        await self.order("Produce", key=self.name, rate=rate)
        try:
            yield
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(10):
                await self.order("Produce", key=self.name, rate=0.0)

    # The checks.

    async def settle(self, clients: Sequence[Client], session: str) -> history.Final:
        """Wait until these clients have the server's last revision and all their answers; what the document is then.

        Nothing else may change the document meanwhile.
        """
        self.require_none(f"{each.name} has ended: {each.codes}, {each.ended}" for each in clients if each.ended)
        final: dict[str, Any] | None = None
        seconds = CATCHING_UP if self.long else REST
        with trio.move_on_after(seconds) as scope:
            while True:
                final = await self.order("Read", session=session)
                if final is None:
                    raise Violation(f"there is no session {session} any more")
                revision = final["revision"]
                live = [each for each in clients if each.ended is None]
                if all(each.is_live and each.protocol.revision >= revision and not each.unsettled for each in live):
                    again = await self.order("Read", session=session)
                    if again["revision"] == revision:
                        break
                await trio.sleep(0.05)
        if scope.cancelled_caught:
            late = [repr(each.protocol) for each in clients if each.ended is None and each.protocol.revision < revision]
            raise Violation(f"not settled after {seconds:g} s at revision {revision}: {late[:3]}")
        return history.Final(final["revision"], digest(final["data"]), final["data"]["log"])

    async def check(self, clients: Sequence[Client], session: str) -> history.Final:
        """Settle, and hold all that these clients saw against the server's document."""
        final = await self.settle(clients, session)
        live = {each.name: each.history for each in clients if each.ended is None}
        self.require_none(self.check_histories(clients))
        self.require_none(history.check_final(live, final))
        self.require_none(history.check_sends({each.name: each.history for each in clients}, final.log))
        return final

    def check_histories(self, clients: Sequence[Client]) -> list[str]:
        """Order, and equal documents."""
        wrong = [f"{each.name}: {text}" for each in clients for text in history.check_order(each.history)]
        return wrong + history.check_same({each.name: each.history for each in clients})

    async def is_well(self) -> None:
        """A new visitor is served at once: page, websocket, message, answer."""
        session = self.new_session("well-")
        client = await self.client(session)
        with trio.fail_after(10):
            await client.ask("Add", label="well", who="well")
        client.leave()

    async def server_is_calm(self) -> None:
        """The server uses far less than a whole processor: nothing in it spins."""
        before = self.server.processor_time()
        await trio.sleep(0.5)
        used = self.server.processor_time() - before
        self.require(
            used < 0.35, f"the server used {used:.2f} s of processor in half a second in which nothing happens"
        )

    def forget_clients(self) -> None:
        """Let go of clients that are over, with their histories."""
        for client in self._clients:
            client.leave()
        self._clients.clear()

    async def only_connections_are(self, count: int) -> None:
        """While sessions live: nothing is left of the connections to them but of so many, beside those for orders."""
        left: dict[str, int] = {}
        with trio.move_on_after(REST):
            while True:
                left = (await self.order("Report"))["objects"]
                if left.get("WebSocketConnection", 0) <= count + 1 and left.get("Outbox", 0) <= count + 1:
                    return
                await trio.sleep(0.1)
        raise Violation(f"of {count} connections, and one for orders, there are {left}")

    # Before and after.

    async def begin(self) -> None:
        """Warm the server up, and take the figures of its rest."""
        await self.is_well()
        self._before = await self._wait_rest(lambda report: report["sessions"] == 0)

    async def finish(self) -> None:
        """End all; hold the server against what it was before, and its log against what was expected."""
        for client in self._clients:
            client.leave()
        if not self.server.is_running:
            raise Violation(f"the server has ended; its log is {self.server.log_path}")
        after = await self._wait_rest(lambda report: not baseline.check(self._before, report))
        self.require_none(baseline.check(self._before, after))
        counts = await self.order("Hooks", forget=True)
        if self.checks_hooks:
            self.require_none(history.check_hooks(counts, refused=self.refused))
        await self.check_log()

    async def check_log(self) -> None:
        with trio.move_on_after(3):
            while True:
                self.read_log()
                if self.account.is_complete:
                    break
                await trio.sleep(0.05)
        self.require_none(self.account.violations())

    def read_log(self) -> None:
        self.server.account = self.account
        self.server.read_log()

    async def _wait_rest(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        report: dict[str, Any] = {}
        with trio.move_on_after(REST):
            while True:
                await self.order("DestroyAll")
                report = await self.order("Report")
                if condition(report):
                    break
                await trio.sleep(0.1)
        return report

    def close(self) -> None:
        """End the clients that are there still."""
        for client in [*self._clients, *([self._control] if self._control else [])]:
            client.leave()
