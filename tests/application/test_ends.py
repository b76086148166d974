"""Ends that meet other things: defined, and nothing left over. The races open with their steps.

`run_app` itself checks at its end that no session, no hold, no wait and no timer is left.
"""

import pytest
import trio
import trio.testing

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.creation import Created, Refused
from supervisor.errors import ActorGone, DeadlockError
from supervisor.session.connection import ConnectionContext
from supervisor.session.receivers import receives
from supervisor.session.request import Request


class Work:
    pass


class Break:
    pass


HOOKS = [
    "on_session_created",
    "modify_document",
    "on_session_failed",
    "on_session_destroyed",
    "on_connection_opened",
    "on_connection_closed",
]


class Story:
    """An app whose hooks and handlers do what a test says in them, and are counted."""

    def __init__(self, **acts):
        self.acts = acts
        self.calls = []

    async def _do(self, name, session_context):
        self.calls.append(name)
        act = self.acts.get(name)
        result = None if act is None else act(session_context)
        if hasattr(result, "__await__"):
            await result

    def count(self, name):
        return self.calls.count(name)

    def namespace(self):
        def hook(name):
            if name == "modify_document":
                return lambda doc: self._do(name, doc.session_context)
            if name.startswith("on_connection"):
                return lambda session_context, connection: self._do(name, session_context)
            if name == "on_session_failed":
                return lambda session_context, error: self._do(name, session_context)
            return lambda session_context: self._do(name, session_context)

        @receives(Work)
        async def on_work(doc, message):
            await self._do("handler", doc.session_context)

        @receives(Break)
        async def on_break(doc, message):
            self.calls.append("broken")
            raise ValueError("mine")

        policy = FailurePolicy(directive="restart", backoff=Backoff(first=1, jitter=0))
        return {name: hook(name) for name in HOOKS} | {
            "on_work": on_work,
            "on_break": on_break,
            "failure_policy": policy,
        }


def destroy(session_context):
    session_context.destroy(reason="by itself")


async def destroy_and_go_on(session_context):
    session_context.destroy(reason="by itself")
    await trio.sleep(1)


def destroy_twice(session_context):
    session_context.destroy(reason="by itself")
    session_context.destroy(reason="again")


async def go_through_all(app):
    """A visitor's life that comes by each hook: created, opened, a message, a failure, a restart, closed, the end."""
    outcome = await app.outcome("a")
    if not isinstance(outcome, Created):
        await trio.sleep(5)  # it ends by itself
        return
    session = outcome.session
    connection = ConnectionContext(id="c", request=Request())
    try:
        if await session.let_in(connection) is None:
            await session.context.ask(Work())
            await session.context.tell(Break())
            await session.context.ask(Work())
            session.depart(connection)
            await session.context.ask(Work())
    except ActorGone:
        pass
    session.context.destroy(reason="by the visitor")
    await session.context.wait_destroyed()


@pytest.mark.parametrize("act", [destroy, destroy_and_go_on, destroy_twice])
@pytest.mark.parametrize("place", [*HOOKS, "handler"])
async def test_destroyed_by_its_own_handler_or_hook(run_app, autojump_clock, all_tasks, place, act):
    story = Story(**{place: act})
    before = all_tasks()
    async with run_app(story.namespace(), expect_failures=True) as app:
        await go_through_all(app)
        assert list(app.context.sessions) == []
        assert story.count(place) >= 1
        assert story.count("on_session_created") == 1
        # Who refuses a session by its own created hook has nothing to take leave of.
        assert story.count("on_session_destroyed") == (place != "on_session_created")
        assert story.count("on_session_failed") == story.count("broken")
        assert story.count("on_connection_closed") == story.count("on_connection_opened")
        assert story.calls[-1] in ("on_session_destroyed", "on_session_created")
        again = await app.outcome("a")
        assert isinstance(again, (Created, Refused))
        if isinstance(again, Created):
            again.session.context.destroy()
            await again.session.context.wait_destroyed()
    assert all_tasks() == before


