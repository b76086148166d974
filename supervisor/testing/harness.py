"""A whole server in the test's own process: real pages, real websockets, memory streams, any clock."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable
from os import PathLike, fspath
from typing import Any

import attrs
import trio
import trio.testing

from supervisor.actor.guard import unwrap
from supervisor.actor.thread_door import BusyThreads
from supervisor.application.handlers import Application, FunctionHandler, Handler
from supervisor.application.loading import load_application
from supervisor.instruments import Incident
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.app import RunningApp
from supervisor.testing.incidents import Incidents
from supervisor.testing.memory import MemoryListener

App = str | PathLike[str] | Application | Handler | Callable[[Any], Any]


@contextlib.asynccontextmanager
async def supervise(app: App, *, options: ServerOptions | None = None) -> AsyncIterator[RunningApp]:
    """Run an app in a whole server over memory streams, inside this block.

    Under trio's `autojump` clock nothing here waits for real time. Leaving the block shuts the server down as SIGTERM
    would, hooks included. Then whatever failed in the app, and was not cleared from `incidents`, is raised.

    Args:
        app: a path as for `serve`, a function `modify_document(doc)`, a `Handler`, or an `Application`.
        options: the server's options. Blocked code is not watched for: `stall_limit` counts real time.

    Raises:
        ApplicationError: the app can't be loaded.
        ExceptionGroup: something failed in the app, and the test didn't clear it from `incidents`.
    """
    seen = Incidents()
    failure: BaseException | None = None
    listener = MemoryListener()
    options = attrs.evolve(options or ServerOptions(), stall_limit=0.0)
    server = Server(
        _application(app),
        options=options,
        listeners=[listener],
        instruments=seen,
        wall_clock=trio.current_time,
        chance=lambda: 0.5,
    )
    _wait_for_threads(server.runtime.busy)
    try:
        async with server, trio.open_nursery() as clients:
            (actor,) = server.applications.values()
            yield RunningApp(server, actor, listener, clients, seen)
            clients.cancel_scope.cancel()
    except (trio.Cancelled, GeneratorExit):
        raise
    except BaseException as error:  # a test reads its own exception, not the nursery around it
        failure = unwrap(error)
    if failure is not None:  # raised here and not above, where it would lose its own cause
        for incident in seen.incidents:
            failure.add_note(f"{_where(incident)} failed meanwhile: {incident.error!r}")
        raise failure
    if seen.incidents:
        errors = [_with_note(incident) for incident in seen.incidents]
        raise BaseExceptionGroup("the app failed while the test ran", errors)


def _wait_for_threads(busy: BusyThreads) -> None:
    """Keep a clock that jumps from jumping while a thread works: it only sees that all tasks wait."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, trio.testing.MockClock):
        return
    threshold = clock.autojump_threshold

    def stop_or_go(count: int) -> None:
        nonlocal threshold
        if clock.autojump_threshold != math.inf:
            threshold = clock.autojump_threshold
        clock.autojump_threshold = math.inf if count else threshold

    busy.on_change = stop_or_go


def _with_note(incident: Incident) -> BaseException:
    incident.error.add_note(f"in {_where(incident)}")
    return incident.error


def _where(incident: Incident) -> str:
    return f"{incident.what}, session {incident.session}, incident {incident.id}"


def _application(app: App) -> Application:
    if isinstance(app, Application):
        return app
    if isinstance(app, Handler):
        return Application(app, name="app")
    if isinstance(app, (str, PathLike)):
        return load_application(fspath(app))
    return Application(FunctionHandler(app), name=getattr(app, "__name__", "app"))
