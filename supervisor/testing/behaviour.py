"""What clients do to a session: a list of commands, and its performance on a whole app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import attrs
import trio
import trio.testing

from supervisor.errors import SendFailed
from supervisor.testing.app import RunningApp
from supervisor.testing.client import Client
from supervisor.testing.session import TestSession

REAL_PAUSE = 0.1
"""Seconds after which a pause is over by a real clock: what is under way on loopback has arrived by then, and a list of
twenty commands doesn't take minutes. What happens only later, such as heartbeats, is for tests on virtual time."""


@final
@attrs.frozen(kw_only=True)
class Connect:
    """A client joins the session, and is live."""

    client: int
    """Which one: a number for the reader."""


@final
@attrs.frozen(kw_only=True)
class Send:
    """It sends a message. The answer is not waited for; a refusal is an answer."""

    client: int
    """See `Connect.client`."""
    name: str
    """The message's."""
    fields: Mapping[str, Any]
    """The message's."""


@final
@attrs.frozen(kw_only=True)
class Edit:
    """It edits the document. The answer is not waited for; a refusal is an answer."""

    client: int
    """See `Connect.client`."""
    path: str
    """What is set, as a JSON Pointer; if it ends in "/-", the value is put at the end of a list."""
    value: Any
    """What it is set to."""


@final
@attrs.frozen(kw_only=True)
class Drop:
    """It loses its connection, and stays offline."""

    client: int
    """See `Connect.client`."""
    code: int | None = None
    """Of the close frame; None: cut without one."""


@final
@attrs.frozen(kw_only=True)
class Stall:
    """It stops reading."""

    client: int
    """See `Connect.client`."""


@final
@attrs.frozen(kw_only=True)
class Resume:
    """It goes on reading."""

    client: int
    """See `Connect.client`."""


@final
@attrs.frozen(kw_only=True)
class Reconnect:
    """It comes back, or takes a fresh connection, and is live."""

    client: int
    """See `Connect.client`."""


@final
@attrs.frozen(kw_only=True)
class Close:
    """It leaves for good; a later `Connect` of its number is another client."""

    client: int
    """See `Connect.client`."""


@final
@attrs.frozen(kw_only=True)
class Pause:
    """Time passes."""

    seconds: float
    """Virtual ones; by a real clock it is over after `REAL_PAUSE`."""


Command = Connect | Send | Edit | Drop | Stall | Resume | Reconnect | Close | Pause


async def perform(app: RunningApp, behaviour: Sequence[Command], *, session: TestSession | None = None) -> list[Client]:
    """Do what the commands say, then bring everybody back, and wait until all clients have the server's document.

    Args:
        app: the app that is tested.
        behaviour: as `strategies.behaviours()` makes them; a command for a client that isn't there is an error of the
            list.
        session: whose clients they are; None opens one.

    Returns:
        The clients that are there at the end, or ended by themselves.

    Raises:
        AssertionError: a client could not come back, or never had the server's document.
        KeyError: a command is for a client that isn't there.
    """
    session = await app.new_session() if session is None else session
    clients: dict[int, Client] = {}
    async with trio.open_nursery() as answers:
        for command in behaviour:
            await _do(command, clients, session, answers)
        for client in clients.values():
            if client.ended is None:
                await client.reconnect()
    await app.settle()
    return list(clients.values())


async def _do(command: Command, clients: dict[int, Client], session: TestSession, answers: trio.Nursery) -> None:
    if isinstance(command, Pause):
        is_virtual = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
        await trio.sleep(command.seconds if is_virtual else min(command.seconds, REAL_PAUSE))
        return
    if isinstance(command, Connect):
        clients[command.client] = await session.connect()
        return
    client = clients[command.client]
    if client.ended is not None:  # the app said that it should stay away
        return
    match command:
        case Send() | Edit():
            answers.start_soon(_answered, client, command)
            await trio.lowlevel.checkpoint()
        case Drop():
            await client.drop(code=command.code)
        case Stall():
            client.stall()
        case Resume():
            client.resume()
        case Reconnect():
            await client.reconnect()
        case Close():
            del clients[command.client]
            await client.close()


async def _answered(client: Client, command: Send | Edit) -> None:
    try:
        if isinstance(command, Send):
            await client.send(command.name, **command.fields)
        elif command.path.endswith("/-"):
            await client.insert(command.path, command.value)
        else:
            await client.edit(command.path, command.value)
    except SendFailed:
        pass  # rejected, a conflict, or lost with its client: what the app made of it is in the documents
