"""The state of a client's connection, and the sentence for each way in which it can end. Pure."""

from __future__ import annotations

from typing import Literal, final

import attrs

from supervisor.protocol.codes import CloseCode

State = Literal["connecting", "live", "restarting", "reconnecting", "ended"]
"""`connecting`: it was not live yet. `live`: the data follow the document. `restarting`: the session has failed, and is
to have a new document; what is sent waits for it. `reconnecting`: it was live, and comes back by itself; the data are
what was true before. `ended`: it stays as it is."""
SESSION_RESTARTS = "The session has failed and is restarting."
"""The reason while it is `restarting`; the browser's client says the same."""


@final
@attrs.frozen(kw_only=True)
class ClientStatus:
    """The state of a client's connection to its session."""

    state: State = "connecting"
    reason: str = ""
    """A sentence or two for people; empty while all is well."""
    code: int | None = None
    """The close code that led here; None if nothing was closed, and after `ClientSession.aclose()`."""
    retry_at: float | None = None
    """When the next attempt to connect, or to build the document, is due, by trio's clock; None if none waits."""
    sessions: int = 1
    """How many sessions this client has had: it rises when the page was loaded anew, which gave another one."""


# The words of the browser's client, but that a program loads a page without showing it.
_SENTENCES = {
    CloseCode.DONE: "The session is over.",
    CloseCode.MESSAGE_TOO_BIG: "A message was too big.",
    CloseCode.PROTOCOL_ERROR: "The server did not understand this client.",
    CloseCode.DESTROYED: "The session was ended.",
    CloseCode.TOKEN_REFUSED: "The token of the page is too old.",
    CloseCode.REFUSED: "The app does not let this client in.",
    CloseCode.GONE: "The session does not exist any more.",
    CloseCode.RESTARTING: "The server is restarting.",
    CloseCode.TOO_SLOW: "The connection was too slow.",
    CloseCode.TOO_MANY: "There was too much at once.",
}
_SAY_IT_THEMSELVES = (
    CloseCode.DONE,
    CloseCode.MESSAGE_TOO_BIG,
    CloseCode.PROTOCOL_ERROR,
    CloseCode.DESTROYED,
    CloseCode.REFUSED,
)
"""The codes whose reason was written for people."""


def sentence(code: int, reason: str, problem: str = "") -> str:
    """What to tell people of a close.

    Args:
        code: the close code
        reason: what the server gave as its reason
        problem: what went wrong, if this client knows

    """
    if code in _SAY_IT_THEMSELVES and reason:
        return reason
    if code in _SENTENCES and not (problem and code == CloseCode.PROTOCOL_ERROR):
        return _SENTENCES[CloseCode(code)]
    return f"{problem}." if problem else "The connection was lost."
