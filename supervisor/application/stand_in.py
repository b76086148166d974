"""Loading several apps: one that can't be loaded doesn't keep the others from being served.

Essay: the stand-in. An app whose code can't be loaded is served all the same, as an `Application` with only its name
and its source, which fails like one whose load hook raises. So there is one kind of failed application, with one page,
one line in the log, and one way back under development.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import final

from supervisor.application.handlers import Application, Handler
from supervisor.application.loading import load_application
from supervisor.application.source import Source
from supervisor.errors import ApplicationError

Loadable = Application | str | PathLike[str]
"""An application, or what `load_application` takes."""


@final
class _Absent(Handler):
    """The handler of an app that isn't there: it knows where its templates and static files would be."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory


def load_all(apps: Iterable[Loadable], check: Callable[[Application], object]) -> list[Application]:
    """Load apps. One that can't be loaded, or that `check` refuses, is there by a stand-in, with its `load_error`.

    Raises:
        ApplicationError: none of them can be served.
    """
    applications = [_load(app, check) for app in apps]
    errors = [each.load_error for each in applications if each.load_error is not None]
    if errors and len(errors) == len(applications):
        raise one_of(errors)
    return applications


def one_of(errors: Sequence[ApplicationError]) -> ApplicationError:
    """The error itself where there is only one; else one that tells them all: no application can be served."""
    if len(errors) == 1:
        return errors[0]
    return ApplicationError(f"no application can be served: {'; '.join(str(error) for error in errors)}")


def _load(app: Loadable, check: Callable[[Application], object]) -> Application:
    if not isinstance(app, Application):
        path = fspath(app)
        try:
            app = load_application(path)
        except ApplicationError as error:
            source = _source_of(path)
            return _stand_in(source.name, source, source.root if Path(path).is_dir() else None, error)
    try:
        check(app)
    except ApplicationError as error:
        return _stand_in(app.name, app.source, app.directory, error)
    return app


def _stand_in(name: str, source: Source | None, directory: Path | None, error: ApplicationError) -> Application:
    stand_in = Application(_Absent(directory), name=name)
    stand_in.source = source
    stand_in.load_error = error
    return stand_in


def _source_of(app: str) -> Source:
    """Where an app would be, and what it would be called, without executing any of it."""
    path = Path(app)
    if path.is_dir():
        return Source(app=str(path.absolute()), name=_as_name(path.resolve().name), root=path.resolve())
    if path.suffix == ".py":
        file = path.resolve()
        return Source(app=str(path.absolute()), name=_as_name(path.stem), root=file.parent, file=file)
    module, _, attribute = app.partition(":")
    name = _as_name(attribute or module.rpartition(".")[2])
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])  # which executes nothing, as long as there is no dot
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return Source(app=app, name=name, root=Path(next(iter(spec.submodule_search_locations))).resolve())
    if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
        file = Path(spec.origin).resolve()
        return Source(app=app, name=name, root=file.parent, file=file)
    return Source(app=app, name=name, root=Path().resolve(), file=Path(f"{module}.py").resolve())


def _as_name(name: str) -> str:
    """A name that can be part of an address, where the app's own can't."""
    return re.sub(r"^[^A-Za-z0-9_]+|[^A-Za-z0-9._~-]", "-", name).lstrip("-.~") or "app"
