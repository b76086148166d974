"""What clients do to a session: commands, as `supervisor.testing.strategies.behaviours()` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import attrs


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
    """Usually virtual."""


Command = Connect | Send | Edit | Drop | Stall | Resume | Reconnect | Close | Pause
