"""Fixtures of all tests."""

import contextlib
import itertools

import hypothesis
import pytest
import trio

from supervisor.actor.base import Runtime
from supervisor.application.actor import ApplicationActor
from supervisor.application.creation import Created
from supervisor.application.handlers import Application, Handler, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.instruments import Instruments
from supervisor.session.connection import ConnectionContext
from supervisor.session.request import Request

from .sleeps import Noticed

pytest_plugins = ["supervisor.testing.plugin"]

noticed = Noticed()
noticed.watch()

# How long an example takes, or is in the making, says more of what else the machine does than of the code.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("few", hypothesis.settings.get_profile("tests"), max_examples=10)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser):
    parser.addoption(
        "--require-programs",
        action="store_true",
        help="fail, instead of skipping, where a program is missing (a browser, node, ...)",
    )


def pytest_collection_modifyitems(config, items):
    """Over sockets only those tests run that use `supervise`: to all others the option means nothing."""
    if config.getoption("--supervisor-transport") == "memory":
        return
    others = [item for item in items if "supervise" not in getattr(item, "fixturenames", ())]
    items[:] = [item for item in items if item not in others]
    config.hook.pytest_deselected(items=others)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn skips into failures under --require-programs: CI must not pass for want of what it tests with."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--require-programs"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{reason} (and --require-programs makes that a failure)"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fail a test that passed, and waited for real time without a reason in tests/sleeps.py."""
    noticed.take()
    result = yield
    slept = noticed.take()
    if slept and item.config.getoption("--supervisor-transport") == "memory":  # over sockets, all time is real
        pytest.fail(f"real time was waited for in {', '.join(slept)}: see tests/codebase/test_sleeps.py", pytrace=False)
    return result


class Recorder(Instruments):
    """Keeps what was reported."""

    def __init__(self):
        self.incidents = []
        self.dead_letters = []
        self.dropped = []
        self.events = []
        self.told = []

    def failed(self, incident):
        self.incidents.append(incident)

    def failure_told(self, *, application, session, error):
        self.told.append(error)

    def dead_letter(self, *, application, session, message):
        self.dead_letters.append(message)

    def message_dropped(self, *, application, session, message):
        self.dropped.append(message)

    def application_loaded(self, *, application):
        self.events.append(("loaded", application))

    def application_failed(self, *, application, reason, incident):
        self.events.append(("failed", application, reason, incident))

    def application_unloaded(self, *, application):
        self.events.append(("unloaded", application))

    def session_created(self, *, application, session):
        self.events.append(("created", session))

    def session_refused(self, *, application, session, reason, incident):
        self.events.append(("refused", session, reason))

    def session_restarted(self, *, application, session, incident):
        self.events.append(("restarted", session, incident))

    def session_destroyed(self, *, application, session, reason):
        self.events.append(("destroyed", session, reason))

    def broadcast_lagged(self, *, application, session):
        self.events.append(("lagged", session))

    @property
    def errors(self):
        return [incident.error for incident in self.incidents]

    @property
    def failed_parts(self):
        """What failed, in words."""
        return [incident.what for incident in self.incidents]


class Running:
    """An application that runs in memory, without a server."""

    def __init__(self, actor, recorder):
        self.actor = actor
        self.context = actor.context
        self.recorder = recorder
        self.ended = trio.Event()
        """Set when all of the application is over."""
        self._ids = (f"s{number}" for number in itertools.count(1))

    async def open(self, id=None, **request):
        """The context of a new session."""
        outcome = await self.outcome(id, **request)
        assert isinstance(outcome, Created), outcome
        return outcome.session.context

    async def outcome(self, id=None, **request):
        return await self.actor.open_session(id or next(self._ids), Request(**request))

    async def stop(self, **options):
        """Stop, and wait until all is over; returns how long that took."""
        began = trio.current_time()
        self.actor.stop(**options)
        await self.ended.wait()
        return trio.current_time() - began

    async def run(self, task_status):
        try:
            await self.actor.run(task_status=task_status)
        finally:
            self.ended.set()

    def check_nothing_is_left(self):
        """What must be the case when all sessions have ended, whatever they went through."""
        actor = self.actor
        statistics = actor.statistics().sessions
        assert (statistics.sessions, statistics.unattached, statistics.draining) == (0, 0, 0)
        for left in (
            actor._registry._by_id,
            actor._registry._crowd,
            actor._registry._creations,
            actor._registry._hooked,
            actor._registry._accepted,
            actor._registry.porter._let_in,
            actor._registry.stopping._bounded,
            actor.background._callback_failed_hooks._stopping._bounded,
        ):
            assert not left
        assert len(actor.background.producers._live) == 0
        assert list(actor.stopping._bounded) == [actor._registry.stopping]
        assert actor._registry._creating.borrowed_tokens == 0
        assert len(actor.runtime.holds.graph) == 0
        assert actor.runtime.holds._by_task == {}


class FakeConnection:
    """A connection to a session, whose one task belongs to the application's connection nursery.

    Told to end it takes its time; cancelled it ends at once.
    """

    def __init__(self, app, session, *, id="c1", closing=0.0):
        self.context = ConnectionContext(id=id, request=Request())
        self.session = app.actor.find(session.id)
        self.ending = None
        self.was_cancelled = False
        self._closing = closing
        self._told = trio.Event()
        self._scope = trio.CancelScope()
        self.session.attach(self)
        app.actor.connection_nursery.start_soon(self._run)

    def end(self, ending):
        self.ending = ending
        self._told.set()

    def cancel(self):
        self.was_cancelled = True
        self._scope.cancel()

    async def _run(self):
        try:
            with self._scope:
                await self._told.wait()
                await trio.sleep(self._closing)
        finally:
            self.session.detach(self)


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
        runtime = runtime or Runtime(instruments=recorder, random=lambda: 0.5)
        epochs = (f"epoch{number}" for number in itertools.count(1))
        actor = ApplicationActor(
            app,
            runtime=runtime,
            options=ApplicationOptions(**options),
            make_epoch=lambda: next(epochs),
            show_id=lambda id: id,
        )
        running = Running(actor, recorder)
        async with trio.open_nursery() as timers:
            timers.start_soon(runtime.timers.run)
            async with trio.open_nursery() as nursery:
                await nursery.start(running.run)
                yield running
                actor.stop()
            running.check_nothing_is_left()
            assert len(runtime.timers) == 0
            timers.cancel_scope.cancel()
        if not expect_failures:
            assert recorder.incidents == []

    return run


@pytest.fixture
def connect():
    """Attach a connection to a session: `connect(app, session)`."""
    return FakeConnection


@pytest.fixture
def all_tasks():
    """A function that returns every task of trio's tree but trio's own."""

    def walk(task):
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from walk(child)

    def tasks():
        return {task for task in walk(trio.lowlevel.current_root_task()) if "trio._core" not in task.name}

    return tasks
