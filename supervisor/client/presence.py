"""Who else is there, as a client sees it, and what it says about itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, final

import attrs

from supervisor.client.newest import Newest
from supervisor.protocol import messages
from supervisor.protocol.client import ClientConnection
from supervisor.protocol.messages import Scope


@final
@attrs.frozen(kw_only=True)
class Peer:
    """Somebody who is there; a client of the same session, or of the same application."""

    id: str
    """The same for as long as that client is there, also while it comes back; it is not secret."""
    name: str | None
    """What the app calls it."""
    metadata: Mapping[str, Any]
    """What it says about itself; untrusted."""
    is_self: bool
    """Whether it is this client."""


@final
class ClientPresence:
    """Who is there. Nothing is told before somebody watches; `ClientSession.presence` has it."""

    def __init__(self, flush: Callable[[], None], wait: Callable[[], Awaitable[None]]) -> None:
        self._flush = flush
        self._wait = wait
        self._protocol = ClientConnection()
        self._watched: set[Scope] = set()
        self._metadata: Mapping[str, Any] | None = None
        # By scope, which piece of news was the last one; nothing, while the session of the moment has not told yet.
        self._heard: dict[Scope, int] = {}
        self._news = 0

    def set(self, metadata: Mapping[str, Any]) -> None:
        """Tell others something about this client, in place of what it told before; doesn't wait.

        The client repeats it when it comes back.

        Raises:
            TypeError, ValueError: it is not a mapping, can't be sent as JSON, or has more than 1,024 bytes as JSON

        """
        self._protocol.present(metadata)
        self._metadata = dict(metadata)
        self._flush()

    def watch(self, scope: Scope = "session") -> Newest[tuple[Peer, ...]]:
        """Those who are there, this client too: once the server has told, and then whenever that changes.

        A slow consumer gets the newest state. If the app doesn't share the application's presence, nobody is there.
        Without a connection it shows who was there last. When nothing more will come, its `__anext__` raises
        `SessionEnded`.

        Args:
            scope: `session`, or `application` for the clients of all its sessions

        Raises:
            ValueError: there is no such scope

        """
        if scope not in self._watched:
            self._protocol.watch(scope)
            self._watched.add(scope)
            self._flush()
        seen = 0

        def take() -> tuple[Peer, ...] | None:
            nonlocal seen
            heard = self._heard.get(scope, 0)
            if heard in (0, seen):
                return None
            seen = heard
            return tuple(self._peer(peer) for peer in self._protocol.peers(scope).values())

        return Newest(take, self._wait)

    def connected_by(self, protocol: ClientConnection) -> None:
        """Another connection speaks for this client: it is told what the one before was told."""
        self._protocol = protocol
        self._heard.clear()
        for scope in self._watched:
            protocol.watch(scope)
        if self._metadata is not None:
            protocol.present(self._metadata)

    def heard(self, scope: Scope) -> None:
        """Somebody came, left, or says something new."""
        self._news += 1
        self._heard[scope] = self._news

    def _peer(self, peer: messages.Peer) -> Peer:
        is_self = peer.id == self._protocol.peer
        return Peer(id=peer.id, name=peer.name, metadata=peer.metadata, is_self=is_self)
