"""Why a connection is closed, and what the client does then. Pure."""

from __future__ import annotations

from enum import Enum, IntEnum, unique


@unique
class CloseCode(IntEnum):
    """Why the server closes a websocket; 4000–4999 are free for applications (RFC 6455, 7.4.2)."""

    DONE = 1000
    """There is nothing more to say."""
    MESSAGE_TOO_BIG = 1009
    """The client sent a message over the size limit."""
    RESTARTING = 1012
    """The server stops or restarts."""
    TOO_SLOW = 1013
    """The client did not read what was sent to it."""
    PROTOCOL_ERROR = 4400
    """The peer broke a rule of the wire."""
    TOKEN_REFUSED = 4401
    """The page's token is wrong or has expired."""
    REFUSED = 4403
    """The app refuses this connection; the close reason says why."""
    GONE = 4404
    """There is no such session."""
    NO_FIRST_FRAME = 4408
    """The client did not send its first frame in time."""
    DESTROYED = 4410
    """The session was destroyed; the close reason says why."""
    TOO_MANY = 4429
    """The client sent too many messages for too long, or the session has too many connections."""


NO_CLOSE_FRAME = 1006
"""What an end without a close frame is called (RFC 6455, 7.4.1); it is never sent."""


@unique
class Reaction(Enum):
    """What a client does when its connection was closed."""

    STAY_AWAY = "ended"
    """It ends, and shows the reason."""
    RELOAD = "reload"
    """It loads the page anew, unless this load was itself such a reload and never went live."""
    COME_BACK = "reconnect"
    """It opens a new connection, after a delay, and resumes."""


_REACTIONS: dict[int, Reaction] = {
    CloseCode.DONE: Reaction.STAY_AWAY,
    CloseCode.MESSAGE_TOO_BIG: Reaction.STAY_AWAY,
    CloseCode.RESTARTING: Reaction.COME_BACK,
    CloseCode.TOO_SLOW: Reaction.COME_BACK,
    CloseCode.PROTOCOL_ERROR: Reaction.STAY_AWAY,
    CloseCode.TOKEN_REFUSED: Reaction.RELOAD,
    CloseCode.REFUSED: Reaction.STAY_AWAY,
    CloseCode.GONE: Reaction.RELOAD,
    CloseCode.NO_FIRST_FRAME: Reaction.COME_BACK,
    CloseCode.DESTROYED: Reaction.STAY_AWAY,
    CloseCode.TOO_MANY: Reaction.COME_BACK,
}

HAVE_A_DELAY = (CloseCode.RESTARTING, CloseCode.TOO_SLOW, CloseCode.TOO_MANY)
"""The codes with which a server says when the client is to come back; with others that counts for nothing."""


def reaction_to(code: int) -> Reaction:
    """What a client does about a close code; one that isn't ours means that the connection was lost."""
    return _REACTIONS.get(code, Reaction.COME_BACK)
