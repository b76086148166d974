"""Session ids and tokens: made, signed, checked. Pure: time and entropy are passed in.

A *token* is part of a page and admits the page's first attach; it expires, because pages are cached, saved and passed
around. A *key*, which the session keeps in memory, admits a client that comes back, for as long as the session lives.
Both travel in websocket frames, never in a URL, and are never logged.

A *signed id* is part of a link that another program makes: `ID.EXPIRES.SIGNATURE`, in characters that need no escaping.
It says which session, not who may see it: whoever has the link can open the session.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, final

import attrs
from itsdangerous import BadData, Signer, TimestampSigner, URLSafeTimedSerializer

Entropy = Callable[[int], bytes]
"""Returns that many random bytes: `secrets.token_bytes`, or a fake in tests."""

MAX_ID = 128
"""Characters in a session id that a visitor names."""
_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
SKEW = 300.0
"""Seconds by which a token may be dated in the future: the wall clock may have been set back since, as NTP does, or
another server with the same key may be ahead. As much as Kerberos allows (RFC 4120)."""
_WHOLE = re.compile(r"[0-9]{1,15}")


def new_id(entropy: Entropy) -> str:
    """A name of 22 characters that can't be guessed: 128 bits, safe in URLs."""
    return base64.urlsafe_b64encode(entropy(16)).rstrip(b"=").decode()


def is_well_formed(id: str) -> bool:
    """Whether this can be a session id: 1 to 128 characters of `A-Za-z0-9._~-`, which need no escaping in a URL."""
    return _ID.fullmatch(id) is not None


class TokenRefused(Exception):
    """The token is not one of ours, has expired, or is dated in the future; the text says which."""


class IdRefused(Exception):
    """The signed id is not one of ours, or has expired; the text is a sentence for the visitor."""


_ID_PURPOSE = b"session id"
_NEVER = "never"


@final
@attrs.frozen(repr=False)
class KeyRing:
    """The secret keys, the newest last. The newest key signs, and all are accepted, so keys can be rotated.

    Signatures are HMACs (RFC 2104), made by itsdangerous.

    Raises:
        ValueError: there is no key, or one is too short.
    """

    keys: Sequence[bytes] = attrs.field()
    """Each has at least 16 bytes. A file for `--secret-key-file` has them the other way round, the newest first."""

    @keys.validator
    def _check(self, _: Any, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < 16 for key in keys):
            raise ValueError("a key ring needs at least one key, and each key at least 16 bytes")

    def sign(self, session_id: str, *, purpose: str, now: float) -> str:
        """A token for a session. `purpose` keeps a token made for one use from being accepted for another."""
        return str(self._serializer(purpose, now).dumps(session_id))

    def check(self, token: str, *, purpose: str, now: float, max_age: float) -> str:
        """The session's id that a token stands for. The token is untrusted.

        Raises:
            TokenRefused: it isn't one of ours for this purpose, is older than `max_age` seconds, or is dated more than
                `SKEW` in the future.
        """
        if not token.isascii():  # itsdangerous would encode it, and can't in every case
            raise TokenRefused("the page's token is not one of ours")
        try:
            session_id, signed_at = self._serializer(purpose, now).loads(token, return_timestamp=True)
        except BadData:
            raise TokenRefused("the page's token is not one of ours") from None
        if not isinstance(session_id, str):
            raise TokenRefused("the page's token is not one of ours")
        age = int(now) - signed_at.timestamp()  # not by itsdangerous, which takes every negative age for expired
        if age > max_age:
            raise TokenRefused("the page's token has expired")
        if age < -SKEW and max_age != math.inf:
            raise TokenRefused("the page's token is dated in the future: the server's clock was set back")
        return session_id

    def sign_id(self, id: str, *, expires: float | None) -> str:
        """A session's id, signed for a link: `ID.EXPIRES.SIGNATURE`.

        EXPIRES is in whole seconds since the Unix epoch, or `never`. SIGNATURE is the HMAC-SHA256 of `ID.EXPIRES`, in
        URL-safe base64 without padding. Its key is the HMAC-SHA256 of the text `session id` under the secret key. So
        other programs can sign too, and a signature made for one use is not valid for another.

        Raises:
            ValueError: it is not a session id.
        """
        if not is_well_formed(id):
            raise ValueError(
                f"{id!r} is not a session id, which has 1 to {MAX_ID} characters: letters, digits, . _ ~ -"
            )
        return self._id_signer().sign(f"{id}.{_NEVER if expires is None else math.ceil(max(0.0, expires))}").decode()

    def read_id(self, signed: str, *, now: float) -> str:
        """The session's id that a link names. The signed id is untrusted.

        Raises:
            IdRefused: it is not signed with one of the keys, or has expired.
        """
        try:
            id, _, expires = self._id_signer().unsign(signed.encode()).decode().rpartition(".")
        except (BadData, UnicodeError):
            raise IdRefused("This link is not complete, or was not made for this server.") from None
        if not is_well_formed(id) or not (expires == _NEVER or _WHOLE.fullmatch(expires)):
            raise IdRefused("This link is not complete, or was not made for this server.")
        if expires != _NEVER and now >= int(expires):
            raise IdRefused("This link has expired. Get a new one where you found it.")
        return id

    def _id_signer(self) -> Signer:
        return Signer(list(self.keys), salt=_ID_PURPOSE, sep=".", key_derivation="hmac", digest_method=hashlib.sha256)

    def _serializer(self, purpose: str, now: float) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(list(self.keys), salt=purpose, signer=_SignerAt, signer_kwargs={"now": now})

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self.keys)}>"


class _SignerAt(TimestampSigner):
    """A signer whose clock stands at `now`."""

    def __init__(self, *args: Any, now: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now)
