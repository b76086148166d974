"""What pages know of their apps under `ServerOptions.dev`: the version that is served, what is wrong, what failed.

Essay: how an open page follows. Each page has the version of its app that it was made of; its `dev.js` listens to the
app's events, and loads the page anew when the version is another one. So a page is loaded once for each version,
however often it is told, and never in circles. A problem is shown over the page and changes no version: the code from
before goes on. While one application takes another's place, requests for its pages wait.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import final

import attrs
import trio

from supervisor.instruments import GuardedInstruments, Incident, Instruments
from supervisor.transport.tracebacks import in_short

PATIENCE = 10.0
"""Seconds that a request for a page waits for an application that is just taking another's place."""
_REMEMBERED_IDS = 1_000
_REMEMBERED_INCIDENTS = 20


@final
@attrs.frozen(kw_only=True)
class Problem:
    """What is wrong with the code as it is in the files now."""

    text: str
    """One sentence."""
    details: str
    """Where, in several lines; may be empty."""
    consequence: str
    """What is served meanwhile, in a sentence."""
    error: BaseException


@final
class DevelopedApp:
    """One application of a development server, as its pages see it."""

    def __init__(self, boot: str, root: Path) -> None:
        self._boot = boot
        self._root = root
        self._number = 0
        self.problem: Problem | None = None
        """What is wrong; None if the code could be loaded."""
        self.is_down = False
        """Whether there is no application at all, because no code of it could be loaded."""
        self._is_being_replaced = False
        self.changed = trio.Event()
        """Set at the next change of anything here, when another one takes its place."""
        # Ids of sessions that ended because their application was replaced; their pages may have them anew.
        self._ids: OrderedDict[str, None] = OrderedDict()

    @property
    def version(self) -> str:
        """Another one whenever open pages should be loaded anew; also after a restart of the server."""
        return f"{self._boot}.{self._number}"

    def pages_changed(self) -> None:
        """A template or a static file has changed."""
        self._number += 1
        self.tell()

    def begin_replacing(self, ids: Iterable[str]) -> None:
        """The application ends so that another one takes its place; these are its sessions."""
        self._is_being_replaced = True
        for id in ids:
            self._ids[id] = None
        while len(self._ids) > _REMEMBERED_IDS:
            self._ids.popitem(last=False)
        self.tell()

    def replaced(self, *, is_down: bool = False) -> None:
        """The place is taken, or can't be."""
        self._is_being_replaced = False
        self.is_down = is_down
        self._number += 1
        self.tell()

    def failed(self, error: BaseException, consequence: str) -> None:
        """The changed code can't be loaded. Its files are named as seen from the app's directory."""
        place = f"{self._root}{os.sep}"
        text, details = (each.replace(place, "") for each in (str(error), in_short(error)))
        self.problem = Problem(text=text, details=details, consequence=consequence, error=error)
        self.tell()

    def mended(self) -> None:
        """The changed code could be loaded."""
        self.problem = None
        self.tell()

    def may_return_to(self, id: str) -> bool:
        """Whether this was a session's id that a page may name though the session is gone."""
        return id in self._ids

    async def wait_ready(self) -> bool:
        """Wait until the place is taken, for a while; False if it is not. Safe to cancel."""
        with trio.move_on_after(PATIENCE):
            while self._is_being_replaced:
                await self.changed.wait()
        return not self._is_being_replaced

    def event(self) -> bytes:
        """The state as a server-sent event: `{"version":"…","problem":null|{"text":…,"details":…,"consequence":…}}`."""
        problem = self.problem
        shown = None if problem is None else {
            "text": problem.text,
            "details": problem.details,
            "consequence": problem.consequence,
        }  # fmt: skip
        return f"data: {json.dumps({'version': self.version, 'problem': shown})}\n\n".encode()

    def tell(self) -> None:
        """Wake those who wait for a change."""
        self.changed.set()
        self.changed = trio.Event()


@final
class Development:
    """All applications of a development server."""

    def __init__(self, *, boot: str) -> None:
        self.apps: dict[str, DevelopedApp] = {}
        """By name."""
        self._boot = boot
        self.is_over = False
        """Whether the server ends: then so do the streams of events."""
        self._incidents: OrderedDict[str, BaseException] = OrderedDict()

    def add(self, name: str, *, root: Path) -> None:
        """This is one of the applications, and the directory of its files."""
        self.apps[name] = DevelopedApp(self._boot, root)

    def end(self) -> None:
        """The server ends."""
        self.is_over = True
        for app in self.apps.values():
            app.tell()

    def remember(self, incident: Incident) -> None:
        """Keep what failed, so that the page which shows the incident can show why; only the last few."""
        self._incidents[incident.id] = incident.error
        while len(self._incidents) > _REMEMBERED_INCIDENTS:
            self._incidents.popitem(last=False)

    def error_of(self, incident: str | None) -> BaseException | None:
        """What failed there."""
        return None if incident is None else self._incidents.get(incident)


@final
class RememberingInstruments(GuardedInstruments):
    """Hands everything on, and lets a development server's pages know what failed."""

    def __init__(self, instruments: Instruments, development: Development) -> None:
        super().__init__(instruments)
        self._development = development

    def failed(self, incident: Incident) -> None:
        """See `Instruments.failed`."""
        self._development.remember(incident)
        super().failed(incident)
