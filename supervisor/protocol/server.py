"""The server's end of one connection: which frame may come next. Pure.

           receive(Attach | Resume)              receive(Send | Edit | Present | Watch)
    NEW ─────────────────────────────▶ ATTACHED ────────────────────────────────────────▶ ATTACHED

Every other frame is a protocol error. After one, and after `closing`, the connection is CLOSED: it receives nothing
more.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import final

from supervisor.errors import ProtocolError
from supervisor.protocol.messages import (
    Attach,
    ClientMessage,
    Edit,
    Present,
    Resume,
    Send,
    Watch,
    decode_client_message,
    encode_closing,
)


@unique
class State(Enum):
    """Where a connection is in its life."""

    NEW = "before the first frame"
    ATTACHED = "attached"
    CLOSED = "closed"


_TRANSITIONS: dict[tuple[State, type[ClientMessage]], State] = {
    (State.NEW, Attach): State.ATTACHED,
    (State.NEW, Resume): State.ATTACHED,
    (State.ATTACHED, Send): State.ATTACHED,
    (State.ATTACHED, Edit): State.ATTACHED,
    (State.ATTACHED, Present): State.ATTACHED,
    (State.ATTACHED, Watch): State.ATTACHED,
}


@final
class ServerConnection:
    """What one client may say, in which order, and how it is answered."""

    __slots__ = ("_began", "_state")

    def __init__(self) -> None:
        self._state = State.NEW
        # True once a first frame was understood: only then does the peer know what a closing message is.
        self._began = False

    @property
    def state(self) -> State:
        """Where this connection is in its life."""
        return self._state

    def receive(self, frame: str | bytes) -> ClientMessage:
        """Take one frame; text frames are str. The frame is untrusted.

        It returns `Attach` or `Resume` once, first: hand it to `Feed`. Each later one is a `Send`, `Edit`, `Present` or
        `Watch`.

        Raises:
            ProtocolError: the frame breaks the rules; close the connection with the error's code

        """
        try:
            message = decode_client_message(frame)
            after = _TRANSITIONS.get((self._state, type(message)))
            if after is None:
                kind = type(message).__name__.lower()
                raise ProtocolError(f"a message {kind!r} can't come here: the connection is {self._state.value}")
        except ProtocolError:
            self._state = State.CLOSED
            raise
        self._state = after
        self._began = True
        return message

    def closing(self, code: int, reason: str, retry_after: float | None = None) -> bytes | None:
        """The last message before a close with this code; None if the client sent no first frame: just close."""
        self._state = State.CLOSED
        return encode_closing(code, reason, retry_after) if self._began else None

    def __repr__(self) -> str:
        """For logs."""
        return f"<ServerConnection {self._state.value}>"
