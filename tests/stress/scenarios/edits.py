"""Clients that edit the same list at the same time, with and without lost connections: all end with one document."""

from __future__ import annotations

from collections import Counter

import trio

from supervisor.errors import SendConflict, SendUnsent
from supervisor.protocol import events

from ..clients import Client, Failed
from ..scenario import scenario
from ..stage import Stage


class Editor:
    """One client's edits: each puts in a value of its own, or takes one away, or sets one."""

    def __init__(self, stage: Stage, client: Client) -> None:
        self.client = client
        self.put: dict[int, str] = {}
        """What was put in, by its ticket."""
        self.taken: list[str] = []
        """What was taken away, or replaced, as this client saw it."""
        self.replaced: dict[str, str] = {}
        """By what was put in its place: what stood there."""
        self.ends: dict[int, object] = {}
        self._rng = stage.rng
        self._count = 0

    async def edit(self) -> None:
        """One edit at a random place of what this client shows."""
        todo = self.client.data["todo"]
        choice = self._rng.random()
        self._count += 1
        value = f"{self.client.name}.{self._count}"
        try:
            if choice < 0.6 or not todo:
                place = self._rng.choice((str(self._rng.randint(0, len(todo))), "-"))
                self.put[await self.client.edit("insert", f"/todo/{place}", value)] = value
            elif choice < 0.85:
                place = self._rng.randrange(len(todo))
                self.taken.append(todo[place])
                await self.client.edit("remove", f"/todo/{place}")
            else:
                place = self._rng.randrange(len(todo))
                self.taken.append(todo[place])
                self.replaced[value] = todo[place]
                self.put[await self.client.edit("set", f"/todo/{place}", value)] = value
        except (SendConflict, SendUnsent):
            pass  # it was not made; a set or a removal that wasn't makes the check below no stricter

    async def finish(self) -> None:
        await self.client.until(lambda: not self.client.unsettled, wait=40)
        for ticket in self.put:
            self.ends[ticket] = await self.client.end_of(ticket)


def check_values(editors: list[Editor], todo: list[str]) -> list[str]:
    """Whether each value is there once that was put in and that nobody took away, and none that was refused."""
    there, wrong = Counter(todo), []
    taken = Counter(value for each in editors for value in each.taken)
    replaced = {new: old for each in editors for new, old in each.replaced.items()}

    def may_be_gone(value: str) -> bool:
        """Whether somebody took it; or what stood there before, since who comes second finds it in that place."""
        return taken[value] > 0 or (value in replaced and (taken[replaced[value]] > 1 or may_be_gone(replaced[value])))

    for editor in editors:
        for ticket, value in editor.put.items():
            done = isinstance(editor.ends[ticket], events.Arrived)
            if there[value] > 1:
                wrong.append(f"{value} is there {there[value]} times")
            elif done and not there[value] and not may_be_gone(value):
                wrong.append(f"{value} was acknowledged, and nobody took it away, and it is not there")
            elif not done and there[value]:
                wrong.append(f"{value} was refused, and is there: {editor.ends[ticket]}")
    known = {value for editor in editors for value in editor.put.values()}
    return wrong + [f"{value} is there, and nobody put it in" for value in there if value not in known]


async def edit_together(stage: Stage, *, cuts: float) -> None:
    session = stage.new_session()
    clients = await stage.clients(5, session)
    editors = [Editor(stage, each) for each in clients]
    rounds = stage.scale(40, 1000)

    async def work(editor: Editor) -> None:
        for _ in range(rounds):
            await editor.edit()
            await trio.sleep(stage.rng.uniform(0, 0.02))
            if stage.rng.random() < cuts:
                editor.client.cut()

    async with trio.open_nursery() as nursery:
        for editor in editors:
            nursery.start_soon(work, editor)
    for editor in editors:
        await editor.finish()
    await stage.settle(clients, session)
    todo = clients[0].data["todo"]
    for each in clients:
        stage.require(each.data["todo"] == todo, "clients show different lists")
    stage.require_none(check_values(editors, todo))
    await stage.check(clients, session)
    lost = sum(len(each.codes) for each in clients)
    stage.note(f"{5 * rounds} edits, {lost} connections lost, {len(todo)} items in the end")
    stage.require(not cuts or lost > 3, "no connection was lost, so nothing was tried")


@scenario()
async def edits_of_one_list(stage: Stage) -> None:
    """Five clients edit one list: all show the same in the end, and each value is there once that was acknowledged."""
    await edit_together(stage, cuts=0.0)


@scenario()
async def edits_with_reconnects(stage: Stage) -> None:
    """The same while connections are lost again and again."""
    await edit_together(stage, cuts=0.08)


@scenario()
async def edits_refused(stage: Stage) -> None:
    """Edits that the app refuses, crashes at, or does not allow are undone everywhere, and told to their author."""
    session = stage.new_session()
    clients = await stage.clients(3, session)
    stage.expect_exactly(r"judge was to raise", 5)
    for turn in range(5):
        for value, kind in (("refuse", "rejected"), ("crash", "failed"), ("fine", "")):
            ticket = await clients[turn % 3].edit("set", f"/notes/n{turn}", value)
            outcome = await clients[turn % 3].end_of(ticket)
            got = outcome.kind if isinstance(outcome, events.Refused) else ""
            stage.require(got == kind, f"{value} ended as {outcome}")
        outcome = await clients[0].end_of(await clients[0].edit("set", "/tick", 7))
        stage.require(isinstance(outcome, events.Refused), "an edit of what nobody may edit was done")
    final = await stage.check(clients, session)
    stage.require(clients[0].data["notes"] == {f"n{turn}": "fine" for turn in range(5)}, f"{final}")
    stage.require(clients[0].data["counters"] == {"judge": 5}, f"{clients[0].data['counters']}")


@scenario()
async def edits_amid_crashes(stage: Stage) -> None:
    """Edits while handlers crash around them: the rollback of one never takes another's edit with it."""
    session = stage.new_session()
    clients = await stage.clients(4, session)
    rounds = stage.scale(30, 500)
    stage.expect_exactly(r"message Crash of a client failed", rounds)
    editors = [Editor(stage, each) for each in clients[:3]]

    async def crash() -> None:
        for number in range(rounds):
            try:
                await clients[3].ask("Crash", label=f"crash-{number}", step="awaited", how="ValueError")
            except Failed:
                continue

    async def work(editor: Editor) -> None:
        for _ in range(rounds):
            await editor.edit()
            await trio.sleep(0.002)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(crash)
        for editor in editors:
            nursery.start_soon(work, editor)
    for editor in editors:
        await editor.finish()
    await stage.check(clients, session)
    stage.require_none(check_values(editors, clients[0].data["todo"]))
