"""The app that a test names, as an application."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from supervisor.application.handlers import Application, FunctionHandler, Handler
from supervisor.application.loading import load_application, own_part_of
from supervisor.errors import ApplicationError

App = str | PathLike[str] | Application | Handler | Callable[[Any], Any]
"""A path or module as for `serve`, a function `modify_document(doc)`, a `Handler`, or an `Application`."""


class Messages(SimpleNamespace):
    """The classes of messages that an app handles, by name."""

    def __getattr__(self, name: str) -> NoReturn:
        """What is asked for what is none of them."""
        raise AttributeError(f"the app handles no message {name!r}; it handles {', '.join(vars(self)) or 'none'}")


def messages_of(application: Application) -> Messages:
    """Those that this application handles."""
    return Messages(**{cls.__name__: cls for cls in application.receivers.by_type})


def application_of(app: App) -> Application:
    """The application; loaded, if it is named by where it is.

    Raises:
        ApplicationError: it can't be loaded.
        TypeError: no app is named by such a thing.
    """
    __tracebackhide__ = True  # pytest shows what the app raised, not how it came here
    if isinstance(app, Application):
        return app
    if isinstance(app, Handler):
        return Application(app, name="app")
    if isinstance(app, (str, PathLike)):
        try:
            return load_application(fspath(app))
        except ApplicationError as error:
            own_part_of(error)  # cuts its cause's traceback down to the app's own code
            if str(error).startswith("there is no app at") and not Path(app).is_absolute():
                error.add_note(
                    f"paths count from {Path.cwd()}, where the tests were started; "
                    "Path(__file__).parent / … counts from the test's own file"
                )
            raise error.with_traceback(None) from error.__cause__
    if not callable(app):
        raise TypeError(
            "an app must be a path, a module's name, a function modify_document(doc), a Handler or an Application, "
            f"not {app!r}"
        )
    name = getattr(app, "__name__", "")
    return Application(FunctionHandler(app), name=name if name.isidentifier() else "app")  # a lambda's is none
