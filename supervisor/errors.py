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
    ├── HandlerFailed         stands for a failure whose details only the log has
    ├── Unawaited             a coroutine was made and never awaited
    ├── ProtocolError         a peer broke the rules of the wire
    │   └── InvalidMessage    … in the fields of one message
    └── ApplicationError      an app can't be loaded or served; says why in one sentence

Whose fault it is: `MailboxFull`, `DeadlockError`, `DocumentNotHeld`, `InvalidValue`, `Unawaited` and
`ApplicationError` are raised at the app's code that caused them. `ProtocolError` is the peer's fault. `ActorGone` is
nobody's: sessions end. `Rejected` and `SessionRefused` are raised *by* an app's code and are no failures. A wait that
takes too long raises trio's own `TooSlowError`.
"""

from __future__ import annotations


class SupervisorError(Exception):
    """The root of this tree; catch it to catch all of ours."""


class MailboxFull(SupervisorError):
    """The mailbox has no room. Wait for room with `tell()`, or drop the message."""


class ActorGone(SupervisorError):
    """The actor has ended, so nothing will answer. Stop using its ref."""


class SessionGone(ActorGone):
    """The session has ended, so nothing will answer. Its context can be dropped."""


class DeadlockError(SupervisorError):
    """This wait would close a circle of waits, which the message names. Use `tell()` where no answer is needed."""


class DocumentNotHeld(SupervisorError):
    """The document was touched by a task that doesn't hold it. Borrow it with `locked_document()`, or `tell()`."""


class InvalidValue(SupervisorError, ValueError):
    """JSON cannot carry the value. The document is as it was; the message has the path and the way out."""


class PatchError(SupervisorError):
    """An operation of a JSON Patch doesn't fit the document. The document is as it was."""


class Rejected(SupervisorError):
    """Raise it in a handler to say no: changes are rolled back, the text is the answer, and it counts as no failure."""


class SessionRefused(SupervisorError):
    """Raise it in `on_session_created` to refuse a visitor; the visitor sees the text, with status 403."""


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
