"""Who is there: what the server tells watchers, and what a client has received. Pure.

The rule on the server, which ensures that nobody who has gone stays in a list: **watchers are sent the difference
between what they were sent before and what is true now**, and never a list of events. So a client that joined and left
in between isn't mentioned, one that came back in time was never away, and no order of events leaves a ghost behind.
That needs one record of what was sent, for all watchers together. Hence a new watcher is sent everything in the same
step in which the others are sent the difference, and from then on all know the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol, final

import msgspec

from supervisor.errors import ProtocolError
from supervisor.protocol.encoding import encode_value
from supervisor.protocol.messages import MAX_METADATA, Peer, Presence, Present, Scope, Watch, encode, shorten

_SCOPES: tuple[Scope, ...] = ("session", "application")
_encoder = msgspec.json.Encoder()
_metadata_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class Attendant(Protocol):
    """One connection, as others are told of it. A value: who has changed is another one."""

    @property
    def id(self) -> str:
        """The connection's own, to tell a client's newer connection from its older one."""

    @property
    def peer(self) -> str:
        """The client's, as it is told."""

    @property
    def name(self) -> str | None:
        """What the app calls it, without lone surrogates."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What it has said of itself, as `read_metadata` returned it."""


def read_metadata(message: Present) -> dict[str, Any]:
    """What a client says of itself. It is untrusted.

    Raises:
        ProtocolError: it is an object that can't be told to everybody, such as one with a number beyond all floats
    """
    try:
        return _metadata_decoder.decode(message.metadata)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProtocolError(f"not a message of this wire: {shorten(str(error))}") from error


@final
class Roster:
    """Who is in one scope, and what those who watch it were told."""

    __slots__ = ("_changed", "_scope", "_there", "_told")

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope = scope
        # By peer: the newest connection of each client.
        self._there: dict[str, Attendant] = {}
        # What all watchers know, by peer, encoded; None while nobody watches.
        self._told: dict[str, bytes] | None = None
        # The peers for whom the two may differ; a dict, for its order.
        self._changed: dict[str, None] = {}

    def find(self, peer: str) -> Attendant | None:
        """The connection that counts for this client now."""
        return self._there.get(peer)

    def put(self, attendant: Attendant) -> bool:
        """Somebody joins, or takes the place of the same client's older connection, or says something new of itself.

        Returns whether there may be something to `tell`.
        """
        self._there[attendant.peer] = attendant
        return self._note(attendant.peer)

    def remove(self, attendant: Attendant) -> bool:
        """A connection is no more; if it is a client's newest one, the client has left. Returns as `put`."""
        there = self._there.get(attendant.peer)
        if there is None or there.id != attendant.id:
            return False
        del self._there[attendant.peer]
        return self._note(attendant.peer)

    def _note(self, peer: str) -> bool:
        if self._told is None:
            return False
        self._changed[peer] = None
        return True

    def begin(self) -> None:
        """Somebody watches from now on: tell them `everybody`."""
        self._told = {peer: _describe(attendant) for peer, attendant in self._there.items()}

    def end(self) -> None:
        """Nobody watches any more."""
        self._told = None
        self._changed.clear()

    def tell(self) -> bytes | None:
        """The message from what was told to what is true now; None if that is the same. From now on it was told."""
        told, present, left = self._told, [], []
        assert told is not None
        for peer in self._changed:
            there = self._there.get(peer)
            if there is None:
                if told.pop(peer, None) is not None:
                    left.append(peer)
            else:
                described = _describe(there)
                if told.get(peer) != described:
                    told[peer] = described
                    present.append(described)
        self._changed.clear()
        return self._encode(False, present, left) if present or left else None

    def everybody(self) -> bytes:
        """The message that tells all, to who begins to watch. Call it in one step with `begin` or `tell`."""
        assert self._told is not None
        assert not self._changed
        return self._encode(True, list(self._told.values()), [])

    def _encode(self, complete: bool, present: list[bytes], left: list[str]) -> bytes:
        return b'{"type":"presence","scope":"%b","complete":%b,"present":[%b],"left":%b}' % (
            self._scope.encode(),
            b"true" if complete else b"false",
            b",".join(present),
            encode_value(left),
        )

    def __len__(self) -> int:
        """How many clients are there."""
        return len(self._there)

    def __repr__(self) -> str:
        state = "unwatched" if self._told is None else f"{len(self._changed)} changed"
        return f"<Roster of the {self._scope}: {len(self)} there, {state}>"


