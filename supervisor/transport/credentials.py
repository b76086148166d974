"""What lets visitors in: the ids and tokens of one server, made and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from supervisor.identity import Entropy, KeyRing, new_id
from supervisor.transport.site import SessionIds

SHOWN_CHARACTERS = 8
"""How much of a generated session id logs show: enough to tell sessions apart, far too little to attach with."""


@final
class Credentials:
    """One server's.

    Args:
        keys: what tokens and ids are signed with; None for a key that is made here, and known to nobody else.
        session_ids: whose ids visitors may name.
        token_max_age: seconds that a page's token is good for.
        entropy: where keys and ids come from.
        wall_clock: what the ages of tokens are counted by: seconds, the same at each start of a server.

    Raises:
        ValueError: ids are to be signed by others, and there are no keys that they could have.
    """

    def __init__(
        self,
        keys: KeyRing | None,
        *,
        session_ids: SessionIds,
        token_max_age: float,
        entropy: Entropy,
        wall_clock: Callable[[], float],
    ) -> None:
        if session_ids == "external-signed" and keys is None:
            raise ValueError("session_ids='external-signed' needs the keys that sign ids: give keys=KeyRing([key])")
        self._keys = keys or KeyRing((entropy(32),))
        self._session_ids = session_ids
        self._token_max_age = token_max_age
        self._entropy = entropy
        self._wall_clock = wall_clock

    def new_id(self) -> str:
        """An id that was never given before and can't be guessed: of a session, a client, an epoch, a nonce."""
        return new_id(self._entropy)

    def new_incident_id(self) -> str:
        """See `Incident.id`."""
        return self._entropy(4).hex()

    def show_id(self, id: str) -> str:
        """A session's id as logs have it: a name that others gave is shown whole."""
        return id[:SHOWN_CHARACTERS] if self._session_ids == "generated" else id

    def sign(self, application: str, session_id: str) -> str:
        """The token that lets a page attach to a session of the application with this name."""
        return self._keys.sign(session_id, purpose=_purpose(application), now=self._wall_clock())

    def check_token(self, application: str, token: str) -> str:
        """The session's id that a page's token stands for. The token is untrusted.

        Raises:
            TokenRefused: it is not one of ours, another application's, or too old.
        """
        return self._keys.check(
            token, purpose=_purpose(application), now=self._wall_clock(), max_age=self._token_max_age
        )

    def read_signed_id(self, signed: str) -> str:
        """The session's id that somebody with a key has signed. It is untrusted.

        Raises:
            IdRefused: it is not signed with one of the keys, or its time is over.
        """
        return self._keys.read_id(signed, now=self._wall_clock())


def _purpose(application: str) -> str:
    return f"attach to {application}"
