"""Handlers and applications: what makes sessions. An application is a list of handlers, each of which adds its part."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, final

from supervisor.actor.in_thread import threaded_by_host
from supervisor.actor.restart import FailurePolicy
from supervisor.application.hooks import check_signature, find_hooks
from supervisor.application.source import Source
from supervisor.errors import ApplicationError
from supervisor.session.receivers import Receiver, Receivers, receivers_in, receivers_of

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]*")


class Handler:
    """One step of making sessions, with one method per hook. Subclass it and override what you need.

    Each method but `name_connection` may be plain or `async`; what it returns is awaited if it can be. Load, created
    and opened hooks and `modify_document` are called in the order of an application's handlers, unload, destroyed and
    closed hooks in reverse. Of names and ids the first one counts that isn't None.
    """

    receivers: Iterable[Receiver | Callable[..., Any]] = ()
    """The message handlers that this handler brings: functions that `@receives` has marked."""
    directory: Path | None = None
    """Where its `templates/` and `static/` are, if it has any."""
    warnings: Iterable[str] = ()
    """What looks wrong in it, a sentence each, for its author."""
    failure_policy: FailurePolicy | None = None
    """What follows when a session's code fails. Of an application's handlers the first counts that has one."""
    description: str = ""
    """What it is, in one line, for the list of applications."""

    def on_application_load(self, app_context: Any) -> Any:
        """Called once, before the first session. If it raises, or is late, the application has failed."""

    def on_application_unload(self, app_context: Any) -> Any:
        """Called once, after the last session, if the load hook succeeded. What it raises is reported."""

    def on_session_created(self, session_context: Any) -> Any:
        """Called once per session, before its document is built, which is empty.

        It refuses the session by `SessionRefused(text)`, `PermissionError` or `session_context.destroy()`. Anything
        else that it raises is a failure: the visitor gets 500, and there is no session.
        """

    def on_session_destroyed(self, session_context: Any) -> Any:
        """Called once per session that the created hook accepted; the document can still be read."""

    def on_session_failed(self, session_context: Any, error: BaseException) -> Any:
        """Called once for each failure of a session's own code, before what the failure policy says is done.

        That is of a handler, callback, change listener, edit function, background task, opened or closed hook. It has
        been rolled back and reported by then; this is a transaction of its own, and holds the document. What this
        raises is only reported.
        """

    def modify_document(self, doc: Any) -> Any:
        """Called once per session to fill its document. If it raises, the visitor gets 500.

        Called again when the session is restarted, with the document as the created hooks had left it.
        """

    def on_connection_opened(self, session_context: Any, connection: Any) -> Any:
        """Called before each attach, also of a client that comes back; holds the document.

        `SessionRefused(text)` refuses the connection. Anything else that it raises is reported, and the client tries
        again later. `connection.request` is that connection's own, and untrusted.
        """

    def on_connection_closed(self, session_context: Any, connection: Any) -> Any:
        """Called once for each connection that the opened hook let in, when it is over; holds the document."""

    def name_connection(self, request: Any) -> Any:
        """Called before each attach: the name that others see for whoever sent this request, or None. Plain."""

    def choose_session_id(self, request: Any) -> Any:
        """Called for a page that names no session: which one it gets, or None for a new one of its own."""

    def on_callback_failed(self, app_context: Any, callback: Any, error: BaseException) -> Any:
        """Called once for each failure of a producer, or of a periodic, timeout or next-tick callback of `app_context`.

        `callback` is what the adder returned, and `error` what it raised; the log has it already. This runs in the task
        of what failed, so only that waits: a producer before its pause, or the application's callbacks. What this
        raises is reported.
        """

    def has_hook(self, name: str) -> bool:
        """Whether this hook is more than the one that does nothing; so nothing is waited for where there is none."""
        return name in vars(self) or getattr(type(self), name) is not getattr(Handler, name)

    def find_hook(self, name: str) -> Callable[..., Any] | None:
        """What is called for this hook, for those who want to know where it is; None if there is nothing to call."""
        return getattr(self, name) if self.has_hook(name) else None


@final
class FunctionHandler(Handler):
    """A handler from a function: `FunctionHandler(modify_document)`.

    Args:
        modify_document: called with each new document; plain or `async`.
        receivers: the message handlers that come with it: functions that `@receives` has marked.

    Raises:
        ApplicationError: the function can't be called with one argument.
    """

    def __init__(self, modify_document: Callable[[Any], Any], *, receivers: Iterable[Callable[..., Any]] = ()) -> None:
        name = getattr(modify_document, "__qualname__", repr(modify_document))
        check_signature(modify_document, "doc", where=getattr(modify_document, "__module__", "?"), name=name)
        self._modify_document = threaded_by_host(modify_document)
        self.description = first_line(modify_document)
        self.receivers = list(receivers)

    def modify_document(self, doc: Any) -> Any:
        """See `Handler.modify_document`."""
        return self._modify_document(doc)

    def find_hook(self, name: str) -> Callable[..., Any] | None:
        """See `Handler.find_hook`."""
        return self._modify_document if name == "modify_document" else None

    def __repr__(self) -> str:
        return f"FunctionHandler({self._modify_document!r})"


@final
class NamespaceHandler(Handler):
    """A handler from a module's namespace: hooks and `modify_document` by name, message handlers by their mark."""

    def __init__(
        self,
        namespace: Mapping[str, object],
        *,
        where: str,
        modify_document: Callable[[Any], Any] | None = None,
        hooks_only: bool = False,
        directory: Path | None = None,
    ) -> None:
        self._hooks, self.warnings = find_hooks(namespace, where)
        self._where = where
        self.directory = directory
        self.description = first_line(modify_document) or first_line(namespace)
        self.receivers = () if hooks_only else receivers_in(namespace)
        self.failure_policy = _policy_in(namespace, where)
        self.warnings = [*self.warnings, *_nearly_a_policy(namespace, where)]
        self._modify_document: Callable[[Any], Any] | None = None
        if hooks_only:
            self.warnings = [*self.warnings, *_misplaced(namespace, where)]
        else:
            found = modify_document or namespace.get("modify_document")
            if found is not None:
                if not callable(found):
                    raise ApplicationError(
                        f"{where}: modify_document is not a function; write `def modify_document(doc)`"
                    )
                check_signature(found, "doc", where=where, name=getattr(found, "__name__", "modify_document"))
                self._modify_document = threaded_by_host(found)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an app was found in the namespace."""
        return not self._hooks and self._modify_document is None and not self.receivers

    def has_hook(self, name: str) -> bool:
        """See `Handler.has_hook`."""
        return self._modify_document is not None if name == "modify_document" else name in self._hooks

    def find_hook(self, name: str) -> Callable[..., Any] | None:
        """See `Handler.find_hook`."""
        return self._modify_document if name == "modify_document" else self._hooks.get(name)

    def _call(self, hook: str, *arguments: Any) -> Any:
        func = self._hooks.get(hook)
        return None if func is None else func(*arguments)

    def on_application_load(self, app_context: Any) -> Any:
        """See `Handler.on_application_load`."""
        return self._call("on_application_load", app_context)

    def on_application_unload(self, app_context: Any) -> Any:
        """See `Handler.on_application_unload`."""
        return self._call("on_application_unload", app_context)

    def on_session_created(self, session_context: Any) -> Any:
        """See `Handler.on_session_created`."""
        return self._call("on_session_created", session_context)

    def on_session_destroyed(self, session_context: Any) -> Any:
        """See `Handler.on_session_destroyed`."""
        return self._call("on_session_destroyed", session_context)

    def on_session_failed(self, session_context: Any, error: BaseException) -> Any:
        """See `Handler.on_session_failed`."""
        return self._call("on_session_failed", session_context, error)

    def modify_document(self, doc: Any) -> Any:
        """See `Handler.modify_document`."""
        return None if self._modify_document is None else self._modify_document(doc)

    def on_connection_opened(self, session_context: Any, connection: Any) -> Any:
        """See `Handler.on_connection_opened`."""
        return self._call("on_connection_opened", session_context, connection)

    def on_connection_closed(self, session_context: Any, connection: Any) -> Any:
        """See `Handler.on_connection_closed`."""
        return self._call("on_connection_closed", session_context, connection)

    def name_connection(self, request: Any) -> Any:
        """See `Handler.name_connection`."""
        return self._call("name_connection", request)

    def choose_session_id(self, request: Any) -> Any:
        """See `Handler.choose_session_id`."""
        return self._call("choose_session_id", request)

    def on_callback_failed(self, app_context: Any, callback: Any, error: BaseException) -> Any:
        """See `Handler.on_callback_failed`."""
        return self._call("on_callback_failed", app_context, callback, error)

    def __repr__(self) -> str:
        return f"NamespaceHandler({self._where!r})"


def _policy_in(namespace: Mapping[str, object], where: str) -> FailurePolicy | None:
    try:
        return _checked_policy(namespace.get("failure_policy"))
    except TypeError as error:
        raise ApplicationError(f"{where}: {error}") from None


def _nearly_a_policy(namespace: Mapping[str, object], where: str) -> list[str]:
    near = difflib.get_close_matches("failure_policy", [name for name in namespace if name != "failure_policy"])
    return [
        f"{where}: {name} is never looked at; did you mean failure_policy?"
        for name in near
        if isinstance(namespace[name], FailurePolicy) and "failure_policy" not in namespace
    ]


def _checked_policy(policy: object) -> FailurePolicy | None:
    if policy is None or isinstance(policy, FailurePolicy):
        return policy
    raise TypeError(f'failure_policy must be a FailurePolicy, as in FailurePolicy(directive="restart"), not {policy!r}')


def _misplaced(namespace: Mapping[str, object], where: str) -> list[str]:
    """What stands in a file of hooks and is only looked for in main.py; what it imports from there is no mistake."""
    found = {"modify_document": namespace.get("modify_document")}
    found |= {receiver.func.__name__: receiver.func for receiver in receivers_in(namespace)}
    own = [
        name
        for name, func in found.items()
        if func is not None and getattr(func, "__module__", None) == namespace.get("__name__")
    ]
    return [f"{where}: {name} is never called, since it is not in main.py; move it there" for name in own]


@final
class Application:
    """What is served under one name: handlers, in order.

    Args:
        handlers: one or several; their hooks are called in this order, or in its reverse: see `Handler`.
        name: the last part of its URL: letters, digits and `. _ ~ -`.
        failure_policy: what follows when a session's code fails; None for the policy of the first handler that has one,
            and if none has, to resume.

    Raises:
        TypeError: something among the handlers is no `Handler`, a message handler is not marked with `@receives`, or
            the failure policy is no `FailurePolicy`.
        ValueError: the name isn't made of these characters.
        ApplicationError: two functions receive one class of messages, or clients may send two classes of one name.
    """

    def __init__(
        self, handlers: Iterable[Handler] | Handler, *, name: str, failure_policy: FailurePolicy | None = None
    ) -> None:
        self.handlers: tuple[Handler, ...] = (handlers,) if isinstance(handlers, Handler) else tuple(handlers)
        """What it is made of, in the order in which they are asked."""
        for handler in self.handlers:
            if not isinstance(handler, Handler):
                raise TypeError(f"an application must be made of Handler objects, not {handler!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"an application's name may have only letters, digits and . _ ~ -, not {name!r}; rename it"
            )
        self.name = name
        """The last part of its URL."""
        self.source: Source | None = None
        """What it was loaded from; None if it was made by hand."""
        self.load_error: ApplicationError | None = None
        """Why its code could not be loaded, if this only stands in for it; see `stand_in.load_all`."""
        self.receivers = Receivers(
            _checked(receiver) for handler in self.handlers for receiver in receivers_of(handler.receivers)
        )
        """Its message handlers, by the type of message."""
        policies = [failure_policy, *(handler.failure_policy for handler in self.handlers)]
        self.failure_policy = next(filter(None, map(_checked_policy, policies)), FailurePolicy())
        """What follows when a session's code fails."""

    async def on_application_load(self, app_context: Any) -> None:
        """Call all handlers' load hooks, in order.

        This and the methods below are for code that drives an application by hand, without a server. They wait for each
        hook and stop at the first that raises. A server calls the hooks one by one, each under its deadline.
        """
        for handler in self.handlers:
            await _finish(handler.on_application_load(app_context))

    async def on_application_unload(self, app_context: Any) -> None:
        """Call all handlers' unload hooks, in reverse order."""
        for handler in reversed(self.handlers):
            await _finish(handler.on_application_unload(app_context))

    async def on_session_created(self, session_context: Any) -> None:
        """Call all handlers' created hooks, in order."""
        for handler in self.handlers:
            await _finish(handler.on_session_created(session_context))

    async def modify_document(self, doc: Any) -> None:
        """Build a document by all handlers, in order."""
        for handler in self.handlers:
            await _finish(handler.modify_document(doc))

    async def on_session_destroyed(self, session_context: Any) -> None:
        """Call all handlers' destroyed hooks, in reverse order."""
        for handler in reversed(self.handlers):
            await _finish(handler.on_session_destroyed(session_context))

    async def on_session_failed(self, session_context: Any, error: BaseException) -> None:
        """Call all handlers' failed hooks, in order."""
        for handler in self.handlers:
            await _finish(handler.on_session_failed(session_context, error))

    async def on_connection_opened(self, session_context: Any, connection: Any) -> None:
        """Call all handlers' opened hooks, in order."""
        for handler in self.handlers:
            await _finish(handler.on_connection_opened(session_context, connection))

    async def on_connection_closed(self, session_context: Any, connection: Any) -> None:
        """Call all handlers' closed hooks, in reverse order."""
        for handler in reversed(self.handlers):
            await _finish(handler.on_connection_closed(session_context, connection))

    def name_connection(self, request: Any) -> Any:
        """The first name that a handler gives, or None."""
        return next((name for handler in self.handlers if (name := handler.name_connection(request)) is not None), None)

    async def choose_session_id(self, request: Any) -> Any:
        """The first id that a handler gives, or None."""
        for handler in self.handlers:
            id = await _finish(handler.choose_session_id(request))
            if id is not None:
                return id
        return None

    async def on_callback_failed(self, app_context: Any, callback: Any, error: BaseException) -> None:
        """Call all handlers' hooks for a failed callback, in order."""
        for handler in self.handlers:
            await _finish(handler.on_callback_failed(app_context, callback, error))

    @property
    def directory(self) -> Path | None:
        """Where the app's templates and static files are: that of the first handler which has one."""
        return next((handler.directory for handler in self.handlers if handler.directory is not None), None)

    @property
    def description(self) -> str:
        """What it is, in one line: that of the last handler which has one, so that `main.py` speaks for its hooks."""
        return next((handler.description for handler in reversed(self.handlers) if handler.description), "")

    @property
    def warnings(self) -> list[str]:
        """What looks wrong in it, a sentence each."""
        return [warning for handler in self.handlers for warning in handler.warnings]

    def __repr__(self) -> str:
        return f"Application({list(self.handlers)!r}, name={self.name!r})"


def _checked(receiver: Receiver) -> Receiver:
    """A message handler that can be called."""
    func = receiver.func
    code = getattr(func, "__code__", None)
    where = getattr(func, "__module__", "?") if code is None else code.co_filename
    check_signature(func, "doc", "message", where=where, name=getattr(func, "__name__", repr(func)))
    return receiver


def first_line(documented: object) -> str:
    """The first line of the docstring of a function, or of a module's namespace; empty if there is none."""
    if documented is None:  # which has a docstring itself, from Python 3.13 on
        return ""
    found = documented.get("__doc__") if isinstance(documented, Mapping) else getattr(documented, "__doc__", None)
    return found.strip().partition("\n")[0].strip() if isinstance(found, str) else ""


async def _finish(result: Any) -> Any:
    """Await what an author's function returned, if that can be awaited."""
    return await result if hasattr(result, "__await__") else result
