"""Sessions that end at bad moments: being made, by their own handlers, under broadcasts, with asks in flight."""

from __future__ import annotations

import trio

from .. import history
from ..clients import Client, Failed
from ..scenario import scenario
from ..sockets import PageRefused, open_page
from ..stage import Stage


@scenario()
async def destroy_during_broadcast(stage: Stage) -> None:
    """Sessions are destroyed while broadcasts run: those that stay have all ticks, and none lags."""
    count, ticks = stage.scale(20, 200), stage.scale(150, 2000)
    names = [stage.new_session() for _ in range(count)]
    clients = {name: await stage.client(name) for name in names}
    control, fates = await stage.new_control(), {}

    async def broadcast() -> None:
        fates.update(await control.ask("Broadcast", first=1, count=ticks, rate=ticks / 1.5))

    doomed = names[::2]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broadcast)
        for name in doomed:
            await trio.sleep(stage.rng.uniform(0, 2 / count))
            found = await stage.order("DestroySession", session=name, times=2)
            stage.require(found[0] is True, f"{name} was not found")
    for name in doomed:
        await clients[name].wait_over()
        stage.require(clients[name].codes[-1] == 4410, f"a destroyed session's client was told {clients[name].codes}")
        stage.require_none(history.check_order(clients[name].history))
    for name in names[1::2]:
        await clients[name].until(lambda name=name: clients[name].data["tick"] == ticks)
        await stage.check([clients[name]], name)
    stage.require(fates.get("lagged", 0) == 0, f"sessions lagged: {fates}")
    stage.require(fates["accepted"] >= ticks * (count - len(doomed)), f"too few took it: {fates}")


@scenario()
async def destroy_during_create(stage: Stage) -> None:
    """Sessions are destroyed while they are made, and made again under the same name: each visitor has one answer."""
    answers: dict[int, int] = {}

    async def visit(name: str) -> None:
        try:
            await open_page(stage.port, "work", name)
            status = 200
        except PageRefused as refused:
            status = refused.status
        answers[status] = answers.get(status, 0) + 1

    stage.refused = (
        "created~late~"  # its visitors are refused when somebody else destroys it; the hook had run to its end
    )
    rounds = stage.scale(3, 40)
    for _ in range(rounds):
        name = stage.new_session("built~late~")
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(visit, name)
                await trio.sleep(stage.rng.uniform(0, 0.1))
                nursery.start_soon(_destroy, stage, name)
        await stage.order("DestroySession", session=name)
        client = await stage.client(name)
        await client.ask("Add", label="again", who="client")
        await stage.check([client], name)
        await stage.order("DestroySession", session=name)
    stage.require(sum(answers.values()) == 6 * rounds, f"visitors without an answer: {answers}")
    stage.require(set(answers) <= {200, 403, 404, 503}, f"visitors were answered {answers}")
    stage.note(f"answers {answers}")


async def _destroy(stage: Stage, name: str) -> None:
    await stage.order("DestroySession", session=name, times=2)


@scenario()
async def destroyed_by_handler(stage: Stage) -> None:
    """A handler destroys its own session, twice: its answer and its changes reach the clients before the end does."""
    for _ in range(stage.scale(5, 100)):
        session = stage.new_session()
        clients = await stage.clients(3, session)
        answer = await clients[0].ask("Destroy", label="last")
        stage.require(answer == "destroyed", f"the answer was {answer!r}")
        for each in clients:
            await each.wait_over()
            stage.require(each.codes == [4410], f"clients were told {each.codes}")
            stage.require("last" in each.data["log"], "the last change did not reach a client")
        stage.require_none(stage.check_histories(clients))
        stage.require_none(history.check_sends({each.name: each.history for each in clients}, ["last"]))


@scenario()
async def asks_in_flight_at_destroy(stage: Stage) -> None:
    """A session is destroyed while asks wait for it, from the server and from clients: each has exactly one end."""
    for kind in ("late", "hang"):
        session, count = stage.new_session(), stage.scale(40, 400)
        clients = await stage.clients(4, session)
        control, ends = await stage.new_control(), []

        async def ask(
            session: str = session, kind: str = kind, control: Client = control, ends: list = ends, count: int = count
        ) -> None:
            ends += await control.ask("Ask", session=session, count=count, kind=kind, prefix=kind, timeout=10.0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.15)
            for number, each in enumerate(clients):
                await each.post("Add", label=f"client-{number}", who="client")
            await stage.order("DestroySession", session=session)
        outcomes = {end for _, end in ends}
        stage.require(len(ends) == count, f"{len(ends)} of {count} asks ended")
        stage.require(outcomes <= {"answered", "SessionGone"}, f"asks ended as {outcomes}")
        stage.require("SessionGone" in outcomes, "no ask was in flight")
        for each in clients:
            await each.wait_over()
            stage.require_none(history.check_order(each.history))
            sent = [event for event in each.history if isinstance(event, history.Sent)]
            settled = [event for event in each.history if isinstance(event, history.Settled)]
            stage.require(len(sent) == len(settled) == 1, f"a client's send ended {len(settled)} times")


@scenario()
async def hung_handler(stage: Stage) -> None:
    """A handler that never returns holds up its own session alone; its end cancels it, whatever it raises then."""
    for how in ("", "ValueError", "SystemExit"):
        session, other = stage.new_session(), stage.new_session()
        client, neighbour = await stage.client(session), await stage.client(other)
        if how:
            stage.expect(r"message Hang of a client failed: " + how)
        await client.post("Hang", label="hung", how=how)
        waiting = await client.post("Add", label="behind", who="client")
        for number in range(20):
            await neighbour.ask("Add", label=f"n{number}", who="neighbour")
        stage.require(client.unsettled == 2, "a message overtook the one in hand")
        await stage.order("DestroySession", session=session)
        await client.wait_over()
        outcome = await client.end_of(waiting)
        stage.require(type(outcome).__name__ == "Refused", f"what waited behind it ended as {outcome}")
        await stage.check([neighbour], other)


@scenario()
async def linger(stage: Stage) -> None:
    """A session outlives its last client by its linger and no longer; who is back in time finds all as it was."""
    session = stage.new_session()
    client = await stage.client(session)
    await client.ask("Add", label="kept", who="client")
    client.leave()
    await client.wait_over()
    await trio.sleep(1.0)
    again = await stage.client(session)
    stage.require(again.data["log"] == ["kept"], "the document is another one")
    again.leave()
    await again.wait_over()
    with trio.fail_after(12):
        while (await stage.order("Report"))["sessions"]:
            await trio.sleep(0.1)
    stage.require((await stage.order("Read", session=session)) is None, "the session is there still")


@scenario()
async def sends_to_the_gone(stage: Stage) -> None:
    """Messages that come while their session ends are answered or refused, and never done after the end."""
    for _ in range(stage.scale(5, 60)):
        session = stage.new_session()
        clients = await stage.clients(4, session)

        async def send(each: Client) -> None:
            for number in range(30):
                try:
                    await each.ask("Add", label=f"{each.name}-{number}", who=each.name)
                except Failed:
                    return
                except Exception:
                    if each.ended is None:
                        raise
                    return

        async with trio.open_nursery() as nursery:
            for each in clients:
                nursery.start_soon(send, each)
            await trio.sleep(stage.rng.uniform(0, 0.05))
            await stage.order("DestroySession", session=session)
        for each in clients:
            await each.wait_over()
        stage.require_none(stage.check_histories(clients))
        seen = max((each.data.get("log", []) for each in clients), key=len)
        stage.require_none(history.check_sends({each.name: each.history for each in clients}, seen, is_over=False))
