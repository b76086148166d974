"""Worker threads: how they are limited, cancelled and left behind. For sessions: `tests/session/threads/`."""

import contextvars
import math
import threading

import pytest
import trio
import trio.testing

from supervisor.actor.stopping import Stopping
from supervisor.actor.workers import GRACE, Workers, WorkOwner, current_work
from supervisor.errors import ActorGone

PATIENCE = 60.0


class Owner:
    """Somebody for whom threads work."""

    def __init__(self):
        self.reports = []
        self.ended = False
        self.stopping = Stopping()

    def report(self, what, error):
        self.reports.append((what, error))
        return "incident"

    @property
    def as_owner(self):
        return WorkOwner(
            name="test",
            report=self.report,
            gone=lambda: ActorGone("over"),
            has_ended=lambda: self.ended,
            stopping=self.stopping,
        )


@pytest.fixture
def owner():
    return Owner()


async def test_it_returns_and_raises_what_the_function_does(owner):
    workers = Workers()
    assert await workers.run(lambda number: number + 1, (2,), owner.as_owner) == 3
    for error in (ValueError("mine"), SystemExit(3)):

        def fail(error=error):
            raise error

        with pytest.raises(type(error)) as raised:
            await workers.run(fail, (), owner.as_owner)
        assert raised.value is error
    assert (workers.at_work, repr(workers)) == (0, "<Workers 0 of 40 at work>")


async def test_context_variables_are_those_of_who_asked(owner):
    variable = contextvars.ContextVar("variable")
    variable.set("asked")

    def look():
        found = variable.get()
        variable.set("thread")
        return found, current_work() is not None

    assert await Workers().run(look, (), owner.as_owner) == ("asked", True)
    assert variable.get() == "asked"
    assert current_work() is None


async def test_who_waits_for_a_thread_comes_in_turn(owner):
    workers, order, gate = Workers(1), [], threading.Event()

    async def run(name, func):
        await workers.run(func, (), owner.as_owner)
        order.append(name)

    async with trio.open_nursery() as nursery:
        for name in ("first", "second", "third"):
            nursery.start_soon(run, name, gate.wait if name == "first" else int)
            await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert order == ["first", "second", "third"]


async def test_threads_that_somebody_waits_for_are_counted(owner):
    workers, seen = Workers(), []

    def call():
        current_work().door.call(lambda: seen.append(workers.awaited), (), PATIENCE)

    await workers.run(call, (), owner.as_owner)
    assert (seen, workers.awaited) == ([1], 0)


@pytest.mark.parametrize(("latest", "moves"), [(math.inf, False), (2.0, False), (2.0, True)])
async def test_an_abandoned_thread_is_counted_as_idle_and_given_the_time_that_there_is(
    owner, mock_clock, latest, moves
):
    workers, gate, inside = Workers(), threading.Event(), threading.Event()
    until = trio.current_time() + latest
    if not moves:
        owner.stopping.soft(until)

    def hang():
        inside.set()
        gate.wait(PATIENCE)

    scope = trio.CancelScope()

    async def run():
        with scope:
            await workers.run(hang, (), owner.as_owner)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        while not inside.is_set():
            await trio.lowlevel.checkpoint()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        owner.stopping.soft(until)  # also if it is nearer only now
        mock_clock.jump(min(GRACE, latest) - 0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert owner.reports == []
        mock_clock.jump(0.2)
    ((what, error),) = owner.reports
    assert what.endswith("hang")
    assert "has not come back since its work was cancelled" in str(error)
    assert "in hang" in error.__notes__[0]
    assert "threading.py" not in error.__notes__[0].partition("in hang")[0]  # not what is around the author's function
    assert (workers.awaited, workers.at_work) == (0, 1)
    gate.set()
    while workers.at_work:
        await trio.lowlevel.checkpoint()
    assert workers.awaited == 0
    assert len(owner.reports) == 1


async def test_a_call_of_the_loop_that_was_asked_for_too_late_is_not_made(owner):
    """1. The thread asks for a call; 2. its work is cancelled before the loop has made it."""
    made, raised = [], []

    def ask():
        work = current_work()
        try:
            work.call_in_loop(lambda: made.append(True))
        except ActorGone as error:
            raised.append(error)
            raise

    def revoke_first():
        work = current_work()
        work.revoked = ActorGone("over")
        ask()

    with pytest.raises(ActorGone):
        await Workers().run(revoke_first, (), owner.as_owner)
    assert made == []
    assert len(raised) == 1
    await Workers().run(ask, (), owner.as_owner)
    assert made == [True]


def test_a_thread_that_outlives_the_loop_learns_that_it_is_over(owner):
    gate, back, raised = threading.Event(), threading.Event(), []

    def ask():
        gate.wait(PATIENCE)
        try:
            current_work().call_in_loop(print)
        except ActorGone as error:
            raised.append(error)
        back.set()

    async def main():
        owner.stopping.soft(trio.current_time())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Workers().run, ask, (), owner.as_owner)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(main)
    gate.set()
    assert back.wait(PATIENCE)
    assert len(raised) == 1


async def test_a_system_without_more_threads_fails_the_call_alone(owner, monkeypatch):
    def refuse(*args):
        raise RuntimeError("can't start new thread")

    workers = Workers()
    with monkeypatch.context() as patch:
        patch.setattr(trio.lowlevel, "start_thread_soon", refuse)
        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="can't start new thread")):
            await workers.run(print, (), owner.as_owner)
    assert workers.at_work == 0
    assert await workers.run(int, (), owner.as_owner) == 0


async def test_what_finds_no_thread_free_fails_in_time(owner, mock_clock):
    """1. The only thread never comes back. 2. Another one waits for it, for 30 s. 3. Later there is one again."""
    workers, gate = Workers(1), threading.Event()
    failed = trio.Event()

    async def wait():
        with pytest.raises(
            trio.TooSlowError, match=r"the wait of .*<lambda> for one of 1 threads took longer than 30 s"
        ):
            await workers.run(lambda: called.append(1), (), owner.as_owner)
        failed.set()

    called = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.run, gate.wait, (PATIENCE,), owner.as_owner)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(29.9)
            await trio.testing.wait_all_tasks_blocked()
            assert not failed.is_set()
            mock_clock.jump(0.2)
            await failed.wait()
            gate.set()
    finally:
        gate.set()
    assert called == []
    assert await workers.run(int, (), owner.as_owner) == 0
