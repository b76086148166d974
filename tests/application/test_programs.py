"""Random programs of asks, borrows, tells and ends over six sessions: none hangs, nobody is accused falsely.

Sessions fail and are restarted meanwhile, some handlers work in threads, mailboxes have policies, sessions finish.
"""

import itertools

import attrs
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.errors import DeadlockError, MailboxFull, SessionGone
from supervisor.session.actor import RESTARTING
from supervisor.session.receivers import receives
from supervisor.testing.clock import waiting_for_threads

SESSIONS = 6


@attrs.frozen
class Step:
    """One thing that a task does: to session `target`; `inside` is what is done while it is asked, or held."""

    kind: str
    target: int
    inside: tuple = ()
    side_by_side: bool = False
    seconds: float = 0.0


def steps(inside, kinds):
    return st.builds(
        Step,
        kind=st.sampled_from(kinds),
        target=st.integers(0, SESSIONS - 1),
        inside=inside,
        side_by_side=st.booleans(),
        seconds=st.sampled_from([0.0, 0.25, 0.5]),
    )


def programs(kinds):
    leaf = st.lists(steps(st.just(()), kinds), max_size=2).map(tuple)
    middle = st.lists(steps(leaf, kinds), max_size=2).map(tuple)
    return st.lists(st.lists(steps(middle, kinds), min_size=1, max_size=2), min_size=1, max_size=4)


def in_order(step, floor=0):
    """The same step, but reaching only from lower to higher sessions, which closes no circle; None if it can't."""
    if floor >= SESSIONS:
        return None
    target = floor + step.target % (SESSIONS - floor)
    inside = [in_order(inner, target + 1) for inner in step.inside]
    return attrs.evolve(step, target=target, inside=tuple(inner for inner in inside if inner is not None))


@attrs.frozen
class Do:
    """A message whose handler does steps."""

    step: Step
    world: object


class DoInThread(Do):
    """Its handler does them in a worker thread."""


class DoOrRestart(Do):
    """Its handler fails, and that restarts the session."""


class DoLatest(Do):
    """Of those that wait, the newest of each key stays; who has no room waits."""


class DoIfRoom(Do):
    """Without room it isn't taken."""


class DoRatherThanOlder(Do):
    """Without room it takes the place of an older one."""


MESSAGES = {
    "thread": DoInThread,
    "ask_in_thread": DoInThread,
    "restart": DoOrRestart,
    "latest": DoLatest,
    "ask_latest": DoLatest,
    "if_room": DoIfRoom,
    "rather": DoRatherThanOlder,
    "ask_rather": DoRatherThanOlder,
}
WITHOUT_ENDS = ["ask", "fail", "borrow", "abandon", "tell", *MESSAGES]


class Broken(Exception):
    """What a handler raises that fails."""


class World:
    """Runs a program, and notes what was refused.

    It keeps a wait-for graph of its own, from the program's text: `held` names the sessions that wait for the task that
    does a step, and `waits` has who waits for whom while a step goes on. That is more than really waits, since a tell
    to a mailbox with room waits for nobody; so it can show that a circle was made up, and not that one was missed.
    """

    def __init__(self, app, sessions):
        self.app, self.sessions = app, sessions
        self.deadlocks = []
        self.waits = {}

    async def do(self, step, held=()):
        session = self.sessions[step.target]
        everybody = step.kind in ("broadcast", "update")
        targets = self.sessions if everybody else [session]
        wait = object()
        self.waits[wait] = (held, targets)
        try:
            await self.perform(step, session, held)
        except DeadlockError as error:
            self.check_circle(str(error), held, targets)
            self.deadlocks.append(error)
        except (SessionGone, Broken, MailboxFull):
            pass
        finally:
            del self.waits[wait]

    def check_circle(self, text, held, targets):
        """The error names a circle, and each of its steps is a wait that goes on; the last is what was refused."""
        if "the document is held here already" in text:
            assert any(target in held for target in targets)
            return
        circle = text.partition("would wait for ever: ")[2].partition(";")[0].split(" → ")
        names = {session: f"session {session.id[:8]}" for session in self.sessions}
        assert circle[0] == circle[-1]
        assert circle[0] in {names[session] for session in held}
        assert circle[1] in {names[session] for session in targets}
        for waiter, target in itertools.pairwise(circle):
            assert any(
                waiter in {names[session] for session in waiters} and target in {names[session] for session in waited}
                for waiters, waited in self.waits.values()
            )

    async def perform(self, step, session, held):
        message = MESSAGES.get(step.kind, Do)(step, self)
        if step.kind in ("fail", "restart") or step.kind.startswith("ask"):
            await session.ask(message)
        elif step.kind == "borrow":
            async with session.locked_document() as doc:
                await self.within(step, doc, (*held, session))
        elif step.kind == "abandon":  # a borrower that loses patience
            with trio.move_on_after(step.seconds):
                async with session.locked_document() as doc:
                    await self.within(step, doc, (*held, session))
                    await trio.sleep(1)
        elif step.kind == "tell" or step.kind in MESSAGES:
            await session.tell(message)
        elif step.kind == "background":
            session.start_soon(self.do_all, step.inside, (), step.side_by_side)
        elif step.kind == "broadcast":
            await self.app.context.broadcast(message)
        elif step.kind == "update":
            await self.app.context.update_sessions(lambda doc: self.within(step, doc, (self.session_of(doc),)))
        elif step.kind == "destroy":
            session.destroy()
        elif step.kind == "finish":
            if (actor := self.app.actor.find(session.id)) is not None:
                actor.finish(RESTARTING)
        else:
            session.destroy()
            await session.wait_destroyed()

    async def check_transactions(self, session):
        """None was kept by half."""
        try:
            async with session.locked_document() as doc:
                assert doc.data.get("begun", 0) == doc.data.get("finished", 0)
        except SessionGone:
            pass

    def session_of(self, doc):
        return next(session for session in self.sessions if session.document is doc)

    async def within(self, step, doc, held):
        """What is done while a document is held: it counts what was begun and what was finished as one transaction."""
        assert doc.data.get("begun", 0) == doc.data.get("finished", 0)
        doc.data["begun"] = doc.data.get("begun", 0) + 1
        await trio.sleep(step.seconds)
        await self.do_all(step.inside, held, step.side_by_side)
        if step.kind in ("fail", "restart"):
            raise Broken
        doc.data["finished"] = doc.data.get("finished", 0) + 1

    def within_thread(self, step, doc, held):
        """The same, in a worker thread."""
        assert doc.data.get("begun", 0) == doc.data.get("finished", 0)
        doc.data["begun"] = doc.data.get("begun", 0) + 1
        self.app.context.call_from_thread(trio.sleep, step.seconds)
        self.app.context.call_from_thread(self.do_all, step.inside, held, step.side_by_side)
        doc.data["finished"] = doc.data.get("finished", 0) + 1

    async def do_all(self, steps, held=(), side_by_side=False):
        if side_by_side:
            async with trio.open_nursery() as nursery:
                for step in steps:
                    nursery.start_soon(self.do, step, held)
        else:
            for step in steps:
                await self.do(step, held)


