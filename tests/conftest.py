"""Fixtures of all tests."""

import contextlib
import itertools

import pytest
import trio

from supervisor.actor.base import Runtime
from supervisor.application.actor import ApplicationActor
from supervisor.application.creation import Created
from supervisor.application.handlers import Application, Handler, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.instruments import Instruments
from supervisor.session.request import Request


class Recorder(Instruments):
    """Keeps what was reported."""

    def __init__(self):
        self.incidents = []
        self.dead_letters = []
        self.events = []

    def failed(self, incident):
        self.incidents.append(incident)

    def dead_letter(self, *, application, session, message):
        self.dead_letters.append(message)

    def session_destroyed(self, *, application, session, reason):
        self.events.append(("destroyed", session, reason))

    @property
    def errors(self):
        return [incident.error for incident in self.incidents]


class Running:
    """An application that runs in memory, without a server."""

    def __init__(self, actor, recorder):
        self.actor = actor
        self.context = actor.context
        self.recorder = recorder
        self._ids = (f"s{number}" for number in itertools.count(1))

    async def open(self, id=None, **request):
        """The context of a new session."""
        outcome = await self.outcome(id, **request)
        assert isinstance(outcome, Created), outcome
        return outcome.session.context

    async def outcome(self, id=None, **request):
        return await self.actor.open_session(id or next(self._ids), Request(**request))


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def run_app(recorder):
    """Run an application in memory: `async with run_app(namespace or handlers, **options) as app`."""

    @contextlib.asynccontextmanager
    async def run(app, *, runtime=None, expect_failures=False, **options):
        if isinstance(app, dict):
            app = [NamespaceHandler(app, where="app")]
        if isinstance(app, (Handler, list, tuple)):
            app = Application(app, name="app")
        runtime = runtime or Runtime(instruments=recorder)
        epochs = (f"epoch{number}" for number in itertools.count(1))
        actor = ApplicationActor(
            app,
            runtime=runtime,
            options=ApplicationOptions(**options),
            make_epoch=lambda: next(epochs),
            show_id=lambda id: id,
        )
        async with trio.open_nursery() as timers:
            timers.start_soon(runtime.timers.run)
            async with trio.open_nursery() as nursery:
                await nursery.start(actor.run)
                yield Running(actor, recorder)
                actor.stop()
            timers.cancel_scope.cancel()
        if not expect_failures:
            assert recorder.incidents == []

    return run
