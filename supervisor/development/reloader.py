"""The reloader: when files of an app change, its new code takes the place of the old, or its pages are loaded anew.

Essay: the order of a replacement. The changed code is executed first, while the old application goes on: most mistakes
show here, and cost nothing but a notice. Then the old application ends, with its sessions and hooks and under the
deadlines of a shutdown, and only then are the load hooks of the new one called. Never both at once: what a load hook
holds, such as a port, a lock or a place in a queue, is free when the next one wants it, and an app sees the same order
here as at a restart. The price is paid when a new load hook fails: the old application is loaded again, but its
sessions are new ones too. If that fails as well, pages say so until the files change again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol, final

import attrs
import trio

from supervisor.application.actor import ApplicationActor
from supervisor.application.handlers import Application
from supervisor.application.loading import own_part_of
from supervisor.application.reloading import Reload
from supervisor.development.watcher import watch
from supervisor.errors import ApplicationError
from supervisor.instruments import Incident, Instruments
from supervisor.session.connection import Ending
from supervisor.transport.development import DevelopedApp, Development

REPLACED = Ending(kind="replaced", reason="the application's code has changed")
"""The end of a session whose application gives its place to another one."""


class Watch(Protocol):
    """See `watcher.watch`."""

    async def __call__(
        self, directories: Collection[Path], *, recursive: bool, since: float, tell: Callable[[set[Path]], None]
    ) -> None:
        """Tell of changed files until it is cancelled, those that have changed `since` then included."""


@final
@attrs.frozen(kw_only=True)
class Places:
    """What the reloader needs of the server: the names that applications are served under."""

    applications: Mapping[str, ApplicationActor]
    """Who has each name now."""
    check: Callable[[Application], object]
    """Raises `ApplicationError` if an application can't be served."""
    install: Callable[[Application], ApplicationActor]
    """Gives the name to an application that has not begun to run; requests go there from now on."""


@final
class Reloader:
    """One for each development server. `run` is its life."""

    def __init__(
        self,
        places: Places,
        development: Development,
        *,
        instruments: Instruments,
        new_incident_id: Callable[[], str],
        shutdown_timeout: float,
        changed_since: float,
        watch: Watch = watch,
    ) -> None:
        """`changed_since` is when the apps began to be loaded, as files have times."""
        self._places = places
        self._development = development
        self._instruments = instruments
        self._new_incident_id = new_incident_id
        self._shutdown_timeout = shutdown_timeout
        self._changed_since = changed_since
        self._watch = watch
        # Files of code that have changed and were not looked at yet, by the application's name.
        self._changed: dict[str, set[Path]] = {}
        self._something_changed = trio.Event()

    async def run(self, applications: trio.Nursery) -> None:
        """Watch and replace until it is cancelled. New applications run in that nursery."""
        async with trio.open_nursery() as nursery:
            sources = [each.definition.source for each in self._places.applications.values()]
            for alone in (True, False):
                roots = {source.root for source in sources if source is not None and (source.file is None) == alone}
                if roots:
                    nursery.start_soon(self._watch_directories, roots, alone)
            while True:
                await self._something_changed.wait()
                self._something_changed = trio.Event()
                changed, self._changed = self._changed, {}
                for name, files in changed.items():
                    await self._reload(name, files, applications)

    async def _watch_directories(self, directories: Collection[Path], recursive: bool) -> None:
        await self._watch(directories, recursive=recursive, since=self._changed_since, tell=self.note)

    def note(self, files: set[Path]) -> None:
        """Files have changed: pages follow at once, code when its turn comes."""
        for name, actor in self._places.applications.items():
            source = actor.definition.source
            if source is None:
                continue
            concerns = {file: source.concern_of(file) for file in files}
            code = {file for file, concern in concerns.items() if concern == "code" and self._counts(name, file)}
            pages = {file for file, concern in concerns.items() if concern == "page"}
            if code or pages:
                self._instruments.application_changed(application=name, files=_names(code | pages, source.root))
            if code:
                self._changed.setdefault(name, set()).update(code)
                self._something_changed.set()
            elif pages:
                self._development.apps[name].pages_changed()

    def _counts(self, name: str, file: Path) -> bool:
        """Whether the code in a file is the app's. In a directory that it shares, only what it has imported is.

        While its code can't be loaded any file may be the one that it wants.
        """
        actor = self._places.applications[name]
        source = actor.definition.source
        assert source is not None
        is_broken = self._development.apps[name].problem is not None or actor.failure is not None
        if source.file is None or file == source.file or is_broken:
            return True
        return file in Reload(source).files

    async def _reload(self, name: str, files: set[Path], applications: trio.Nursery) -> None:
        actor, app = self._places.applications[name], self._development.apps[name]
        source = actor.definition.source
        assert source is not None
        reload = Reload(source)
        try:
            new = reload.load(files)
            self._places.check(new)
        except (Exception, SystemExit) as error:
            reload.undo()
            self._report(name, error)
            is_down = app.is_down or actor.failure is not None
            app.failed(error, "Nothing is served meanwhile." if is_down else "The code from before goes on.")
            return
        for warning in new.warnings:
            self._instruments.application_warned(application=name, warning=warning)
        app.begin_replacing(session.id for session in actor.snapshot())
        is_down = True
        try:
            actor.stop(deadline=trio.current_time() + self._shutdown_timeout, ending=REPLACED)
            await actor.wait_unloaded()
            is_down = await self._start_one_of(new, actor.definition, reload, app, applications)
        finally:
            app.replaced(is_down=is_down)

    async def _start_one_of(
        self, new: Application, old: Application, reload: Reload, app: DevelopedApp, applications: trio.Nursery
    ) -> bool:
        """Start the new application, or else the old one again; True if neither could be loaded."""
        try:
            await self._start(new, applications)
        except ApplicationError as error:
            reload.undo()
            try:
                if old.load_error is not None:  # there is no code from before
                    raise old.load_error
                await self._start(old, applications)
            except ApplicationError:
                meanwhile = "The code from before could not be loaded again either, so nothing is served."
                app.failed(error, meanwhile)
                return True
            app.failed(error, "The code from before was loaded again, and its sessions are new ones.")
        else:
            reload.keep()
            app.mended()
        return False

    async def _start(self, application: Application, applications: trio.Nursery) -> None:
        """Start it; what its load hooks raise was reported by itself."""
        await self._places.install(application).start(applications)

    def _report(self, name: str, error: BaseException) -> None:
        """Report what the app's code raised."""
        cause = own_part_of(error)
        id, what = self._new_incident_id(), "loading the changed code"
        self._instruments.failed(Incident(id=id, application=name, session="-", what=what, error=cause))


def _names(files: set[Path], root: Path) -> str:
    """Files for a log line, relative to the app's directory."""
    shown = sorted(str(file.relative_to(root)) if file.is_relative_to(root) else str(file) for file in files)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
