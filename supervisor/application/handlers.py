"""Handlers and applications: what makes sessions. An application is a list of handlers, each of which adds its part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, final

from supervisor.application.hooks import check_signature, find_hooks
from supervisor.errors import ApplicationError
from supervisor.session.receivers import Receiver, Receivers, receivers_in

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]*")


class Handler:
    """One step of making sessions, with one method per hook. Subclass it and override what you need.

    Each method may be plain or `async`; what it returns is awaited if it can be. Load and created hooks and
    `modify_document` are called in the order of an application's handlers, unload and destroyed hooks in reverse.
    """

    receivers: Iterable[Receiver] = ()
    """The message handlers that this handler brings."""
    directory: Path | None = None
    """Where its `templates/` and `static/` are, if it has any."""
    warnings: Iterable[str] = ()
    """What looks wrong in it, a sentence each, for its author."""

    def on_application_load(self, app_context: Any) -> Any:
        """Called once, before the first session."""

    def on_application_unload(self, app_context: Any) -> Any:
        """Called once, after the last session, if the load hook succeeded."""

    def on_session_created(self, session_context: Any) -> Any:
        """Called once per session, before its document is built, which is empty; may refuse the session."""

    def on_session_destroyed(self, session_context: Any) -> Any:
        """Called once per session that the created hook accepted; the document can still be read."""

    def modify_document(self, doc: Any) -> Any:
        """Called once per session: put into the document what it begins with."""


@final
class FunctionHandler(Handler):
    """A handler from a function: `FunctionHandler(modify_document)`."""

    def __init__(self, modify_document: Callable[[Any], Any], *, receivers: Iterable[Receiver] = ()) -> None:
        name = getattr(modify_document, "__qualname__", repr(modify_document))
        check_signature(modify_document, "doc", where=getattr(modify_document, "__module__", "?"), name=name)
        self._modify_document = modify_document
        self.receivers = list(receivers)

    def modify_document(self, doc: Any) -> Any:
        """See `Handler.modify_document`."""
        return self._modify_document(doc)

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
        self.receivers = () if hooks_only else receivers_in(namespace)
        self._modify_document: Callable[[Any], Any] | None = None
        if not hooks_only:
            found = modify_document or namespace.get("modify_document")
            if found is not None:
                if not callable(found):
                    raise ApplicationError(f"{where}: modify_document is no function; write `def modify_document(doc)`")
                check_signature(found, "doc", where=where, name=getattr(found, "__name__", "modify_document"))
                self._modify_document = found

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an app was found in the namespace."""
        return not self._hooks and self._modify_document is None and not self.receivers

    def _call(self, hook: str, argument: Any) -> Any:
        func = self._hooks.get(hook)
        return None if func is None else func(argument)

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

    def modify_document(self, doc: Any) -> Any:
        """See `Handler.modify_document`."""
        return None if self._modify_document is None else self._modify_document(doc)

    def __repr__(self) -> str:
        return f"NamespaceHandler({self._where!r})"


@final
class Application:
    """What is served under one name: handlers, in order."""

    def __init__(self, handlers: Iterable[Handler] | Handler, *, name: str) -> None:
        self.handlers: tuple[Handler, ...] = (handlers,) if isinstance(handlers, Handler) else tuple(handlers)
        for handler in self.handlers:
            if not isinstance(handler, Handler):
                raise TypeError(f"an application is made of Handler objects, not {handler!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"an application's name is made of letters, digits and . _ ~ -, not {name!r}; rename it")
        self.name = name
        """The last part of its URL."""
        self.receivers = Receivers(receiver for handler in self.handlers for receiver in handler.receivers)

    async def on_application_load(self, app_context: Any) -> None:
        """Call all handlers' load hooks, in order.

        This and the methods below are for who drives an application by hand, without a server. They wait for each hook
        and stop at the first that raises. A server calls the handlers' hooks one by one, each under its deadline.
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

    @property
    def directory(self) -> Path | None:
        """Where the app's templates and static files are: that of the first handler which has one."""
        return next((handler.directory for handler in self.handlers if handler.directory is not None), None)

    @property
    def warnings(self) -> list[str]:
        """What looks wrong in it, a sentence each."""
        return [warning for handler in self.handlers for warning in handler.warnings]

    def __repr__(self) -> str:
        return f"Application({list(self.handlers)!r}, name={self.name!r})"


async def _finish(result: Any) -> None:
    """Await what an author's function returned, if that can be awaited."""
    if hasattr(result, "__await__"):
        await result
