"""Failure policies, mailbox policies, handlers in threads, limits and health: each skips itself where it is missing."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import AsyncIterator

import trio

from .. import history
from ..clients import Client, Failed
from ..scenario import scenario
from ..server import FOLDER, OPTIONS, Server
from ..sockets import SocketEnded, request
from ..stage import Skipped, Stage

CAPACITY = 1000
"""Messages that a mailbox holds."""


@contextlib.asynccontextmanager
async def serving(stage: Stage, app: str) -> AsyncIterator[None]:
    """A server of another work app, with all that is checked before and after."""
    apps = [FOLDER / "app" / app / "work", FOLDER / "app" / "control"]
    stage.server = Server(stage.folder, options=OPTIONS, apps=apps)
    try:
        await stage.server.start()
        await stage.begin()
        yield
        await stage.finish()
    finally:
        stage.server.kill()


async def fail(client: Client, message: str, label: str) -> str:
    """How a send ended whose handler fails."""
    try:
        await client.ask(message, label=label)
    except Failed as failed:
        return failed.kind
    except (AssertionError, SocketEnded):
        return "lost"
    return "answered"


@scenario(own_server=True, needs="receives(on_failure)")
async def restart_storm(stage: Stage) -> None:
    """Handlers fail under `restart`: clients get a snapshot of a new epoch and stay; beyond the budget it stops."""
    async with serving(stage, "policies"):
        stage.expect(r"message FailAnd", 0)
        stage.expect_exactly(r"session restarted", 6)
        session, other = stage.new_session(), stage.new_session()
        clients, neighbour = await stage.clients(3, session), await stage.client(other)
        for turn in range(3):
            before = clients[0].protocol.epoch
            await clients[0].ask("Add", label=f"lost-{turn}", who="client")
            stage.require(await fail(clients[1], "FailAndRestart", f"fail-{turn}") == "failed", "it was not told")
            for each in clients:
                await each.until(lambda each=each, before=before: each.protocol.epoch != before and each.is_live)
                stage.require(each.codes == [], f"a restart cut {each.codes}")
            await clients[2].ask("Add", label=f"kept-{turn}", who="client")
        final = await stage.order("Read", session=session)
        stage.require(final["data"]["log"] == ["kept-2"], f"the log after three restarts is {final['data']['log']}")
        stage.require_none(stage.check_histories(clients))
        for _ in range(3):  # another session has a budget of its own
            await fail(neighbour, "FailAndRestart", "other")
        await neighbour.ask("Add", label="well", who="neighbour")
        await fail(clients[0], "FailAndRestart", "too many")
        for each in clients:
            await each.wait_over()
            stage.require(each.codes == [4410], f"beyond the budget clients were told {each.codes}")
        hooks = await stage.order("Hooks")
        stage.require(hooks[session]["failed"] == 4, f"the failed hook ran {hooks[session].get('failed')} times")
        stage.require(hooks[session]["created"] == hooks[session]["destroyed"] == 1, f"{hooks[session]}")


@scenario(own_server=True, needs="receives(on_failure)")
async def stop_and_resume(stage: Stage) -> None:
    """Handlers fail under `resume`, any number of times, and under `stop`: only that session ends, and says so."""
    async with serving(stage, "policies"):
        stage.expect(r"message FailAnd", 0)
        session, other = stage.new_session(), stage.new_session()
        clients, neighbour = await stage.clients(2, session), await stage.client(other)
        for turn in range(30):
            stage.require(await fail(clients[0], "FailAndResume", f"resume-{turn}") == "failed", "it was not told")
        await clients[0].ask("Add", label="well", who="client")
        await fail(clients[0], "FailAndStop", "stop")
        for each in clients:
            await each.wait_over()
            stage.require(each.codes == [4410], f"clients of a stopped session were told {each.codes}")
            stage.require(each.data["log"] == ["well"], f"{each.data['log']}")
        await neighbour.ask("Add", label="well", who="neighbour")


async def flood(stage: Stage, kind: str, count: int, symbols: int) -> tuple[dict[str, int], list[str], Client]:
    """Flood a session that is held up; what became of the prices, and which were handled."""
    session = stage.new_session()
    client = await stage.client(session)
    await client.post("Hold", seconds=1.0)
    await trio.sleep(0.2)
    fates = await stage.order("Prices", session=session, kind=kind, count=count, symbols=symbols)
    await client.until(lambda: not client.unsettled)
    await client.ask("Add", label="after", who="client")
    final = await stage.settle([client], session)
    stage.require_none(stage.check_histories([client]))
    return fates, [label for label in final.log if label != "after"], client


@scenario(own_server=True, needs="receives(when_full)")
async def flood_refused(stage: Stage) -> None:
    """A flood of a type that is refused when full: what was taken is handled, in order, and nothing else."""
    async with serving(stage, "queues"):
        fates, handled, _ = await flood(stage, "Refused", 3 * CAPACITY, 1)
        stage.require(fates["full"] >= 2 * CAPACITY, f"{fates}")
        stage.require(handled == [f"S0:{number}" for number in range(fates["taken"])], f"{len(handled)} were handled")


@scenario(own_server=True, needs="receives(when_full)")
async def flood_drops_oldest(stage: Stage) -> None:
    """A flood of a type that drops its oldest: all are taken, and the newest are handled, in order."""
    async with serving(stage, "queues"):
        fates, handled, _ = await flood(stage, "Oldest", 3 * CAPACITY, 1)
        stage.require(fates == {"taken": 3 * CAPACITY}, f"{fates}")
        stage.require(len(handled) <= CAPACITY, f"{len(handled)} were handled")
        first = 3 * CAPACITY - len(handled)
        stage.require(handled == [f"S0:{number}" for number in range(first, 3 * CAPACITY)], "not the newest, in order")


@scenario(own_server=True, needs="receives(conflate)")
async def flood_conflated(stage: Stage) -> None:
    """Thousands of ticks for a session that is held up become the latest one of each symbol."""
    async with serving(stage, "queues"):
        fates, handled, _ = await flood(stage, "Latest", 5 * CAPACITY, 10)
        stage.require(fates == {"taken": 5 * CAPACITY}, f"{fates}")
        latest = {f"S{number % 10}:{number}" for number in range(5 * CAPACITY - 10, 5 * CAPACITY)}
        stage.require(set(handled) == latest and len(handled) == 10, f"{len(handled)} were handled")


@scenario(own_server=True, needs="receives(thread)")
async def blocking_threads(stage: Stage) -> None:
    """Handlers that block their threads, many at once, some failing: the loop turns, and each is a transaction."""
    async with serving(stage, "threads"):
        stage.expect_exactly(r"message Block", 4)
        names = [stage.new_session() for _ in range(8)]
        clients = [await stage.client(name) for name in names]
        for number, client in enumerate(clients):
            await client.post("Block", label=f"block-{number}", seconds=0.6, fails=number % 2 == 1)
        other = await stage.client(stage.new_session())
        began = trio.current_time()
        for number in range(10):
            await other.ask("Add", label=f"other-{number}", who="other")
        stage.require(trio.current_time() - began < 0.5, "a blocked thread holds up other sessions")
        for client, name in zip(clients, names, strict=True):
            await client.until(lambda client=client: not client.unsettled)
            await stage.check([client], name)
        await clients[0].post("Block", label="doomed", seconds=0.5)
        await trio.sleep(0.1)
        await stage.order("DestroySession", session=names[0])
        await clients[0].wait_over()
        stage.require_none(history.check_order(clients[0].history))


@scenario()
async def merged_backlog(stage: Stage) -> None:
    """A client that reads slowly gets merged patches: fewer, in order, and to the same end."""
    if importlib.util.find_spec("supervisor.protocol.merging") is None:
        raise Skipped("supervisor.protocol has no merging")
    session = stage.new_session()
    neighbour = await stage.client(session)
    slow = await stage.client(session, receive_buffer=4096)
    slow.pause()
    await neighbour.ask("Fill", size=900_000, letter="a")
    for number in range(600):
        await neighbour.post("Fill", size=1500, letter="abcdefghij"[number % 10])
        if neighbour.unsettled > 40:
            await neighbour.until(lambda: neighbour.unsettled < 10)
    await neighbour.until(lambda: not neighbour.unsettled)
    slow.reading.set()
    await stage.check([neighbour, slow], session)
    patches = [event for event in slow.history if isinstance(event, history.Patch)]
    merged = sum(event.revision - event.base > 1 for event in patches)
    stage.note(f"{len(patches)} patches, {merged} of them merged")


@contextlib.asynccontextmanager
async def limited(stage: Stage, option: str, value: str) -> AsyncIterator[None]:
    """A server of the usual apps with one limit; the last of equal options counts."""
    if option not in OPTIONS:
        raise Skipped(f"the command serve has no {option}")
    stage.server = Server(stage.folder, options=(*OPTIONS, option, value))
    try:
        await stage.server.start()
        await stage.begin()
        yield
        await stage.finish()
    finally:
        stage.server.kill()


@scenario(own_server=True)
async def too_many_messages(stage: Stage) -> None:
    """A client that sends faster than it may is slowed down: each message is done once, others are served."""
    async with limited(stage, "--max-message-rate", "200"):
        session, other = stage.new_session(), stage.new_session()
        client, neighbour = await stage.client(session), await stage.client(other)
        began = trio.current_time()
        for number in range(stage.scale(700, 5000)):
            await client.post("Add", label=f"flood-{number}", who="flood")
            if client.unsettled > 200:
                await client.until(lambda: client.unsettled < 100)
            if number % 100 == 0:
                with trio.fail_after(5):
                    await neighbour.ask("Add", label=f"beside-{number}", who="neighbour")
        await client.until(lambda: not client.unsettled, wait=60)
        stage.require(trio.current_time() - began > 1.2, "700 messages were taken at once")
        await stage.check([client], session)
        await stage.check([neighbour], other)


@scenario(own_server=True)
async def too_many_connections(stage: Stage) -> None:
    """Connections beyond a session's limit are told 4429 and come back later; they are let in once others have left."""
    async with limited(stage, "--max-connections-per-session", "5"):
        stage.expect(r"connection refused: connections to session")
        session = stage.new_session()
        first = await stage.clients(5, session)
        more = [await stage.client(session, live=False) for _ in range(3)]
        for each in more:
            await each.until(lambda each=each: each.codes)
            stage.require(each.codes[0] == 4429 and not each.is_live, f"one too many was told {each.codes}")
            stage.require(each.delays[0] >= 1, f"it is to come back after {each.delays[0]} s")
        stage.require(all(each.codes == [] for each in first), "who was there was cut")
        for each in first[:3]:
            each.leave()
        for each in more:
            await each.until_live()
        await stage.check([*first[3:], *more], session)


@scenario(own_server=True)
async def health_and_drain(stage: Stage) -> None:
    """Health says ready while it serves; at SIGTERM it says draining, and clients are sent away in batches."""
    await stage.server.start()
    ready = await request(stage.port, "/-/health/ready")
    if ready.status == 404:
        raise Skipped("there is no page /-/health/ready")
    stage.require(ready.status == 200, f"ready is answered {ready.status}")
    live = await request(stage.port, "/-/health/live")
    stage.require(live.status == 200, f"live is answered {live.status}")
    clients = [await stage.client(stage.new_session()) for _ in range(120)]
    for each in clients:
        await each.post("Late", label=each.name, seconds=0.05)
    code = await stage.server.stop()
    stage.require(code == 0, f"exit code {code}")
    for each in clients:
        await each.until(lambda each=each: each.codes)
        stage.require(each.codes[0] == 1012, f"a client was told {each.codes}")
    delays = [each.delays[0] for each in clients]
    stage.require(max(delays) - min(delays) > 0.5, f"all come back at once: {json.dumps(sorted(delays)[:5])}")
    await stage.check_log()
