"""What an app must not leave behind when its block of `supervise` ends: seven checks, each by its name."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import final

import trio

from supervisor.application.actor import ApplicationActor
from supervisor.errors import Unawaited
from supervisor.instruments import Incident
from supervisor.server import Server
from supervisor.session.actor import SessionActor
from supervisor.testing.agreement import Agreement
from supervisor.testing.births import watching_births
from supervisor.testing.client import Client
from supervisor.testing.incidents import Incidents
from supervisor.testing.origins import ARROW, Origins
from supervisor.testing.sockets import addresses_of, open_sockets

CHECKS: Mapping[str, str] = MappingProxyType({
    "tasks": "no task and no thread that the app started is left",
    "actors": "no session and no application is left",
    "connections": "no connection is left whose client has gone",
    "sockets": "no socket is open that was not open before",
    "coroutines": "no coroutine was dropped without being awaited",
    "errors": "nothing has failed, except what a failure hook of the app was told of",
    "documents": "clients show what the documents are",
})  # fmt: skip
"""The checks by name, and what each asserts."""

AT_THE_END = ("tasks", "actors", "connections", "sockets")
"""Those that look at what is left, once the server is over; failures are raised as what they are."""
OVERDUE = 60.0
"""Seconds, usually virtual, after a server's last deadline, when what has not ended is said to hang."""
ROUNDS = 50
"""Times that what is left is looked at again, each after a turn of the loop, and 10 ms for each thread: those take real
time to end."""

# What the test that runs has switched off by its marks.
_of_test: ContextVar[Mapping[str, str]] = ContextVar("supervisor.testing unchecked", default=MappingProxyType({}))


class Left(AssertionError):
    """An app has left something behind. Each line tells of one thing; the first word is the check's name."""

    __module__ = "supervisor.testing"


def check_unchecked(unchecked: Mapping[str, str]) -> Mapping[str, str]:
    """The checks that are switched off, with their reasons.

    Raises:
        ValueError: there is no such check, or a reason is missing.
        TypeError: they are not a mapping, such as a list of names.
    """
    given: object = unchecked
    if not isinstance(given, Mapping):
        raise TypeError(f'unchecked gives each check its reason, as in {{"sockets": "why"}}, not {given!r}')
    for name, reason in unchecked.items():
        check_name(name)
        if not (isinstance(reason, str) and reason.strip()):
            raise ValueError(f"the check {name!r} is switched off without a reason; say in a sentence why it must be")
    return dict(unchecked)


def check_name(name: str) -> None:
    """Refuse what is no check.

    Raises:
        ValueError: there is no such check.
    """
    if name not in CHECKS:
        raise ValueError(f"there is no check {name!r}; the checks are {', '.join(CHECKS)}")


@contextmanager
def unchecked_in_test(unchecked: Mapping[str, str]) -> Iterator[None]:
    """In this block, and in all that is started in it, these checks are switched off."""
    token = _of_test.set({**_of_test.get(), **check_unchecked(unchecked)})
    try:
        yield
    finally:
        _of_test.reset(token)


