"""Handlers that fail at every step, in every way: the document is as it was, the session goes on, the log has it."""

from __future__ import annotations

from ..clients import Client, Failed
from ..scenario import scenario
from ..stage import Stage

WAYS = ("ValueError", "KeyError", "SystemExit", "group")
INCIDENT = r"message Crash of a client failed"


async def crash(stage: Stage, client: Client, step: str, how: str, label: str) -> None:
    """One failure, which the client is told of with an incident that the log has."""
    try:
        answer = await client.ask("Crash", label=label, step=step, how=how)
    except Failed as failed:
        stage.require(failed.kind == "failed", f"{label} was told as {failed.kind}")
        stage.require(failed.incident, f"{label} has no incident")
        stage.notes.append(str(failed.incident))
    else:
        raise AssertionError(f"{label} was answered: {answer!r}")


async def crash_at(stage: Stage, step: str, *, ways: tuple[str, ...] = WAYS) -> None:
    """Crash at a step in all ways, amid messages that succeed."""
    session, rounds = stage.new_session(), stage.scale(3, 100)
    clients = await stage.clients(3, session)
    stage.expect_exactly(INCIDENT, rounds * len(ways))
    for turn in range(rounds):
        for how in ways:
            for number, each in enumerate(clients):
                await each.post("Add", label=f"{how}-{turn}-{number}", who=f"c{number}")
            await crash(stage, stage.rng.choice(clients), step, how, f"crash-{how}-{turn}")
    kept = rounds * len(ways) if step == "committed" else 0
    final = await stage.settle(clients, session)
    labels = [label for label in final.log if label.startswith("crash-")]
    stage.require(len(labels) == kept, f"{len(labels)} labels of failed messages are there, {kept} were committed")
    stage.require(not [label for label in labels if "rolled-back" in label], "what followed a commit was kept")
    stage.require_none(stage.check_histories(clients))
    stage.read_log()
    told, logged = set(stage.notes), stage.account.incidents()
    stage.require(told <= logged, f"incidents that clients were told and the log has not: {sorted(told - logged)[:3]}")
    stage.notes.clear()
    if step != "committed":
        await stage.check(clients, session)
    stage.note(f"{rounds * len(ways)} failures")


@scenario()
async def crash_before_mutation(stage: Stage) -> None:
    """A handler raises before it changes anything."""
    await crash_at(stage, "before")


@scenario()
async def crash_after_mutation(stage: Stage) -> None:
    """A handler raises after it changed something: rolled back, and no client ever saw it."""
    await crash_at(stage, "mutated")


@scenario()
async def crash_after_await(stage: Stage) -> None:
    """A handler changes something, waits, and raises."""
    await crash_at(stage, "awaited")


@scenario()
async def crash_after_commit(stage: Stage) -> None:
    """A handler raises after a commit: what was committed stays, what came later doesn't."""
    await crash_at(stage, "committed")


@scenario()
async def crash_in_nested_task(stage: Stage) -> None:
    """A task in a nursery of the handler's raises; its siblings are cancelled, and the session goes on."""
    await crash_at(stage, "nested")


@scenario()
async def crash_while_cancelled(stage: Stage) -> None:
    """A handler raises in the place of the `Cancelled` of its own scope."""
    await crash_at(stage, "scope")


@scenario()
async def crash_by_value(stage: Stage) -> None:
    """A handler puts in a value that JSON can't carry, or returns one."""
    session = stage.new_session()
    clients = await stage.clients(2, session)
    stage.expect(INCIDENT, 2)
    await crash(stage, clients[0], "value", "ValueError", "nan")
    await crash(stage, clients[1], "answer", "ValueError", "answer")
    stage.notes.clear()
    final = await stage.settle(clients, session)
    stage.require("nan" not in final.log, "a refused value was kept")
    stage.require_none(stage.check_histories(clients))


@scenario()
async def refused_by_handler(stage: Stage) -> None:
    """A handler says no: its changes are rolled back, the client is told, and nobody's log has a failure."""
    session, count = stage.new_session(), stage.scale(50, 2000)
    clients = await stage.clients(2, session)
    for number in range(count):
        try:
            await clients[number % 2].ask("Refuse", label=f"no-{number}")
        except Failed as failed:
            stage.require(failed.kind == "rejected", f"told as {failed.kind}")
    await stage.check(clients, session)


@scenario()
async def invalid_messages(stage: Stage) -> None:
    """Names and fields that the app doesn't have: each is refused to its sender, with the number of its send."""
    session = stage.new_session()
    client, neighbour = await stage.clients(2, session)
    for name, fields in (
        ("Nothing", {}),
        ("Tick", {"number": 1}),
        ("Add", {"label": 3, "who": "x"}),
        ("Add", {"label": "x"}),
        ("Add", {"label": "x", "who": "y", "more": 1}),
        ("Late", {"label": "x", "seconds": "1"}),
    ):
        try:
            outcome = await client.ask(name, **fields)
        except Failed as failed:
            stage.require(failed.kind == "invalid", f"{name} {fields} was told as {failed.kind}")
        else:
            raise AssertionError(f"{name} {fields} was answered: {outcome}")
    await neighbour.ask("Add", label="well", who="neighbour")
    await stage.check([client, neighbour], session)


@scenario()
async def background_tasks(stage: Stage) -> None:
    """Background tasks that crash end nothing; those that go on for ever end with their session."""
    session, count = stage.new_session(), stage.scale(40, 500)
    client = await stage.client(session)
    stage.expect_exactly(r"background task.*failed", count)
    await client.ask("Spawn", kind="forever", count=count)
    await client.ask("Spawn", kind="crash", count=count)
    await client.ask("Add", label="well", who="client")
    alive = (await stage.order("Report"))["alive"]
    stage.require(alive.get("message") == count, f"{alive} background tasks live")
    await stage.order("DestroySession", session=session)
    alive = (await stage.order("Report"))["alive"]
    stage.require(not alive, f"{alive} background tasks outlive their session")
