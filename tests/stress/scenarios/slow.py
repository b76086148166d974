"""Clients that read slowly, not at all, or don't answer pings: what they cost their neighbours, and how they end."""

from __future__ import annotations

import statistics
import time

import trio

from .. import history
from ..clients import Client
from ..scenario import scenario
from ..sockets import Socket, open_page
from ..stage import Stage

SMALL = 4096
"""Bytes of a receive buffer that is full at once."""


async def latencies(client: Client, count: int, label: str) -> list[float]:
    found = []
    for number in range(count):
        began = time.perf_counter()
        await client.ask("Add", label=f"{label}-{number}", who=client.name)
        found.append(time.perf_counter() - began)
    return found


@scenario()
async def slow_client(stage: Stage) -> None:
    """A client stops reading under a flood: its neighbours' order and latency stay, and it gets a snapshot."""
    session = stage.new_session()
    neighbours = await stage.clients(3, session)
    alone = await latencies(neighbours[0], 60, "alone")
    slow = await stage.client(session, receive_buffer=SMALL)
    slow.pause()
    sizes = stage.scale(60, 400)
    for number in range(sizes):
        await neighbours[1].ask("Fill", size=100_000, letter="abcdefghij"[number % 10])
    await neighbours[1].ask("Fill", size=1, letter="z")
    beside = await latencies(neighbours[0], 60, "beside")
    slow.reading.set()
    await stage.check([*neighbours, slow], session)
    snapshots = sum(isinstance(event, history.Snapshot) for event in slow.history)
    merged = any(isinstance(event, history.Patch) and event.revision - event.base > 1 for event in slow.history)
    stage.require(snapshots >= 2 or merged, "the slow client had room for everything, so nothing was tried")
    stage.require(slow.codes == [], f"the slow client was cut: {slow.codes}")
    before, after = statistics.median(alone), statistics.median(beside)
    stage.note(f"neighbour's median answer {1000 * before:.1f} ms alone, {1000 * after:.1f} ms beside it")
    stage.require(after < 4 * before + 0.02, f"neighbours wait: {before:.4f} s, then {after:.4f} s")


@scenario(quick=True)
async def too_slow_client(stage: Stage) -> None:
    """A client that reads nothing at all is closed as too slow, comes back, and has the document."""
    session = stage.new_session()
    neighbour = await stage.client(session)
    slow = await stage.client(session, receive_buffer=SMALL)
    slow.pause()
    for number in range(60):
        await neighbour.ask("Fill", size=100_000, letter="abcdefghij"[number % 10])
    began = time.monotonic()
    with trio.fail_after(15):
        while (await stage.order("Report"))["connections"] > 1:
            await trio.sleep(0.1)
    stage.note(f"closed after {time.monotonic() - began:.1f} s")
    slow.reading.set()
    await slow.until(lambda: slow.codes and slow.is_live)
    stage.require(slow.codes[0] in (1013, 1006), f"it was told {slow.codes}")
    await stage.check([neighbour, slow], session)
    stage.require(neighbour.codes == [], f"its neighbour was cut: {neighbour.codes}")


@scenario(quick=True)
async def no_pong(stage: Stage) -> None:
    """Clients that don't answer pings are taken for dead, and only they are."""
    session = stage.new_session()
    good = await stage.client(session)
    entry = await open_page(stage.port, "work", session)
    mute = await stage.client(session, entry=entry)
    assert mute.socket is not None
    mute.socket.answers_pings = False
    await mute.until(lambda: mute.codes, wait=10)
    stage.require(mute.codes == [1006], f"it was told {mute.codes}")
    await mute.until_live()
    assert good.socket is not None
    stage.require(good.codes == [] and good.socket.pings > 0, f"who answers was cut: {good.codes}")
    await stage.check([good, mute], session)


@scenario(quick=True)
async def stalled_tcp(stage: Stage) -> None:
    """Peers whose network stands still, with full buffers, are let go of: no task and no descriptor waits for them."""
    session, count = stage.new_session(), stage.scale(15, 200)
    witness = await stage.client(session)
    before = stage.server.count_descriptors()
    stalled = []
    try:
        for _ in range(count):
            entry = await open_page(stage.port, "work", session)
            socket = await Socket.open(stage.port, entry.websocket, receive_buffer=SMALL)
            await socket.send(f'{{"type":"attach","token":"{entry.token}"}}')
            stalled.append(socket)
        for number in range(60):
            await witness.ask("Fill", size=100_000, letter="abcdefghij"[number % 10])
        with trio.fail_after(20):
            while stage.server.count_descriptors() > before:
                await trio.sleep(0.1)
    finally:
        for each in stalled:
            each.abort()
    stage.require(witness.codes == [], f"the witness was cut: {witness.codes}")
    await stage.check([witness], session)


@scenario(quick=True)
async def no_first_frame(stage: Stage) -> None:
    """Websockets that never say who they are are closed with the code for it."""
    entry = await open_page(stage.port, "work", stage.new_session())
    sockets = [await Socket.open(stage.port, entry.websocket) for _ in range(stage.scale(20, 500))]
    try:
        codes = {(await each.wait_closed(wait=10)).code for each in sockets}
    finally:
        for each in sockets:
            each.abort()
    stage.require(codes == {4408}, f"they were told {codes}")
