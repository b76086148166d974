"""A whole server in the test's own process: real pages, real websockets, over any transport, under any clock."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping

import attrs
import trio

from supervisor.actor.guard import unwrap
from supervisor.embedding import serving
from supervisor.identity import KeyRing
from supervisor.instruments import Incident
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.app import RunningApp
from supervisor.testing.application import App, application_of
from supervisor.testing.checks import Checks, Left, what_is_left
from supervisor.testing.clock import Clock, waiting_for_threads
from supervisor.testing.faults import Faults
from supervisor.testing.incidents import Incidents
from supervisor.testing.servers import Servers
from supervisor.testing.stories import LENGTH, StoryBook
from supervisor.testing.transports import TransportName, make_transport

_MAX_NOTES = 10
"""Failures of the app that are told with one of the test: a periodic callback may have failed a thousand times."""


@contextlib.asynccontextmanager
async def supervise(
    app: App,
    *,
    options: ServerOptions | None = None,
    transport: TransportName = "memory",
    faults: Faults | None = None,
    unchecked: Mapping[str, str] | None = None,
) -> AsyncIterator[RunningApp]:
    """Run an app in a whole server, inside this block.

    Under trio's `autojump` clock nothing here waits for real time, but for threads: while one is at work, time stands
    still. Leaving the block shuts the server down as SIGTERM would, hooks included. Then it is an error if the app has
    left anything behind (`RunningApp.check` names what), and what failed in it is raised: but for what was cleared from
    `incidents`, and what a failure hook of the app was told of.

    Args:
        app: a path as for `serve`, a function `modify_document(doc)`, a `Handler`, or an `Application`.
        faults: what is to go wrong in the app's code from the beginning; `app.faults` inside of the block.
        options: the server's options. Blocked code is not watched for: `stall_limit` counts real time. Stories are
            always told, of 100 entries unless `story_length` says how many.
        transport: "memory" for streams in memory; "tcp" for sockets on loopback, which need a clock that is real.
        unchecked: the checks that are switched off, each with its reason: `{"sockets": "its pool outlives it"}`.

    Raises:
        RuntimeError: this is no trio run, or its clock is not the transport's.
        ApplicationError: the app can't be loaded.
        Left: the app has left something behind.
        LookupError: a fault was to strike a function that never was there.
        ValueError: there is no such transport or check, or a reason is missing.
        ExceptionGroup: something failed in the app, and the test didn't clear it from `incidents`.
    """
    __tracebackhide__ = True  # pytest shows what the app raised, not how it came here
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "supervise needs trio: let pytest-trio run the test (an async test that has the fixture supervise), or "
            "call trio.run(main) and use supervise in there"
        )
    faults = Faults() if faults is None else faults
    seen = Incidents(expects=faults.caused)
    clock = Clock()
    way = make_transport(transport)
    checks = Checks(unchecked, seen, authority=lambda: way.authority)
    options = options or ServerOptions()
    options = attrs.evolve(options, stall_limit=0.0, story_length=options.story_length or LENGTH)
    stories = StoryBook(trio.current_time(), trio.lowlevel.current_trio_token())
    if options.keys is None:  # else a server that was restarted would have others
        options = attrs.evolve(options, keys=KeyRing([secrets.token_bytes(32)]))

    def make() -> Server:
        __tracebackhide__ = True
        server = Server(
            faults.install(application_of(app)),
            options=options,
            instruments=seen,
            wall_clock=clock.wall,
            chance=lambda: 0.5,
            prepare=faults.prepare,
        )
        stories.follow(server)
        return server

    failure: BaseException | None = None
    with faults.in_use():
        servers = Servers(make, way, begin=checks.begin, expects=faults.caused)
        with checks.watching():
            try:
                with waiting_for_threads(lambda: servers.actor.workers.awaited):
                    async with (
                        checks.freeing(servers) as stop,
                        serving(servers.start, stop),
                        trio.open_nursery() as clients,
                    ):
                        try:
                            yield RunningApp(servers, clients, seen, clock, faults, checks, stories)
                            await checks.before_end(servers.server)
                        except Exception as error:  # the story ends here, and not with the shutdown that follows
                            stories.tell(error, seen.incidents)
                            raise
                        clients.cancel_scope.cancel()
            except (trio.Cancelled, GeneratorExit):
                raise
            except BaseException as error:  # a test reads its own exception, not the nursery around it
                failure = unwrap(error)
            left = what_is_left(await checks.after_end(servers.server))
        if failure is not None:  # raised here and not above, where it would lose its own cause
            raise _with_notes(failure, seen, left)
        errors = [_with_note(incident) for incident in checks.unheard()]
        if errors:
            failure = BaseExceptionGroup(
                "the app failed while the test ran", errors if left is None else [*errors, left]
            )
            stories.tell(failure, seen.incidents)
            raise failure
        if left is not None:
            stories.tell(left, seen.incidents)
            raise left


def _with_notes(failure: BaseException, seen: Incidents, left: Left | None) -> BaseException:
    """What the test raised, and what else went wrong."""
    for incident in seen.incidents[:_MAX_NOTES]:
        failure.add_note(f"{_where(incident)} failed meanwhile: {incident.error!r}")
    if len(seen.incidents) > _MAX_NOTES:
        failure.add_note(f"and {len(seen.incidents) - _MAX_NOTES} failures more: see app.incidents")
    if left is not None:
        failure.add_note(f"Beside that, {left}")
    return failure


def _with_note(incident: Incident) -> BaseException:
    incident.error.add_note(f"in {_where(incident)}")
    return incident.error


def _where(incident: Incident) -> str:
    return f"{incident.what}, session {incident.session}, incident {incident.id}"
