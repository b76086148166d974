"""The process: signals with clients attached, a kill and a restart, and no descriptors left."""

from __future__ import annotations

import os
import signal

import trio

from .. import history
from ..clients import Client
from ..scenario import scenario
from ..server import OPTIONS, Server
from ..sockets import abort, dial
from ..stage import Stage

GRACE = 8.0
"""Seconds that a shutdown may take, as the servers here are told."""


async def crowd(stage: Stage, sessions: int = 6, per_session: int = 3) -> dict[str, list[Client]]:
    """Sessions with clients, who have sent something."""
    await stage.server.start()
    made = {}
    for _ in range(sessions):
        name = stage.new_session()
        made[name] = await stage.clients(per_session, name)
        await made[name][0].ask("Add", label="hello", who="client")
    return made


def all_of(crowd: dict[str, list[Client]]) -> list[Client]:
    return [client for clients in crowd.values() for client in clients]


async def check_told(stage: Stage, clients: list[Client]) -> None:
    """Whether all were told 1012, with a delay to come back after, and had their answers."""
    for each in clients:
        await each.until(lambda each=each: each.codes)
        stage.require(each.codes[0] == 1012, f"{each.name} was told {each.codes[0]}")
        stage.require(each.delays and 0 <= each.delays[0] <= 30, f"{each.name} is to come back after {each.delays}")
        stage.require_none(history.check_order(each.history))


@scenario(own_server=True)
async def sigterm(stage: Stage) -> None:
    """SIGTERM with clients attached: all are told to come back, all hooks run, exit code 0 in time."""
    made = await crowd(stage)
    began = trio.current_time()
    code = await stage.server.stop()
    took = trio.current_time() - began
    await check_told(stage, all_of(made))
    stage.require(code == 0, f"exit code {code}")
    stage.require(took < GRACE, f"the end took {took:.1f} s")
    stage.require("unloaded with 0 sessions" in stage.server.printed, "the unload hook did not run last")
    stage.read_log()
    destroyed = sum(line.text.startswith("session destroyed") for line in stage.account.lines)
    # Those of the work app; the stage has given no orders, so there is no other session.
    stage.require(destroyed == len(made), f"{destroyed} of {len(made)} sessions were destroyed")
    await stage.check_log()
    stage.note(f"exit after {took:.1f} s")


@scenario(own_server=True)
async def sigterm_amid_hangs(stage: Stage) -> None:
    """SIGTERM while handlers hang, hooks hang, and a client reads nothing: exit code 0 within the deadline."""
    made = await crowd(stage)
    names = list(made)
    await made[names[0]][0].post("Hang", label="hang")
    await made[names[1]][0].post("Hang", label="hang", how="ValueError")
    stuck = await stage.client(stage.new_session("destroyed~hang~"))
    slow = await stage.client(names[2], receive_buffer=4096)
    slow.pause()
    for number in range(40):
        await made[names[2]][0].ask("Fill", size=100_000, letter=str(number % 10))
    stage.expect(r"message Hang of a client failed|on_session_destroyed", 2)
    began = trio.current_time()
    code = await stage.server.stop()
    took = trio.current_time() - began
    await check_told(stage, [*all_of(made), stuck])
    stage.require(code == 0, f"exit code {code}")
    stage.require(took < GRACE + 2, f"the end took {took:.1f} s")
    await stage.check_log()
    stage.note(f"exit after {took:.1f} s")


@scenario(own_server=True)
async def sigterm_twice(stage: Stage) -> None:
    """A second SIGTERM, and a Ctrl-C, amid a shutdown that hangs: exit code 0, and the hooks run all the same."""
    made = await crowd(stage, sessions=3)
    await stage.client(stage.new_session("destroyed~hang~"))
    stage.expect(r"on_session_destroyed", 0)
    began = trio.current_time()
    stage.server.send_signal(signal.SIGTERM)
    await trio.sleep(0.1)
    for number in (signal.SIGTERM, signal.SIGINT):
        if stage.server.is_running:
            stage.server.send_signal(number)
    code = await stage.server.wait_ended()
    took = trio.current_time() - began
    stage.require(code == 0, f"exit code {code}")
    stage.require(took < GRACE, f"the end took {took:.1f} s")
    await check_told(stage, all_of(made))
    stage.require("unloaded with 0 sessions" in stage.server.printed, "the unload hook did not run")
    stage.read_log()
    destroyed = sum(line.text.startswith("session destroyed") for line in stage.account.lines)
    stage.require(destroyed == len(made) + 1, f"{destroyed} of {len(made) + 1} sessions were destroyed")
    await stage.check_log()


@scenario(own_server=True)
async def kill_and_restart(stage: Stage) -> None:
    """kill -9, and a start on the same port: every client comes back by itself, and is served."""
    key = stage.folder / "key"
    key.write_text(stage.rng.randbytes(32).hex())
    os.chmod(key, 0o600)
    options = (*OPTIONS, "--secret-key-file", str(key))
    stage.server = Server(stage.folder, options=options)
    await stage.server.start()
    second = None
    try:
        names = [stage.new_session() for _ in range(5)]
        clients = [await stage.client(name, revisit=("work", name)) for name in names for _ in range(3)]
        for number, each in enumerate(clients):
            await each.ask("Add", label=f"before-{number}", who="client")
        stage.server.kill()
        for each in clients:
            await each.until(lambda each=each: not each.is_live)
        second = Server(stage.folder, options=options, port=stage.server.port)
        await second.start()
        for number, each in enumerate(clients):
            await each.until(lambda each=each: each.is_live and each.data["log"] is not None, wait=30)
            await each.ask("Add", label=f"after-{number}", who="client")
        stage.server = second
        for index, name in enumerate(names):
            group = clients[3 * index : 3 * index + 3]
            final = await stage.settle(group, name)
            stage.require(sorted(final.log) == sorted(f"after-{3 * index + each}" for each in range(3)), f"{final.log}")
            stage.require_none(stage.check_histories(group))
        stage.require(await second.stop() == 0, "the second server did not end well")
        await stage.check_log()
    finally:
        if second is not None:
            second.kill()


@scenario(own_server=True)
async def no_descriptors(stage: Stage) -> None:
    """All descriptors are used up: the server goes on, who is attached is served, and later visitors are too."""
    made = await crowd(stage, sessions=2)
    stage.expect(r"connection failed: OSError: .*Too many open files", 1)
    held = stage.server.count_descriptors()
    before = stage.server.limit_descriptors(held + 15)
    streams = [await dial(stage.port) for _ in range(60)]
    await trio.sleep(0.5)
    for name, clients in made.items():
        await clients[0].ask("Add", label="amid", who="client")
        await stage.server_is_calm()
        stage.require(all(each.codes == [] for each in clients), f"clients of {name} were cut")
    for stream in streams:
        abort(stream)
    with trio.fail_after(20):
        while stage.server.count_descriptors() > held + 4:
            await trio.sleep(0.1)
    stage.server.limit_descriptors(before[0])
    await stage.is_well()
    for name, clients in made.items():
        await stage.check(clients, name)
    stage.require(await stage.server.stop() == 0, "it did not end well")
    await stage.check_log()
