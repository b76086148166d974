"""`connect()`: from an address to a live session, and back out."""

from __future__ import annotations

import contextlib
import random as _random
import ssl
from collections.abc import AsyncIterator, Callable, Iterable

import trio

from supervisor.actor.guard import unwrap
from supervisor.client.address import page_address, websocket_address
from supervisor.client.dialing import Dialer, OpenStream, open_tcp
from supervisor.client.link import Link, LinkOptions
from supervisor.client.page import Entry
from supervisor.client.session import ClientSession
from supervisor.client.visit import Visit, Visitor, check_headers
from supervisor.client.websocket import MAX_MESSAGE_SIZE
from supervisor.errors import ConnectFailed, SessionEnded
from supervisor.limits import check_whether

CONNECT = 30.0
"""Seconds that a client waits to be live for the first time, unless it is told otherwise."""


@contextlib.asynccontextmanager
async def connect(
    url: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    session: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = CONNECT,
    follow_reload: bool = True,
    max_message_size: int = MAX_MESSAGE_SIZE,
    open_stream: OpenStream = open_tcp,
    random: Callable[[], float] = _random.random,
) -> AsyncIterator[ClientSession]:
    """Visit an app's page, as a browser does, and be a client of the page's session during this block.

        async with connect("http://127.0.0.1:5006/ticker") as session:
            await session.send("Watch", {"symbol": "ACME"})
            async for change in session.changes("/watched"):
                print(change.value)

    The session is live when the block begins, or `restarting` if it has just failed. Leaving the block ends it,
    politely within 2 seconds.

    Args:
        url: the page's address, with http or https; `user:password@` in it is for HTTP's basic authentication
        headers: names and values, such as Authorization or Cookie; sent with the page and with each websocket, but not
            to another server that a redirect leads to
        session: the id of a session to join; without it, the page decides
        ssl_context: which certificates to trust; by default those that the system trusts
        timeout: seconds until the session must be live; later on, it comes back by itself for as long as that takes
        follow_reload: whether to load the page again, as a browser does, when the session is gone, and so get a new
            one; `ClientStatus.sessions` and `Change.is_new_session` tell. Otherwise the client ends then, with code
            4404 or 4401
        max_message_size: bytes of one message of the server; a snapshot is a whole document
        open_stream: opens a stream to host and port, for Unix sockets, tunnels and tests
        random: random numbers from 0 to 1, which spread the delays before coming back

    Raises:
        PageRefused: the server doesn't serve the page to this client
        ConnectFailed: there is no server, or no session's page, at that address
        SessionEnded: the session ended before it was live
        TooSlowError: it was not live within `timeout` seconds; the message says what was in the way
        ValueError: the address is malformed, or a header can't be sent
        TypeError: `follow_reload` is neither True nor False

    """
    check_whether("follow_reload", follow_reload)
    address = page_address(url, session=session)
    dialer = Dialer(open_stream, ssl_context)
    visitor = Visitor(dialer, headers)
    deadline = trio.current_time() + timeout

    async def revisit() -> Visit:
        return await visitor.visit(address)

    visit = None
    with trio.move_on_at(deadline):
        visit = await revisit()
    if visit is None:
        raise trio.TooSlowError(f"{address.authority} doesn't answer within {timeout:g} s")
    options = LinkOptions(
        dialer=dialer,
        random=random,
        max_message_size=max_message_size,
        revisit=revisit if follow_reload else None,
    )
    async with _run(visit, options, deadline=deadline, timeout=timeout) as live:
        yield live


@contextlib.asynccontextmanager
async def connect_to(
    websocket_url: str,
    *,
    session: str,
    token: str,
    headers: Iterable[tuple[str, str]] = (),
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = CONNECT,
    max_message_size: int = MAX_MESSAGE_SIZE,
    open_stream: OpenStream = open_tcp,
    random: Callable[[], float] = _random.random,
) -> AsyncIterator[ClientSession]:
    """As `connect()`, if you already have the session's id and a token, from a page that you loaded in another way.

    There is no page to load again: when the session is gone, the client ends.

    Args:
        websocket_url: with ws or wss
        session: its id
        token: admits the first attach; later ones need none
        headers: names and values, sent with each websocket
        ssl_context: see `connect()`
        timeout: see `connect()`
        max_message_size: see `connect()`
        open_stream: see `connect()`
        random: see `connect()`

    Raises:
        ConnectFailed: the server refuses the websocket
        SessionEnded: the session ended before it was live, or the token admits nobody any more
        TooSlowError: it was not live within `timeout` seconds
        ValueError: the address is malformed, or a header can't be sent

    """
    address = websocket_address(websocket_url)
    entry = Entry(session=session, token=token, websocket=address.target)
    given = check_headers(headers)
    if address.authorization is not None:
        given = (*given, ("Authorization", address.authorization))
    visit = Visit(entry=entry, websocket=address, headers=given)
    options = LinkOptions(dialer=Dialer(open_stream, ssl_context), random=random, max_message_size=max_message_size)
    deadline = trio.current_time() + timeout
    async with _run(visit, options, deadline=deadline, timeout=timeout) as live:
        yield live


@contextlib.asynccontextmanager
async def _run(visit: Visit, options: LinkOptions, *, deadline: float, timeout: float) -> AsyncIterator[ClientSession]:
    """Keep a session connected during the block.

    The link runs shielded: whoever cancels the block cancels its code, and then this function ends the link politely.
    If the link itself were cancelled with it, no close frame could be sent any more.
    """
    session = ClientSession()
    link = Link(visit, options, session)
    session.linked_by(link)
    in_the_block: BaseException | None = None
    crashes: list[BaseException] = []
    try:
        async with trio.open_nursery() as nursery:
            shield = trio.CancelScope(shield=True)
            nursery.start_soon(_run_shielded, link, shield, crashes)
            try:
                await _wait_live(session, link, deadline=deadline, timeout=timeout)
                yield session
            except BaseException as error:
                in_the_block = error
                raise
            finally:
                with trio.CancelScope(shield=True):
                    await session.aclose()
                shield.cancel()
    except BaseExceptionGroup as group:
        # Who wrote the block reads what it raised, or what the link did, and not the nursery around both.
        raised = unwrap(group) if in_the_block is None or crashes else in_the_block
    else:
        return
    raise raised  # here and not above, where it would lose its own context


async def _run_shielded(link: Link, shield: trio.CancelScope, crashes: list[BaseException]) -> None:
    try:
        with shield:
            await link.run()
    except BaseException as error:  # a bug of ours, or Ctrl-C: it ends the block
        crashes.append(error)
        raise


async def _wait_live(session: ClientSession, link: Link, *, deadline: float, timeout: float) -> None:
    with trio.move_on_at(deadline):
        async for status in session.statuses():
            if status.state in ("live", "restarting"):  # that one may be seen first, by who joins in the pause
                return
            if status.state == "ended":
                raise SessionEnded(status.code, status.reason)
            if link.refused is not None and 400 <= link.refused < 500:  # a "no", which won't change by itself
                raise ConnectFailed(status.reason.rstrip("."))
    reason = f"; {session.status.reason}" if session.status.reason else ""
    raise trio.TooSlowError(f"the session was not live within {timeout:g} s{reason}".rstrip("."))