@receives(Do)
@receives(DoOrRestart, on_failure="restart")
@receives(DoLatest, conflate=lambda message: message.step.seconds)
@receives(DoIfRoom, when_full="refuse")
@receives(DoRatherThanOlder, when_full="drop_oldest")
async def on_do(doc, message):
    await message.world.within(message.step, doc, (message.world.session_of(doc),))


@receives(DoInThread, thread=True)
def on_do_in_thread(doc, message):
    message.world.within_thread(message.step, doc, (message.world.session_of(doc),))


APP = {
    "on_do": on_do,
    "on_do_in_thread": on_do_in_thread,
    "failure_policy": FailurePolicy(max_restarts=3, within=10.0, backoff=Backoff(first=0.1, longest=1.0)),
}


def run_program(run_app, program, *, capacity):
    """Run it in a world of its own; returns what was refused, and how long it took."""
    result = []

    async def main():
        limits = {"linger": 1000, "first_attach": 1000, "mailbox_capacity": capacity}
        async with run_app(APP, expect_failures=True, **limits) as app:
            with waiting_for_threads(lambda: app.actor.workers.awaited):
                world = World(app, [await app.open() for _ in range(SESSIONS)])
                began = trio.current_time()
                with trio.fail_after(500):  # `wait_destroyed` has no deadline of its own
                    async with trio.open_nursery() as nursery:
                        for steps in program:
                            nursery.start_soon(world.do_all, steps)
                    for session in world.sessions:
                        await world.check_transactions(session)
                        session.destroy()
                        await session.wait_destroyed()
                result.extend([world.deadlocks, trio.current_time() - began])
                for incident in app.recorder.incidents:  # and no failed assertion of a handler is among them
                    assert isinstance(incident.error, Broken), incident

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return result


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@SETTINGS
@given(
    program=programs([*WITHOUT_ENDS, "background", "broadcast", "update", "destroy", "wait_destroyed", "finish"]),
    capacity=st.sampled_from([1, 2, 100]),
)
def test_no_program_hangs(run_app, program, capacity):
    """Every wait ends before its deadline of 30 s, whoever fails, is restarted or finishes meanwhile.

    Whoever would wait for ever is refused at once.
    """
    _, took = run_program(run_app, program, capacity=capacity)
    assert took < 29


@SETTINGS
@given(program=programs(WITHOUT_ENDS), capacity=st.sampled_from([1, 2, 100]))
def test_a_program_without_circles_is_never_accused_of_one(run_app, program, capacity):
    """Whoever only reaches for higher sessions than those that wait for him closes no circle."""
    ordered = [[in_order(step) for step in steps] for steps in program]
    deadlocks, took = run_program(run_app, ordered, capacity=capacity)
    assert deadlocks == []
    assert took < 29


@SETTINGS
@given(program=programs(["background"]).map(lambda program: program[:2]), target=st.integers(0, SESSIONS - 1))
def test_background_tasks_are_never_accused(run_app, program, target):
    """What a session's background tasks ask and borrow of the session itself is no circle."""

    def of_oneself(step):
        inside = tuple(
            Step(kind=["ask", "borrow", "tell"][number % 3], target=step.target, seconds=step.seconds)
            for number in range(len(step.inside) + 1)
        )
        return attrs.evolve(step, inside=inside)

    own = [[Step(kind="ask", target=target, inside=tuple(map(of_oneself, steps)))] for steps in program]
    deadlocks, _ = run_program(run_app, own, capacity=100)
    assert deadlocks == []
