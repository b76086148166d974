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
from supervisor.server import Server
from supervisor.server_options import ServerOptions, options_or_default
from supervisor.testing.app import RunningApp
from supervisor.testing.application import App, application_of
from supervisor.testing.block import opens_block
from supervisor.testing.checks import Checks, what_is_left
from supervisor.testing.clock import waiting_for_threads
from supervisor.testing.faults import Faults, faults_or_default
from supervisor.testing.incidents import Incidents
from supervisor.testing.kit import Kit
from supervisor.testing.servers import Servers
from supervisor.testing.stories import LENGTH, StoryBook
from supervisor.testing.transports import Transport, TransportName, make_transport


@opens_block
async def supervise(
    app: App,
    *,
    options: ServerOptions | None = None,
    transport: TransportName = "memory",
    faults: Faults | None = None,
    unchecked: Mapping[str, str] | None = None,
) -> AsyncIterator[RunningApp]:
    """Run an app in a whole server, inside this block.

    Under trio's `autojump` clock nothing here waits for real time, except for threads: while one is at work, time
    stands still. Leaving the block shuts the server down as SIGTERM would, hooks included. Then it is an error if the
    app has left anything behind (`RunningApp.check` names what), and whatever failed in it is raised, except what was
    cleared from `incidents` and what a failure hook of the app was told of.

    Args:
        app: a path as for `serve`, a function `modify_document(doc)`, a `Handler`, or an `Application`.
        faults: what is to go wrong in the app's code from the beginning; `app.faults` inside of the block.
        options: the server's options. Blocked code is not watched for: `stall_limit` counts real time. Stories are
            always told, of 100 entries unless `story_length` says how many.
        transport: "memory" for streams in memory; "tcp" for sockets on loopback, which need a clock that is real.
        unchecked: the checks that are switched off, each with its reason: `{"sockets": "its pool outlives it"}`.

    Raises:
        RuntimeError: this is not a trio run, or its clock is not the transport's.
        ApplicationError: the app can't be loaded.
        Left: the app has left something behind.
        LookupError: a fault was meant for a function that the app never had.
        ValueError: there is no such transport or check, or a reason is missing.
        TypeError: what is given is not an app, the options are not `ServerOptions`, the faults are not `Faults`, or
            what is unchecked is not a mapping.
        ExceptionGroup: something failed in the app, and the test didn't clear it from `incidents`.
    """
    __tracebackhide__ = True  # pytest shows what the app raised, not how it came here
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "supervise() needs trio: let pytest-trio run the test (an async test that has the fixture supervise), or "
            "call trio.run(main) and use supervise in there"
        )
    way = make_transport(transport)
    kit = _kit_of(faults, unchecked, way)
    options = _options_of(options)

    def make() -> Server:
        __tracebackhide__ = True
        server = Server(
            kit.faults.install(application_of(app)),
            options=options,
            instruments=kit.seen,
            wall_clock=kit.clock.wall,
            clock=trio.current_time,  # under a virtual one, a slow machine doesn't change which task goes next
            chance=lambda: 0.5,
            prepare=kit.faults.prepare,
        )
        kit.stories.follow(server)
        return server

    raised: BaseException | None = None
    failure: BaseException | None = None
    with kit.faults.in_use():
        servers = Servers(make, way, begin=kit.checks.begin, watch_end=kit.checks.watch_end, expects=kit.faults.caused)
        with kit.checks.watching():
            try:
                with contextlib.closing(way), waiting_for_threads(lambda: servers.actor.workers.awaited):
                    async with serving(servers.start, servers.stop), trio.open_nursery() as clients:
                        try:
                            yield RunningApp(servers, clients, kit)
                            await kit.checks.before_end(servers.server)
                        except Exception as error:  # the story ends here, and not with the shutdown that follows
                            kit.stories.tell(error, kit.seen.incidents)
                            raised = error
                            raise
                        clients.cancel_scope.cancel()
            except (trio.Cancelled, GeneratorExit):
                raise
            except BaseException as error:  # a test reads its own exception, not the nursery around it
                failure = unwrap(error)
                if raised is not None and failure is unwrap(raised):
                    failure = raised  # it may be a group of the test's own
            left = what_is_left(await kit.checks.after_end(servers.server))
        verdict = kit.verdict(failure, left)
        if verdict is not None:  # raised here and not above, where a test's failure would lose its own cause
            raise verdict


def _kit_of(faults: Faults | None, unchecked: Mapping[str, str] | None, transport: Transport) -> Kit:
    faults = faults_or_default(faults)
    seen = Incidents(expects=faults.caused)
    return Kit(
        seen=seen,
        faults=faults,
        checks=Checks(unchecked, seen, authority=lambda: transport.authority),
        stories=StoryBook(trio.current_time(), trio.lowlevel.current_trio_token()),
    )


def _options_of(options: ServerOptions | None) -> ServerOptions:
    """The options of each server: stalls count real time, and a server that was restarted has the keys that it had."""
    options = options_or_default(options)
    keys = KeyRing([secrets.token_bytes(32)]) if options.keys is None else options.keys
    return attrs.evolve(options, stall_limit=0.0, story_length=options.story_length or LENGTH, keys=keys)
