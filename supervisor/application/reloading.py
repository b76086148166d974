"""Loading an app's changed code: fresh modules, or the old ones again if that fails.

Essay: an app's directory is a package under a new private name each time, so its own modules are always fresh. Modules
that it imports by an absolute name from its surroundings, or that make up a module app, are found in `sys.modules`. So
these are removed before loading, and put back if the new code can't be loaded. Bytecode of changed files is removed:
Python compares times in whole seconds, and would use old bytecode for a file that was saved twice within a second.
"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import final

from supervisor.application.handlers import Application
from supervisor.application.loading import PRIVATE, load_application
from supervisor.application.source import Source
from supervisor.errors import ApplicationError


@final
class Reload:
    """One attempt to load an app again: `load`, and then either `keep` or `undo`, also if `load` raised."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._old = _modules_of(source)

    @property
    def files(self) -> set[Path]:
        """The files of the modules that the app consists of now."""
        files = (getattr(module, "__file__", None) for module in self._old.values())
        return {Path(file).resolve() for file in files if isinstance(file, str)}

    def load(self, changed: Iterable[Path] = ()) -> Application:
        """The app as its files are now. It holds the thread up for as long as the app's code takes to be executed.

        In the thread that serves, on purpose: what an app makes when it is loaded, such as a connection of `sqlite3`,
        may belong to the thread that made it.

        Raises:
            ApplicationError: the app isn't there, doesn't compile, raises, or has another name now.
        """
        for file in changed:
            Path(importlib.util.cache_from_source(file)).unlink(missing_ok=True)
        importlib.invalidate_caches()
        linecache.checkcache()
        for name in self._old:
            if not name.startswith(PRIVATE):
                del sys.modules[name]
        application = load_application(self._source.app, name=self._source.name)
        if application.name != self._source.name:
            raise ApplicationError(
                f"the app {self._source.name!r} is named {application.name!r} now; restart the server to serve it under"
                " that name"
            )
        return application

    def keep(self) -> None:
        """The new code is in use: forget the old modules."""
        for name, module in self._old.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]

    def undo(self) -> None:
        """The old code goes on: forget the new modules, and have the old ones back."""
        for name in _modules_of(self._source):
            if name not in self._old:
                del sys.modules[name]
        sys.modules.update(self._old)


def _modules_of(source: Source) -> dict[str, ModuleType]:
    return {name: module for name, module in list(sys.modules.items()) if _is_part(name, module, source)}


def _is_part(name: str, module: ModuleType, source: Source) -> bool:
    if name.startswith(PRIVATE):  # of this app, and not of one in a directory below
        top = sys.modules.get(name.partition(".")[0])
        if source.file is not None:
            return getattr(top, "__file__", None) == str(source.file)
        return list(getattr(top, "__path__", ())) == [str(source.root)]
    file = getattr(module, "__file__", None)
    return name != "__main__" and isinstance(file, str) and source.holds(Path(file).resolve())
