"""Full mailboxes, stuck sessions, borrowers that go wrong, and storms of timers."""

from __future__ import annotations

import trio

from .. import history
from ..clients import Client
from ..scenario import scenario
from ..stage import Stage

CAPACITY = 1000
"""Messages that a mailbox holds."""


async def stuck(stage: Stage) -> tuple[str, Client]:
    """A session whose handler hangs, and its client."""
    session = stage.new_session("stuck-")
    client = await stage.client(session)
    await client.post("Hang", label="stuck")
    await trio.sleep(0.05)
    return session, client


@scenario()
async def flood_by_producer(stage: Stage) -> None:
    """A stuck session's mailbox takes what it holds and refuses the rest; free again, it handles each message once."""
    session, _ = await stuck(stage)
    fates = await stage.order("Flood", session=session, count=3 * CAPACITY)
    stage.require(fates.get("taken", 0) <= CAPACITY, f"a mailbox took more than it holds: {fates}")
    stage.require(fates["taken"] >= CAPACITY - 1 and fates["full"] == 3 * CAPACITY - fates["taken"], f"{fates}")
    free = stage.new_session("free-")
    client = await stage.client(free)
    fates = await stage.order("Flood", session=free, count=CAPACITY)
    stage.require(fates == {"taken": CAPACITY}, f"a free session's mailbox took {fates}")
    await client.until(lambda: client.data["tick"] == CAPACITY - 1)
    await stage.check([client], free)


@scenario()
async def flood_by_clients(stage: Stage) -> None:
    """Clients send as fast as they can: each message is done once, each is answered once, in its sender's order."""
    session, count, each_sends = stage.new_session(), 8, stage.scale(250, 5000)
    clients = await stage.clients(count, session)

    async def flood(client: Client) -> None:
        for number in range(each_sends):
            await client.post("Add", label=f"{client.name}/{number:05}", who=client.name)
            if client.unsettled > 200:
                await client.until(lambda: client.unsettled < 100)
        await client.until(lambda: not client.unsettled, wait=60)

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(flood, client)
    final = await stage.check(clients, session)
    stage.require(len(final.log) == count * each_sends, f"{len(final.log)} of {count * each_sends} are there")
    for client in clients:
        own = [label for label in final.log if label.startswith(f"{client.name}/")]
        stage.require(own == sorted(own), f"the messages of {client.name} were done out of order")


@scenario()
async def lagging_sessions(stage: Stage) -> None:
    """Broadcasts to sessions of which some are full: those lag once, by one deadline, and the others miss nothing."""
    full = [(await stuck(stage))[0] for _ in range(3)]
    for session in full:
        await stage.order("Flood", session=session, count=2 * CAPACITY)
    good = [stage.new_session("good-") for _ in range(6)]
    clients = [await stage.client(session) for session in good]
    ticks = stage.scale(50, 500)
    began = trio.current_time()
    fates = await stage.order("Broadcast", first=1, count=ticks, timeout=0.5)
    took = trio.current_time() - began
    stage.require(fates["accepted"] == ticks * len(good), f"{fates}")
    stage.require(fates["lagged"] == ticks * len(full), f"{fates}")
    stage.require(took < 0.5 + 3, f"stuck sessions were waited for again and again: {took:.1f} s")
    for client, session in zip(clients, good, strict=True):
        await client.until(lambda client=client: client.data["tick"] == ticks)
        await stage.check([client], session)


@scenario()
async def updates_of_stuck_sessions(stage: Stage) -> None:
    """`update_sessions` tells of each session once who is done, failed or lagged; what is late is undone."""
    stuck_ones = [(await stuck(stage))[0] for _ in range(2)]
    good = [stage.new_session("good-") for _ in range(5)]
    clients = [await stage.client(session) for session in good]
    stage.expect_exactly(r"update", len(good))
    for kind in ("plain", "late", "raise", "hang"):
        report = await stage.order("Update", label=kind, kind=kind, timeout=0.5)
        told = report["done"] + report["lagged"] + report["gone"] + report["failed"]
        stage.require(sorted(told) == sorted(good + stuck_ones), f"{kind}: not each session is told of once: {report}")
        wanted = {"plain": "done", "late": "done", "raise": "failed", "hang": "lagged"}[kind]
        stage.require(report[wanted] == sorted(good + (stuck_ones if kind == "hang" else [])), f"{kind}: {report}")
        stage.require(report["seconds"] < 3, f"{kind} took {report['seconds']:.1f} s")
    for client, session in zip(clients, good, strict=True):
        final = await stage.check([client], session)
        stage.require(list(final.log) == ["plain", "late"], f"{session} has {final.log}")


@scenario()
async def borrowers(stage: Stage) -> None:
    """Borrowers that raise, exit, hang and are cancelled give the document back as it was; each borrow ends once."""
    session = stage.new_session()
    clients = await stage.clients(2, session)
    ends: list[list[str]] = []
    count = stage.scale(4, 60)

    async def borrow(kind: str, control: Client) -> None:
        ends.extend(
            await control.ask("Borrow", session=session, count=count, kind=kind, prefix=kind, wait=60.0),
        )

    kinds = ("keep", "raise", "exit", "cancelled", "hang")
    controls = [await stage.new_control() for _ in kinds]
    async with trio.open_nursery() as nursery:
        for kind, control in zip(kinds, controls, strict=True):
            nursery.start_soon(borrow, kind, control)
        for number in range(20):
            await clients[number % 2].ask("Add", label=f"add-{number}", who="client", wait=60)
    final = await stage.check(clients, session)
    labels = [f"{kind}-{number}" for kind in kinds for number in range(count)]
    stage.require_none(history.check_ends(ends, labels, final.log, "kept"))


@scenario()
async def asks(stage: Stage) -> None:
    """Asks by the server: each has one answer or one error, and what is not answered was undone."""
    session = stage.new_session()
    clients = await stage.clients(2, session)
    count = stage.scale(100, 2000)
    ends, labels = [], []
    stage.expect(r"handler on_work of message Work|message Work", 0)
    for kind, timeout in (("plain", 10.0), ("late", 0.5), ("raise", 10.0), ("hang", 0.2)):
        number = count if kind == "plain" else 10
        ends += await stage.order("Ask", session=session, count=number, kind=kind, prefix=kind, timeout=timeout)
        labels += [f"{kind}-{each}" for each in range(number)]
    final = await stage.check(clients, session)
    stage.require_none(history.check_ends(ends, labels, final.log, "answered"))
    outcomes = {end for _, end in ends}
    stage.require(outcomes == {"answered", "ValueError", "TooSlowError"}, f"asks ended as {outcomes}")


@scenario()
async def timer_storm(stage: Stage) -> None:
    """Hundreds of timers in many sessions, some of which raise: all ring, none after it was removed, none is left."""
    names = [stage.new_session() for _ in range(stage.scale(6, 60))]
    clients = [await stage.client(name) for name in names]
    stage.expect_exactly(r"callback|crash", 3 * len(names))
    for client in clients:
        await client.ask("Timers", count=stage.scale(15, 40), milliseconds=stage.scale(20, 500), crashing=3)
    for client in clients:
        await client.until(lambda client=client: client.data["counters"].get("rung", 0) > 60)
        stage.require(await client.ask("Timers", count=0, milliseconds=0) > 0, "no timer was removed")
    rung = [client.data["counters"]["rung"] for client in clients]
    await trio.sleep(0.15)
    for client, name, before in zip(clients, names, rung, strict=True):
        stage.require(client.data["counters"]["rung"] == before, "a removed timer rang")
        await stage.check([client], name)
    stage.note(f"{sum(rung)} rings")
