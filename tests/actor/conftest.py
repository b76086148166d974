"""An actor with the simplest state there is, and a fixture that checks after each test that nothing was left behind."""

import gc

import attrs
import pytest
import trio

from supervisor.actor import unawaited
from supervisor.actor.base import Actor, Runtime
from supervisor.actor.callbacks import Callbacks
from supervisor.actor.entry import Stop, Tell
from supervisor.actor.guard import pass_on, split_failure
from supervisor.actor.mailbox import CAPACITY
from supervisor.actor.ref import ActorRef


@attrs.frozen
class Do:
    """The one message of a clerk: calls `func(clerk)`."""

    func: object


class Clerk(Actor):
    """Keeps a list of notes. A message that fails leaves no note."""

    def __init__(self, name, runtime, *, capacity=CAPACITY):
        super().__init__(name, runtime, capacity=capacity)
        self.notes = []
        self.kept = ()
        self.incidents = []
        self.letters = []
        self.ref = ActorRef(self)
        self.callbacks = Callbacks(self, runtime.timers)
        self.nursery = None
        self.ended = trio.Event()

    def knows(self, message_type):
        return message_type is Do

    def receive(self, message):
        return message.func(self)

    def keep(self):
        self.kept = tuple(self.notes)

    def undo(self):
        self.notes[:] = self.kept

    def report(self, what, error):
        self.incidents.append((what, error))
        return f"incident{len(self.incidents)}"

    def dead_letter(self, message):
        super().dead_letter(message)
        self.letters.append(message)

    async def live(self, *, task_status=trio.TASK_STATUS_IGNORED):
        try:
            async with trio.open_nursery() as self.nursery:
                self._main_hold = self.holds.take(self)
                task_status.started(self)
                try:
                    await self.handle_mail()
                finally:
                    self.holds.release(self._main_hold)
                    self._main_hold = None
                self.nursery.cancel_scope.cancel()
        except BaseException as error:
            failure, rest = split_failure(error)
            if failure is not None:
                self.report("clerk", failure)
            if rest is not None:
                pass_on(error, rest)
        finally:
            self.callbacks.clear()
            for entry in self.mailbox.close():
                if isinstance(entry, Tell):
                    self.dead_letter(entry.message)
                entry.dropped()
            self.ended.set()

    def stop(self):
        """End before the next entry."""
        self.mailbox.put_system(Stop())

    def kill(self):
        """End now, whatever is in hand."""
        self.nursery.cancel_scope.cancel()

    def tell(self, func):
        self.ref.tell_nowait(Do(func))

    async def ask(self, func, **kwargs):
        return await self.ref.ask(Do(func), **kwargs)

    def note(self, note):
        """A message that leaves a note."""
        self.tell(lambda clerk: clerk.notes.append(note))

    @property
    def errors(self):
        return [error for _, error in self.incidents]


class Office:
    """All clerks of one test."""

    def __init__(self, nursery):
        self.runtime = Runtime(clock=trio.current_time)
        self.clerks = []
        self._nursery = nursery

    async def hire(self, name="clerk", **options):
        clerk = self.make(name, **options)
        return await self._nursery.start(clerk.live)

    def make(self, name="clerk", **options):
        """A clerk who doesn't work yet."""
        clerk = Clerk(name, self.runtime, **options)
        self.clerks.append(clerk)
        return clerk

    def begin(self, clerk):
        self._nursery.start_soon(clerk.live)

    def check(self):
        """Nobody waits, nobody is waited for, nothing is queued or in hand."""
        assert len(self.runtime.holds.graph) == 0
        for clerk in self.clerks:
            assert clerk.is_idle
            assert clerk._in_hand is None
            assert clerk.mailbox.statistics().waiting_for_room == 0
            assert clerk.notes == list(clerk.kept)


async def open_office_for(test):
    """What the fixture does, for tests that run trio themselves: `await test(office)` and look around after it."""
    async with trio.open_nursery() as timers, trio.open_nursery() as nursery:
        office = Office(nursery)
        timers.start_soon(office.runtime.timers.run)
        result = await test(office)
        await trio.testing.wait_all_tasks_blocked()
        office.check()
        nursery.cancel_scope.cancel()
        timers.cancel_scope.cancel()
    assert office.runtime.holds._by_task == {}
    assert unawaited._nets == {}
    assert len(office.runtime.timers) == 0
    return result


@pytest.fixture
async def office():
    """Clerks are hired here; after the test the fixture checks all invariants."""
    async with trio.open_nursery() as timers:
        async with trio.open_nursery() as nursery:
            office = Office(nursery)
            timers.start_soon(office.runtime.timers.run)
            yield office
            await trio.testing.wait_all_tasks_blocked()
            office.check()
            nursery.cancel_scope.cancel()
        timers.cancel_scope.cancel()
    assert office.runtime.holds._by_task == {}
    assert unawaited._nets == {}
    assert len(office.runtime.timers) == 0


@pytest.fixture
async def clerk(office):
    return await office.hire()


@pytest.fixture(scope="session")
def do():
    """The type of the message that a clerk knows."""
    return Do


@pytest.fixture(scope="session")
def run_office():
    """For properties, each example of which is a run of its own: `run_office(test)` calls `await test(office)`."""
    return lambda test: trio.run(open_office_for, test, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.fixture
def no_gc():
    """Holds the garbage collector back, so that only what is dropped by counting is dropped."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
