"""Everything at once, by chance; and for long."""

from __future__ import annotations

import time
from collections import Counter

import trio

from .. import baseline, history
from ..clients import Client, Failed
from ..scenario import scenario
from ..stage import Stage

CRASHES = r"message (Crash|Hang) of a client|background task"


RISE = 0.5
"""MiB of memory a minute that a soak may rise by."""
MORE_BLOCKS = 2000
"""Pieces of memory of Python's objects: there are 260,000, give or take 2,000, and a session has hundreds. Hundreds of
sessions come and go in a minute."""


class Chaos:
    """Clients of some sessions that do what chance says; `play` it for a time, then `check` it."""

    def __init__(self, stage: Stage, sessions: int, per_session: int) -> None:
        self._stage = stage
        self._names = [stage.new_session("chaos-") for _ in range(sessions)]
        self._per_session = per_session
        self._clients: dict[str, list[Client]] = {}
        self._numbers = Counter[str]()
        self.done = Counter[str]()

    async def play(self, seconds: float) -> None:
        stage = self._stage
        for name in self._names:
            self._clients[name] = await stage.clients(self._per_session, name)
        async with stage.producer(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._visit)
                for name, clients in self._clients.items():
                    for client in clients:
                        nursery.start_soon(self._work, name, client)
                await trio.sleep(seconds)
                nursery.cancel_scope.cancel()

    async def check(self) -> None:
        for name, clients in self._clients.items():
            for client in clients:
                client.reading.set()
                client.cut()  # a frame may have been torn when the playing ended
            await self._stage.check(clients, name)
        self._stage.note(", ".join(f"{count} {what}" for what, count in sorted(self.done.items())))

    async def _visit(self) -> None:
        """Strangers, who come to sessions of their own and leave without a word."""
        while True:
            client = await self._stage.client(self._stage.new_session("guest-"))
            await client.ask("Add", label="guest", who="guest")
            client.leave()
            self.done["visits"] += 1
            await trio.sleep(self._stage.rng.uniform(0, 0.3))

    async def _work(self, session: str, client: Client) -> None:
        rng = self._stage.rng
        while True:
            what = rng.choices(
                ("add", "late", "crash", "refuse", "edit", "cut", "pause", "fill", "spawn", "desert"),
                (40, 5, 8, 5, 15, 6, 3, 5, 1, 2),
            )[0]
            self.done[what] += 1
            self._numbers[client.name] += 1
            label = f"{client.name}/{self._numbers[client.name]}"
            with trio.CancelScope(shield=True):  # so that what was written down as sent was sent
                await self._do(what, client, label)
            await trio.sleep(rng.uniform(0, 0.06))

    async def _do(self, what: str, client: Client, label: str) -> None:
        rng = self._stage.rng
        if what == "add":
            await client.post("Add", label=label, who=client.name)
        elif what == "late":
            await client.post("Late", label=label, seconds=0.01)
        elif what == "crash":
            step = rng.choice(("before", "mutated", "awaited", "nested", "scope"))
            await client.post("Crash", label=label, step=step, how=rng.choice(("ValueError", "SystemExit", "group")))
        elif what == "refuse":
            await client.post("Refuse", label=label)
        elif what == "edit":
            await client.edit("set", f"/notes/{rng.randrange(20)}", label)
        elif what == "cut":
            client.cut()
        elif what == "pause":
            client.pause()
            await trio.sleep(0.05)
            client.reading.set()
        elif what == "fill":
            await client.post("Fill", size=rng.randrange(30_000), letter="x")
        elif what == "spawn":
            await client.post("Spawn", kind="crash", count=1)
        elif (old := client.desert()) is not None:
            await trio.sleep(0.02)
            old.abort()
        if client.unsettled > 60:
            await client.until(lambda: client.unsettled < 20)


@scenario(timeout=90)
async def mixed_chaos(stage: Stage) -> None:
    """A random mix of all of it over several sessions: every history holds, and the server is at rest afterwards."""
    stage.expect(CRASHES, 0)
    chaos = Chaos(stage, sessions=4, per_session=4)
    await chaos.play(stage.scale(5, 60))
    await chaos.check()


@scenario(long_only=True, timeout=60)
async def soak(stage: Stage) -> None:
    """The mix, round after round for `--minutes`: memory, tasks and descriptors stay flat."""
    stage.expect(CRASHES, 0)
    began = time.monotonic()
    # Bytes that the system counts, which Python gives back late, and pieces of memory that Python's own objects have.
    points: list[tuple[float, float]] = []
    blocks: list[tuple[float, float]] = []
    until, next_figure, rounds = began + 60 * stage.minutes, began, 0
    while time.monotonic() < until:
        chaos = Chaos(stage, sessions=4, per_session=4)
        await chaos.play(min(10.0, max(1.0, until - time.monotonic())))
        await chaos.check()
        stage.notes.clear()
        await stage.order("DestroyAll")
        counts = await stage.order("Hooks", forget=True)
        stage.require_none(history.check_hooks(counts))
        stage.forget_clients()
        stage.read_log()
        stage.account.lines.clear()
        rounds += 1
        if time.monotonic() >= next_figure:
            report = await stage.order("Report")
            minutes = (time.monotonic() - began) / 60
            points.append((minutes, report["memory"] / 2**20))
            blocks.append((minutes, report["blocks"]))
            figures = f"{report['blocks']} blocks, {report['tasks']} tasks, {report['descriptors']} descriptors"
            print(f"  minute {minutes:4.1f}: {report['memory'] / 2**20:6.1f} MiB, {figures}", flush=True)
            next_figure += 60
    # Of the second half: until then the allocator is still on its way to its high-water mark.
    rise, more = (
        baseline.slope([each for each in found if each[0] >= stage.minutes / 2]) for found in (points, blocks)
    )
    figures = f"memory rises by {rise:.2f} MiB and {more:.0f} blocks a minute"
    stage.note(f"{rounds} rounds in {stage.minutes:g} minutes; in the second half {figures}")
    if stage.minutes >= 8:  # in less there are too few points
        stage.require(rise < RISE and more < MORE_BLOCKS, f"{figures}: {points}, {blocks}")


@scenario()
async def many_sessions(stage: Stage) -> None:
    """Many sessions at once, each with its client: all have every tick, and nothing of them is left."""
    names = [stage.new_session() for _ in range(stage.scale(80, 1500))]
    clients = [await stage.client(name) for name in names]
    ticks = stage.scale(10, 100)
    fates = await stage.order("Broadcast", first=1, count=ticks, rate=20.0, wait=120.0)
    stage.require(fates["accepted"] == ticks * len(names), f"{fates}")
    for client, name in zip(clients, names, strict=True):
        await client.until(lambda client=client: client.data["tick"] == ticks)
        try:
            await client.ask("Crash", label="x", step="before", how="ValueError") if name is names[0] else None
        except Failed:
            stage.expect_exactly(CRASHES, 1)
    stage.require_none(stage.check_histories(clients[:20]))