@final
class Checks:
    """The checks of one block of `supervise`.

    Args:
        unchecked: the checks that are switched off, and why.
        seen: the instruments of the block's servers.
        authority: their name and port: "localhost:5006", whose sockets are the kit's own while a server runs.

    Raises:
        ValueError: see `check_unchecked`.
    """

    def __init__(
        self, unchecked: Mapping[str, str] | None, seen: Incidents, *, authority: Callable[[], str] = lambda: ""
    ) -> None:
        self._unchecked = {**_of_test.get(), **check_unchecked(unchecked or {})}
        self._seen = seen
        self._authority = authority
        self._origins = Origins()
        self._sockets_before = open_sockets()
        self.clients: list[Client] = []
        """All that the block has made."""
        self._found: list[str] = []
        self._is_over = False

    def is_on(self, name: str) -> bool:
        """Whether this check is made."""
        return name not in self._unchecked

    def begin(self) -> None:
        """A server begins, in the current task."""
        self._origins.begin()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Entered before the first server starts, and left when the last one is over."""
        trio.lowlevel.add_instrument(self._origins)
        try:
            with watching_births(self._origins.note_birth):
                yield
        finally:
            trio.lowlevel.remove_instrument(self._origins)

    async def now(self, server: Server, names: tuple[str, ...]) -> None:
        """Make these checks now, while the server runs; all that are on if there is none. Switched off ones are made.

        Raises:
            Left: something is left.
            ValueError: there is no such check.
        """
        for name in names:
            check_name(name)
        names = names or tuple(name for name in CHECKS if self.is_on(name))
        found: list[str] = []
        if "documents" in names:  # waits until all is quiet, before others look
            found += await self._agree(server)
        for name in names:
            if name != "documents":
                found += await self._look_again(name, server)
        left = what_is_left(found)
        if left is not None:
            raise left

    async def before_end(self, server: Server) -> None:
        """The block has succeeded, and the server is about to go down."""
        if self.is_on("coroutines"):
            gc.collect(1)  # a coroutine in a circle of references, while somebody is told of it; young ones cost little
        if self.is_on("documents") and any(client.is_following for client in self.clients):
            self._found += await self._agree(server)

    async def watch_end(self, server: Server) -> None:
        """Wait until a server that was stopped is over, and free what hangs; not to be cancelled.

        When its end is long overdue, the shields are lifted that an app's code waits behind. Else a test would never
        end, and nobody would be told why.
        """
        with trio.CancelScope(shield=True):
            with trio.move_on_at(server.ends_at + OVERDUE):
                await server.wait_stopped()
                return
            self._found += self._overdue(server)
            await server.wait_stopped()

    def _overdue(self, server: Server) -> list[str]:
        """What has not ended in time, and who shields itself."""
        found = []
        if self.is_on("actors"):
            found += [
                f"actors: {_in_words(actor, session)} has not ended {OVERDUE:g} s after the server's time was over"
                for actor in server.applications.values()
                for session in actor.unended()
            ]
        freed = self._origins.unshield()
        if self.is_on("tasks"):
            found += [f"tasks: {each}, shields itself from the end of its server" for each in freed]
        return found

    async def after_end(self, server: Server) -> list[str]:
        """The server is over: all that was found, a line for each thing."""
        self._is_over = True
        for name in AT_THE_END:
            if self.is_on(name):
                self._found += await self._look_again(name, server)
        return self._found

    def unheard(self) -> list[Incident]:
        """The incidents that are to be raised at the end."""
        return [
            each
            for each in self._seen.unheard()
            if self.is_on("coroutines" if isinstance(each.error, Unawaited) else "errors")
        ]

    async def _look_again(self, name: str, server: Server) -> list[str]:
        """What a check finds that is still there when all that is about to end has had its time."""
        look: Callable[[Server], list[str]] = getattr(self, f"_{name}")
        for _ in range(ROUNDS):
            found = look(server)
            if not found or name in ("coroutines", "errors"):
                break
            self._origins.join_threads(0.01)
            await trio.lowlevel.checkpoint()
        return found

    async def _agree(self, server: Server) -> list[str]:
        (actor,) = server.applications.values()
        return [f"documents: {each}" for each in await Agreement(self.clients, actor.find).wait()]

    # What the others look at.

    def _tasks(self, server: Server) -> list[str]:
        """Tasks and threads."""
        return [f"tasks: {each}" for each in self._origins.left()]

    def _actors(self, server: Server) -> list[str]:
        """Sessions that end and don't come to it, and after the server's end all that there are."""
        return [
            f"actors: {_in_words(actor, session)} has not ended"
            for actor in server.applications.values()
            for session in actor.unended()
            if session.has_ended or actor.has_unloaded
        ]

    def _connections(self, server: Server) -> list[str]:
        """Connections that no client has."""
        peers = {client.peer for client in self.clients if client.status in ("live", "restarting")}
        attached = [
            f"connections: {_in_words(actor, session)}{ARROW}connection {each.id[:8]}, which no client has"
            for actor in server.applications.values()
            for session in actor.unended()
            for each in session.connection_contexts
            if each.peer not in peers
        ]
        if not attached and self._is_over and server.occupancy.connections:
            return [f"connections: the server has {server.occupancy.connections} that have not ended"]
        return attached

    def _sockets(self, server: Server) -> list[str]:
        """Sockets, but for those of the server and its clients."""
        port = self._authority().partition(":")[2]
        found = []
        for (descriptor, _), address in addresses_of(open_sockets() - self._sockets_before).items():
            if port and not self._is_over and re.search(rf":{port}\b", address):
                continue
            origin = self._origins.opener_of(descriptor)
            path = "" if origin is None else f"{origin.path}{ARROW}"
            opened = "" if origin is None or not origin.started else f" (opened at {origin.started})"
            found.append(f"sockets: {path}socket {address} is open{opened}")
        return found

    def _coroutines(self, server: Server) -> list[str]:
        """Coroutines that were dropped."""
        return [f"coroutines: {each.path}" for each in self._seen.unheard() if isinstance(each.error, Unawaited)]

    def _errors(self, server: Server) -> list[str]:
        """Failures."""
        return [f"errors: {each.path}" for each in self._seen.unheard() if not isinstance(each.error, Unawaited)]


def _in_words(actor: ApplicationActor, session: SessionActor) -> str:
    return f"application {actor.application}{ARROW}{session}"


def what_is_left(found: Iterable[str]) -> Left | None:
    """The error that tells of all that was found, or None."""
    lines = list(found)
    if not lines:
        return None
    name = lines[0].partition(":")[0]
    way_out = f'what is meant to be there is told by supervise(…, unchecked={{"{name}": "why"}})'
    return Left("\n".join(["the app has left something behind; " + way_out, *(f"  {line}" for line in lines)]))
