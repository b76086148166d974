"""Live, stateful web apps in Python: every session is a supervised trio actor that owns its document.

What an app's author needs is here; `supervisor.testing` has the kit for tests.
"""

from typing import TYPE_CHECKING

from supervisor._lazy import lazy_names
from supervisor._version import __version__ as __version__

if TYPE_CHECKING:
    from supervisor.actor.callbacks import CallbackHandle as CallbackHandle
    from supervisor.actor.in_thread import in_thread as in_thread
    from supervisor.actor.restart import Backoff as Backoff
    from supervisor.actor.restart import FailurePolicy as FailurePolicy
    from supervisor.actor.story import StoryEntry as StoryEntry
    from supervisor.application.broadcast import BroadcastReport as BroadcastReport
    from supervisor.application.broadcast import UpdateReport as UpdateReport
    from supervisor.application.context import ApplicationContext as ApplicationContext
    from supervisor.application.context import Sessions as Sessions
    from supervisor.application.handlers import Application as Application
    from supervisor.application.handlers import FunctionHandler as FunctionHandler
    from supervisor.application.handlers import Handler as Handler
    from supervisor.application.loading import load_application as load_application
    from supervisor.application.options import ApplicationOptions as ApplicationOptions
    from supervisor.application.producers import Producer as Producer
    from supervisor.errors import ActorGone as ActorGone
    from supervisor.errors import ApplicationError as ApplicationError
    from supervisor.errors import DeadlockError as DeadlockError
    from supervisor.errors import DocumentNotHeld as DocumentNotHeld
    from supervisor.errors import HandlerFailed as HandlerFailed
    from supervisor.errors import InvalidValue as InvalidValue
    from supervisor.errors import MailboxFull as MailboxFull
    from supervisor.errors import Rejected as Rejected
    from supervisor.errors import SessionGone as SessionGone
    from supervisor.errors import SessionRefused as SessionRefused
    from supervisor.errors import SupervisorError as SupervisorError
    from supervisor.errors import Unawaited as Unawaited
    from supervisor.identity import KeyRing as KeyRing
    from supervisor.instruments import Incident as Incident
    from supervisor.instruments import Instruments as Instruments
    from supervisor.server import Server as Server
    from supervisor.server_options import ServerOptions as ServerOptions
    from supervisor.session.changes import Change as Change
    from supervisor.session.connection import ConnectionContext as ConnectionContext
    from supervisor.session.context import Document as Document
    from supervisor.session.context import SessionContext as SessionContext
    from supervisor.session.editing import Edit as Edit
    from supervisor.session.receivers import receives as receives
    from supervisor.session.request import Request as Request
    from supervisor.transport.head import HttpLimits as HttpLimits
    from supervisor.transport.websocket_options import WebSocketOptions as WebSocketOptions
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "supervisor.actor.callbacks": "CallbackHandle",
            "supervisor.actor.in_thread": "in_thread",
            "supervisor.actor.restart": "Backoff FailurePolicy",
            "supervisor.actor.story": "StoryEntry",
            "supervisor.application.broadcast": "BroadcastReport UpdateReport",
            "supervisor.application.context": "ApplicationContext Sessions",
            "supervisor.application.handlers": "Application FunctionHandler Handler",
            "supervisor.application.loading": "load_application",
            "supervisor.application.options": "ApplicationOptions",
            "supervisor.application.producers": "Producer",
            "supervisor.errors": "ActorGone ApplicationError DeadlockError DocumentNotHeld HandlerFailed InvalidValue "
            "MailboxFull Rejected SessionGone SessionRefused SupervisorError Unawaited",
            "supervisor.identity": "KeyRing",
            "supervisor.instruments": "Incident Instruments",
            "supervisor.server": "Server",
            "supervisor.server_options": "ServerOptions",
            "supervisor.session.changes": "Change",
            "supervisor.session.connection": "ConnectionContext",
            "supervisor.session.context": "Document SessionContext",
            "supervisor.session.editing": "Edit",
            "supervisor.session.receivers": "receives",
            "supervisor.session.request": "Request",
            "supervisor.transport.head": "HttpLimits",
            "supervisor.transport.websocket_options": "WebSocketOptions",
        },
    )