def _describe(attendant: Attendant) -> bytes:
    return _encoder.encode(Peer(id=attendant.peer, name=attendant.name, metadata=dict(attendant.metadata)))


def encode_nobody(scope: Scope) -> bytes:
    """The message that tells of nobody: where presence isn't shared."""
    return encode(Presence(scope=scope, complete=True, present=(), left=()))


@final
class Peers:
    """A client's end: what it watches, what it says of itself, and who it has heard of."""

    __slots__ = ("_metadata", "_there", "_untold", "_unwritten")

    def __init__(self) -> None:
        # By scope and id. The scopes are those that are watched.
        self._there: dict[Scope, dict[str, Peer]] = {}
        # The scopes that were asked for, and not answered yet by all who are there.
        self._untold: set[Scope] = set()
        # What this client says of itself, as JSON; None if it never said anything.
        self._metadata: bytes | None = None
        # What is to be written on this connection still.
        self._unwritten: set[Scope | Literal["metadata"]] = set()

    def of(self, scope: Scope) -> Mapping[str, Peer]:
        """Who is there as far as was heard, by id; nobody in a scope that isn't watched. A value: it won't change."""
        return MappingProxyType(self._there.get(scope, {}))

    def watch(self, scope: Scope) -> None:
        """Ask who is there; it is asked again on each connection."""
        if scope not in _SCOPES:
            raise ValueError(f"a scope must be 'session' or 'application', not {scope!r}")
        if scope not in self._there:
            self._there[scope] = {}
            self._untold.add(scope)
            self._unwritten.add(scope)

    def unwatch(self, scope: Scope) -> None:
        """Don't hear of it any more. The server goes on telling; the next connection doesn't ask."""
        self._there.pop(scope, None)
        self._unwritten.discard(scope)

    def present(self, metadata: Mapping[str, Any]) -> None:
        """Say something about oneself, replacing what was said before; it is repeated on each connection.

        Raises:
            TypeError, ValueError: it is not a mapping, can't be sent as JSON, or is too long; nothing has changed
        """
        encoded = encode_value(metadata, what="the metadata")
        if not encoded.startswith(b"{"):
            raise TypeError(f"the metadata must be a mapping, got {type(metadata).__name__}")
        if len(encoded) > MAX_METADATA:
            raise ValueError(
                f"the metadata has {len(encoded):,} bytes as JSON, but at most {MAX_METADATA:,} may be sent"
            )
        self._metadata = encoded
        self._unwritten.add("metadata")

    def attached(self) -> None:
        """A new connection is attached, which knows nothing of this client: all is to be written again."""
        self._unwritten = set(self._there)
        self._untold = set(self._there)
        if self._metadata is not None:
            self._unwritten.add("metadata")

    def outgoing(self) -> list[str]:
        """The frames to write now, each once: what it says first, so that it hears that of itself too."""
        unwritten, self._unwritten = self._unwritten, set()
        if not unwritten:
            return []
        frames = [b'{"type":"present","metadata":%b}' % (self._metadata or b"{}")] if "metadata" in unwritten else []
        frames += [encode(Watch(scope=scope)) for scope in _SCOPES if scope in unwritten]
        return [frame.decode() for frame in frames]

    def take(self, message: Presence) -> bool:
        """Hear of somebody; returns whether anybody had asked. That one has left of whom nobody knew means nothing.

        What changes may be told of an earlier watch still, and means nothing before all who are there were told.
        """
        known = self._there.get(message.scope)
        if known is None or (message.scope in self._untold and not message.complete):
            return False
        self._untold.discard(message.scope)
        there = {} if message.complete else dict(known)
        for id in message.left:
            there.pop(id, None)
        there.update((peer.id, peer) for peer in message.present)
        self._there[message.scope] = there
        return True

    def __repr__(self) -> str:
        heard = ", ".join(f"{len(there)} in the {scope}" for scope, there in self._there.items())
        return f"<Peers: {heard or 'nothing is watched'}>"
