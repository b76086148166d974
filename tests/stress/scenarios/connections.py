"""Clients that come and go: one by one, all at once, halfway, and with each other's keys."""

from __future__ import annotations

import trio

from supervisor.protocol.messages import Attach, encode

from ..scenario import scenario
from ..sockets import Socket, SocketEnded, abort, dial, open_page
from ..stage import Stage


@scenario()
async def connect_churn(stage: Stage) -> None:
    """Clients attach, send, and leave, over and over: each is let in and answered, and leaves nothing."""
    session, rounds, workers = stage.new_session(), stage.scale(12, 400), 8
    witness = await stage.client(session)
    entry = await open_page(stage.port, "work", session)

    async def work(number: int) -> None:
        for turn in range(rounds):
            client = await stage.client(session, entry=entry)
            await client.ask("Add", label=f"{number}-{turn}", who=f"w{number}")
            client.leave()
            await client.wait_over()

    async with trio.open_nursery() as nursery:
        for number in range(workers):
            nursery.start_soon(work, number)
    final = await stage.check([witness], session)
    wanted = {f"{number}-{turn}" for number in range(workers) for turn in range(rounds)}
    stage.require(
        set(final.log) == wanted and len(final.log) == len(wanted), "not every client's message is there once"
    )
    hooks = (await stage.order("Hooks"))[session]
    stage.require(hooks["opened"] == workers * rounds + 1, f"opened hooks ran {hooks['opened']} times")
    await stage.only_connections_are(1)
    stage.note(f"{workers * rounds} connections")


@scenario()
async def attach_and_drop(stage: Stage) -> None:
    """Clients send their first frame and are cut at once: nobody else notices, and nothing is left of them."""
    session, count = stage.new_session(), stage.scale(60, 2000)
    witness = await stage.client(session)
    entry = await open_page(stage.port, "work", session)
    first = encode(Attach(token=entry.token)).decode()

    async def drop(after: float) -> None:
        socket = await Socket.open(stage.port, entry.websocket)
        await socket.send(first)
        await trio.sleep(after)
        socket.abort()

    for _ in range(0, count, 20):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(drop, stage.rng.choice((0, 0, 0.001, 0.01)))
        await witness.ask("Add", label=f"witness-{stage.rng.random()}", who="witness")
    await stage.check([witness], session)
    await stage.only_connections_are(1)


@scenario(timeout=90)
async def drop_storm(stage: Stage) -> None:
    """Hundreds connect at once and drop at once, round after round; a client that stays has every revision."""
    count, rounds = stage.scale(150, 500), stage.scale(3, 20)
    session = stage.new_session()
    witness = await stage.client(session)
    entry = await open_page(stage.port, "work", session)
    first = encode(Attach(token=entry.token)).decode()
    arrived = 0

    async def come(drop: trio.Event) -> None:
        nonlocal arrived
        try:
            socket = await Socket.open(stage.port, entry.websocket)
        except SocketEnded:  # the queue of connections that wait to be accepted has a bound
            return
        try:
            await socket.send(first)
            arrived += 1
            await drop.wait()
        finally:
            socket.abort()

    for turn in range(rounds):
        drop = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(come, drop)
            with trio.fail_after(30):
                await witness.ask("Add", label=f"round-{turn}", who="witness")
            await trio.sleep(0.05)
            drop.set()
    await stage.check([witness], session)
    stage.note(f"{arrived} of {count * rounds} connections")
    stage.require(arrived > count * rounds * 0.9, f"only {arrived} of {count * rounds} connections came through")


@scenario()
async def recovery_storm(stage: Stage) -> None:
    """All clients are cut while a producer goes on, again and again: each resumes, with no gap and no duplicate."""
    # More rounds than this and one process can't play so many clients: who reads too late has been forgotten.
    session, count, rounds = stage.new_session(), stage.scale(24, 120), stage.scale(4, 8)
    clients = await stage.clients(count, session)
    async with stage.producer(60):
        for turn in range(rounds):
            for number, each in enumerate(clients):
                await each.post("Add", label=f"{number}-{turn}", who=f"c{number}")
                each.cut()
            await trio.sleep(0.1)
            for each in clients:
                await each.until_live()
        for each in clients:
            await each.until(lambda each=each: not each.unsettled)
    final = await stage.check(clients, session)
    stage.require(len(final.log) == count * rounds, f"{len(final.log)} of {count * rounds} messages are there")
    resumed = sum(getattr(event, "resumed", False) for each in clients for event in each.history)
    stage.require(resumed > 0, "nobody has resumed")
    stage.note(f"{resumed} resumed")


@scenario()
async def two_connections_one_key(stage: Stage) -> None:
    """A client resumes by its key while its old connection is open still: it is served once, nothing is done twice."""
    session = stage.new_session()
    client, witness = await stage.clients(2, session)
    old: list[Socket] = []
    try:
        for turn in range(stage.scale(6, 100)):
            await client.post("Add", label=f"first-{turn}", who="first")
            deserted = client.desert()
            assert deserted is not None
            old.append(deserted)
            await client.ask("Add", label=f"second-{turn}", who="first")
            await witness.ask("Add", label=f"witness-{turn}", who="witness")
        await stage.check([client, witness], session)
    finally:
        for each in old:
            each.abort()


@scenario(timeout=90)
async def silent_connections(stage: Stage) -> None:
    """Thousands of connections that never say a word: visitors are served meanwhile, and all descriptors come back."""
    count = stage.scale(600, 10_000)
    before = stage.server.count_descriptors()
    streams: list[trio.SocketStream] = []
    try:
        for start in range(0, count, 100):
            with trio.fail_after(30):
                streams += [await dial(stage.port) for _ in range(min(100, count - start))]
            if start % 1000 == 0:
                await stage.is_well()
        for _ in range(50):
            if stage.server.count_descriptors() >= before + count:
                break
            await trio.sleep(0.1)
        stage.note(f"{stage.server.count_descriptors() - before} held at once")
        stage.require(stage.server.count_descriptors() >= before + count * 0.95, "they were not all accepted")
        await stage.is_well()
    finally:
        for stream in streams:
            abort(stream)


@scenario()
async def half_heads(stage: Stage) -> None:
    """Heads that come byte by byte, stop halfway, or are cut: only they wait, and nothing is left of them."""
    streams = []
    for number in range(stage.scale(40, 500)):
        stream = await dial(stage.port)
        head = b"GET /work/-/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        await stream.send_all(head[: stage.rng.randrange(1, len(head))])
        streams.append(stream)
        if number % 3 == 0:
            await stream.send_eof()
    await stage.is_well()
    for stream in streams:
        abort(stream)


@scenario()
async def presence_churn(stage: Stage) -> None:
    """Clients come, present themselves and go, while some watch: in the end all watchers see the same who are there."""
    session = stage.new_session()
    watchers = await stage.clients(3, session)
    for each in watchers:
        each.protocol.watch("session")
        await each.flush()
    rounds = stage.scale(4, 60)
    for turn in range(rounds):
        group = await stage.clients(6, session)
        for number, each in enumerate(group):
            each.protocol.present({"turn": turn, "number": number})
            await each.flush()
        for each in group:
            each.cut() if stage.rng.random() < 0.3 else None
        for each in group:
            each.leave()
    wanted = {each.protocol.peer for each in watchers}
    for each in watchers:
        await each.until(lambda each=each: set(each.protocol.peers("session")) == wanted)
    await stage.check(watchers, session)