@pytest.mark.parametrize("place", ["on_session_created", "modify_document"])
async def test_destroyed_while_it_is_created(run_app, autojump_clock, place):
    """By somebody else.

    1. A visitor asks for a session, and a hook takes long.
    2. A second visitor asks for the same id, and waits for the same result.
    3. The session is destroyed: both are refused at once, the hook is cancelled, and the id is free.
    4. A third visitor, at the same moment, gets a session of that id.
    """
    slow = []

    async def be_slow(session_context):
        if not slow:
            slow.append(1)
            await trio.sleep(5)

    story, outcomes = Story(**{place: be_slow}), []
    async with run_app(story.namespace()) as app:

        async def visit():
            outcomes.append(await app.outcome("a"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit)
            nursery.start_soon(visit)
            await trio.sleep(1)
            assert app.context.destroy_session("a")
            assert not app.context.destroy_session("a")
            third = await app.outcome("a")
        assert outcomes == [Refused(""), Refused("")]
        assert isinstance(third, Created)
        assert trio.current_time() == 1
        assert story.count("on_session_destroyed") == (place == "modify_document")


async def test_created_again_while_it_is_destroyed(run_app, autojump_clock):
    """The same id.

    1. A session ends; its destroyed hook takes two seconds.
    2. Two visitors come for the id meanwhile: they wait for the end, and share one new session.
    3. The new one is another: with a document of its own, and nothing of the first.
    """

    async def take_two_seconds(session_context):
        await trio.sleep(2)

    story, outcomes = Story(on_session_destroyed=take_two_seconds), []
    async with run_app(story.namespace()) as app:
        first = await app.open("a")
        async with first.locked_document() as doc:
            doc.data["mine"] = 1
        first.destroy()

        async def visit():
            outcomes.append((await app.outcome("a")).session.context)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit)
            nursery.start_soon(visit)
            await trio.sleep(1)
            first.destroy()
            assert outcomes == []
        assert trio.current_time() == 2
        second, same = outcomes
        assert second is same
        assert second is not first
        assert first.destroyed
        assert not second.destroyed
        assert list(app.context.sessions) == [second]
        async with second.locked_document() as doc:
            assert doc.data == {}


async def test_destroyed_while_it_is_destroyed(run_app, autojump_clock):
    """Twice, and once more by its destroyed hook: hooks run once, and all who wait are told together."""
    ended = []

    async def destroy_again(session_context):
        session_context.destroy()
        await trio.sleep(1)

    story = Story(on_session_destroyed=destroy_again)
    async with run_app(story.namespace()) as app:
        session = await app.open()
        session.destroy(reason="first")

        async def wait():
            await session.wait_destroyed()
            ended.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait)
            await trio.sleep(0.5)
            session.destroy(reason="second")
        assert ended == [1] * 3
        assert story.count("on_session_destroyed") == 1
        assert app.recorder.events[-1] == ("destroyed", "s1", "first")


async def test_created_again_during_the_pause_of_its_restart_it_is_the_same_session(run_app, autojump_clock):
    story = Story()
    async with run_app(story.namespace(), expect_failures=True) as app:
        session = await app.open("a")
        await session.tell(Break())
        await trio.sleep(0.5)
        assert (await app.outcome("a")).session.context is session
        assert trio.current_time() == 0.5
        await trio.sleep(1)
        assert story.count("on_session_created") == 1
        assert story.count("modify_document") == 2


async def waits_at_its_end(func):
    """A background task that goes on until its session ends, and then waits for something that no cancellation ends."""
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await func()


async def test_a_background_task_that_waits_for_the_end_of_its_own_session_closes_a_circle(
    run_app, recorder, autojump_clock
):
    """The end waits for it, so it would wait for ever; one that can be cancelled is, and nobody is accused."""
    async with run_app(Story().namespace(), expect_failures=True) as app:
        for text in ("session s1 → session s1", None):
            session = await app.open()
            if text:
                session.start_soon(waits_at_its_end, session.wait_destroyed)
            else:
                session.start_soon(session.wait_destroyed)
            await trio.testing.wait_all_tasks_blocked()
            session.destroy()
            await session.wait_destroyed()
    assert trio.current_time() == 0
    (error,) = recorder.errors
    assert isinstance(error, DeadlockError)
    assert "session s1 → session s1" in str(error)


async def test_a_background_task_of_an_end_that_is_waited_for_closes_a_circle(run_app, recorder, autojump_clock):
    """1. A handler of one session waits for the end of another. 2. A background task of that one asks the first."""
    async with run_app(Story(handler=None).namespace(), expect_failures=True) as app:
        one, other = await app.open(), await app.open()

        async def wait_for_other(doc):
            other.destroy()
            await other.wait_destroyed()

        other.start_soon(waits_at_its_end, lambda: one.ask(Work()))
        await trio.testing.wait_all_tasks_blocked()
        await one.with_locked_document(wait_for_other)
    assert trio.current_time() == 0
    (error,) = recorder.errors
    assert isinstance(error, DeadlockError)
    assert "session s2 → session s1 → session s2" in str(error)
