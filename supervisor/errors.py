"""Every exception of ours, in one tree. Pure.

    SupervisorError
    ├── MailboxFull           a mailbox or a next-tick queue has no room
    ├── ActorGone             the actor that was asked has ended
    │   └── SessionGone       … and it was a session
    ├── DeadlockError         this wait would close a circle of waits
    ├── DocumentNotHeld       a document was touched by a task that doesn't hold it
    ├── InvalidValue          a value that JSON cannot carry was put into a document
    ├── PatchError            a JSON Patch does not fit the document it is applied to
    ├── Rejected              a handler's own "no": an answer, no failure
    ├── SessionRefused        a hook's own "no" to a visitor
    ├── HandlerFailed         something failed, and only the log has the details
    ├── Unawaited             a coroutine was made and never awaited
    ├── ProtocolError         a peer broke the rules of the wire
    │   └── InvalidMessage    … in the fields of one message
    ├── ApplicationError      an app can't be loaded or served; says why in one sentence
    ├── ConnectFailed         a client can't reach a session; says why in one sentence
    │   └── PageRefused       … because the server answered with 403, 404, 503 or the like
    ├── SessionEnded          a client's session is over for this client; has the close code and the reason
    └── SendFailed            what a client sent was not done, or nobody knows
        ├── SendRejected      … the app said no; also a `Rejected`
        ├── SendInvalid       … name or fields are wrong
        ├── SendConflict      … what an edit was to change has gone
        ├── SendIncident      … the app's code failed; also a `HandlerFailed`
        ├── SendUnknown       … or was done: the answer can no longer come
        └── SendUnsent        … because it was never sent

Whose fault it is: `MailboxFull`, `DeadlockError`, `DocumentNotHeld`, `InvalidValue`, `Unawaited` and
`ApplicationError` are raised at the app's code that caused them. `ProtocolError` is the peer's fault. `ActorGone` is
nobody's: sessions end. `Rejected` and `SessionRefused` are raised *by* an app's code and are no failures. A wait that
takes too long raises trio's own `TooSlowError`. The last three are for programs that are clients, by
`supervisor.client`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class SupervisorError(Exception):
    """The root of this tree; catch it to catch all of ours."""


class MailboxFull(SupervisorError):
    """The mailbox has no room, or a newer message took this one's place. Wait for room with `tell()`, or drop it.

    If the message's type says `when_full="refuse"` or `"drop_oldest"`, `tell()` doesn't wait either.
    """


class ActorGone(SupervisorError):
    """The actor has ended, so nothing will answer. Stop using its ref."""


class SessionGone(ActorGone):
    """The session has ended, so nothing will answer. Its context can be dropped."""


class DeadlockError(SupervisorError):
    """This wait would close a circle of waits, which the message names. Use `tell()` where no answer is needed."""


class DocumentNotHeld(SupervisorError):
    """The document was touched by a task that doesn't hold it. Borrow it with `locked_document()`, or `tell()`."""


class InvalidValue(SupervisorError, ValueError):
    """JSON cannot carry the value, or the document would be too large; the message has the path and the way out."""


class PatchError(SupervisorError):
    """An operation of a JSON Patch doesn't fit the document. The document is as it was."""


class Rejected(SupervisorError):
    """Raise it in a handler to say no: changes are rolled back, the text is the answer, and it counts as no failure."""


class SessionRefused(SupervisorError):
    """Raise it in a hook to refuse a visitor, who sees the text.

    These hooks are `on_session_created`, `on_connection_opened` and `choose_session_id`.
    """


class HandlerFailed(SupervisorError):
    """Something failed, and only the log has the details: look there for the incident id in the message."""


class Unawaited(SupervisorError):
    """A coroutine was made and never awaited, so its work was not done. Put `await` before the call."""


class ProtocolError(SupervisorError):
    """The peer broke the rules of the wire; `code` is the websocket close code that ends its connection."""

    def __init__(self, message: str, *, code: int = 4400) -> None:
        super().__init__(message)
        self.code = code
        """The close code, one of `protocol.codes.CloseCode`."""


class InvalidMessage(ProtocolError):
    """One message's fields are wrong; the text names type and field. The connection goes on."""


class ApplicationError(SupervisorError):
    """An app can't be loaded or served. The message is one sentence: the app, the cause and the way out."""


class ConnectFailed(SupervisorError):
    """A client can't reach a session. The message is one sentence: the address and the cause."""


class PageRefused(ConnectFailed):
    """The server doesn't serve a session's page to this client. The message is the page's own sentence."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        retry_after: float | None = None,
        text: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP: 403 if the app doesn't let this client in, 404 if nothing is there, 503 if there is no room, …"""
        self.retry_after = retry_after
        """The server's `Retry-After`, in seconds; None if it sent none."""
        self.text = text
        """The page that was served instead: untrusted."""
        self.headers = headers
        """The answer's headers, by lower-case name."""


class SessionEnded(SupervisorError):
    """The session is over for this client: destroyed, refused, gone, or left. Connect again to get another one."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        """The close code, one of `docs/reference/wire.md`; None if the client itself has left."""
        self.reason = reason
        """A sentence that can be shown to people."""


class SendFailed(SupervisorError):
    """A client's message or edit was not done, or nobody knows whether it was. Each kind has its own class, below."""

    def __init__(self, text: str, *, kind: str, incident: str | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        """`rejected`, `invalid`, `conflict`, `failed`, `unknown` or `unsent`."""
        self.text = text
        """A text for people; for `rejected`, what the app said."""
        self.incident = incident
        """The id to look for in the server's log; only `failed` has one."""


class SendRejected(SendFailed, Rejected):
    """The app said no, and the text is its reason. Nothing was changed."""


class SendInvalid(SendFailed):
    """The app accepts no such message, or a field is wrong; the text names it. Nothing was changed."""


class SendConflict(SendFailed):
    """What the edit was to change has gone meanwhile. Look at the document, and edit what is there now."""


class SendIncident(SendFailed, HandlerFailed):
    """The app's code failed; the server's log has more under `incident`. Nothing was changed."""


class SendUnknown(SendFailed):
    """It was sent, and the connection was lost for good before the answer came: it may have been done."""


class SendUnsent(SendFailed):
    """It was never sent: the session has ended, too much waits already, or it is larger than the server accepts.

    Nothing was changed.
    """
