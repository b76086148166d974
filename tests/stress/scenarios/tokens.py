"""Tokens and keys that are replayed, forged, expired, or meant for somebody else."""

from __future__ import annotations

import json

import trio

from supervisor.client.page import Entry

from ..scenario import scenario
from ..sockets import Socket, SocketEnded, open_page
from ..stage import Stage


async def told(stage: Stage, entry: Entry, first: dict) -> int:
    """The code that a first frame is answered with; 0 if it was let in."""
    socket = await Socket.open(stage.port, entry.websocket)
    try:
        await socket.send(json.dumps(first))
        with trio.fail_after(10):
            answer = json.loads(await socket.receive())
        if answer["type"] == "attached":
            return 0
        return (await socket.wait_closed()).code
    finally:
        socket.abort()


def attach(token: str) -> dict:
    return {"type": "attach", "token": token}


@scenario()
async def forged_tokens(stage: Stage) -> None:
    """A token that was changed in any place, or is another app's, opens nothing; one replayed opens its own session."""
    session = stage.new_session()
    client = await stage.client(session)
    await client.ask("Add", label="secret", who="client")
    entry, other = await open_page(stage.port, "work", session), await open_page(stage.port, "control")
    stage.require(await told(stage, entry, attach(entry.token)) == 0, "a page's own token was refused")
    stage.require(await told(stage, entry, attach(entry.token)) == 0, "a token in its time was refused the second time")
    forged = [other.token, "x", entry.token + "A", entry.token[:-1], entry.token[::-1], f"{session}.{entry.token}"]
    for _ in range(stage.scale(30, 2000)):
        place = stage.rng.randrange(len(entry.token) - 1)  # the last one has bits that mean nothing
        letter = stage.rng.choice("ABCxyz019-_.")
        if letter != entry.token[place]:
            forged.append(entry.token[:place] + letter + entry.token[place + 1 :])
    for token in forged:
        code = await told(stage, entry, attach(token))
        stage.require(code == 4401, f"the token {token!r} in place of {entry.token!r} was told {code}")
    await stage.order("DestroySession", session=session)
    code = await told(stage, entry, attach(entry.token))
    stage.require(code == 4404, f"a token of a session that is gone was told {code}")


@scenario(quick=True)
async def expired_token(stage: Stage) -> None:
    """A token that is too old opens nothing, and who was attached comes back by its key all the same."""
    session = stage.new_session()
    client = await stage.client(session)
    entry = await open_page(stage.port, "work", session)
    await trio.sleep(2.1)
    code = await told(stage, entry, attach(entry.token))
    stage.require(code == 4401, f"an expired token was told {code}")
    client.cut()
    await client.ask("Add", label="back", who="client")
    stage.require(client.codes == [1006], f"who was attached was told {client.codes}")
    await stage.check([client], session)


@scenario()
async def forged_keys(stage: Stage) -> None:
    """A resume with a wrong key, or with the key of another session, is answered as if there were no session."""
    names = [stage.new_session(), stage.new_session()]
    clients = [await stage.client(name) for name in names]
    frames = [json.loads(each.protocol.opened()) for each in clients]  # not written: only to see what a resume says
    for each in clients:
        each.cut()
    entry = await open_page(stage.port, "work", names[0])
    first, second = frames
    for wrong in (
        {**first, "key": second["key"]},
        {**first, "key": "x"},
        {**first, "key": first["key"][:-1] + "~"},
        {**first, "session": second["session"]},
        {**first, "session": "nobody"},
    ):
        code = await told(stage, entry, wrong)
        stage.require(code == 4404, f"{wrong} was told {code}")
    for odd in ({**first, "client": "nobody"}, {**first, "epoch": "another"}, {**first, "revision": -1}):
        stage.require(await told(stage, entry, odd) == 0, f"{odd} was refused")
    for each, name in zip(clients, names, strict=True):
        await each.ask("Add", label="well", who="client")
        await stage.check([each], name)


@scenario()
async def foreign_origins(stage: Stage) -> None:
    """Pages of other sites open no websocket, and other names get no page."""
    entry = await open_page(stage.port, "work", stage.new_session())
    stage.expect(r"connection refused")
    for origin in ("http://evil.example", "null", f"http://127.0.0.1.evil.example:{stage.port}", "file://"):
        try:
            socket = await Socket.open(stage.port, entry.websocket, headers=f"Origin: {origin}\r\n")
        except SocketEnded as ended:
            stage.require(ended.reason == "status 403", f"{origin} was answered {ended.reason}")
        else:
            socket.abort()
            raise AssertionError(f"{origin} was let in")
    own = await Socket.open(stage.port, entry.websocket, headers=f"Origin: http://127.0.0.1:{stage.port}\r\n")
    own.abort()
    await stage.is_well()
