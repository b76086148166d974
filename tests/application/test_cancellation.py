"""Ended at every place of a session's life, in every way: hooks run exactly once, and nothing is left.

`run_app` itself checks at its end that no session, no hold, no wait and no timer is left.
"""

import pytest
import trio

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.creation import Created
from supervisor.errors import ActorGone
from supervisor.session.receivers import receives


class Work:
    pass


class Break:
    pass


class Broken(Exception):
    pass


class Story:
    """An app that can be met at each of its places, and that counts its hooks."""

    def __init__(self, place, steps):
        self.place, self._steps = place, steps
        self.reached = trio.Event()
        self.counts = dict.fromkeys(("loaded", "unload", "broken", "told", "built"), 0)
        self.accepted = set()
        self.destroyed = []

    async def be_at(self, place):
        """Be somewhere for a few steps, and for a second if this is the place of the test."""
        for _ in range(self._steps):
            await trio.lowlevel.checkpoint()
        if place == self.place:
            self.reached.set()
            await trio.sleep(1)

    def namespace(self):
        async def on_application_load(app_context):
            await self.be_at("load")
            self.counts["loaded"] += 1

        async def on_application_unload(app_context):
            self.counts["unload"] += 1
            assert len(app_context.sessions) == 0
            await self.be_at("unload")

        async def on_session_created(session_context):
            await self.be_at("created hook")
            self.accepted.add(session_context)

        async def on_session_destroyed(session_context):
            self.destroyed.append(session_context)
            session_context.document.data  # still readable
            await self.be_at("destroyed hook")

        async def on_session_failed(session_context, error):
            self.counts["told"] += 1
            session_context.document.data["n"] += 1
            await self.be_at("failed hook")
            session_context.document.data["n"] += 1

        async def modify_document(doc):
            self.counts["built"] += 1
            doc.data["n"] = 0
            await self.be_at("modify_document" if self.counts["built"] == 1 else "restart")
            doc.session_context.start_soon(self.linger_on)

        @receives(Work)
        async def on_work(doc, message):
            doc.data["n"] += 1
            await self.be_at("handler")
            doc.data["n"] += 1

        @receives(Break)
        def on_break(doc, message):
            doc.data["n"] += 1
            self.counts["broken"] += 1
            if self.place == "pause":
                self.reached.set()
            raise Broken

        pause = 0 if self._steps else 0.5  # no time passes while a test goes on step by step
        failure_policy = FailurePolicy(directive="restart", backoff=Backoff(first=pause, jitter=0))
        return {name: value for name, value in locals().items() if name not in ("self", "pause")}

    async def linger_on(self):
        """A background task that needs a while to end, which a restart waits for."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.be_at("background")

    async def visit(self, app):
        """A visitor's story, which may end anywhere."""
        try:
            outcome = await app.outcome("a")
            if not isinstance(outcome, Created):
                return
            session = outcome.session.context
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.ask, session)
                nursery.start_soon(self.borrow, session)
            await session.tell(Break())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.ask, session)
                nursery.start_soon(self.borrow, session)
            session.destroy()
            await session.wait_destroyed()
        except ActorGone:
            pass

    async def ask(self, session):
        try:
            await session.ask(Work())
        except ActorGone:
            pass

    async def borrow(self, session):
        try:
            if self.place == "borrow waiting":
                self.reached.set()
            async with session.locked_document() as doc:
                before = doc.data["n"]
                assert before % 2 == 0  # a handler is all or nothing
                await self.be_at("borrow in hand")
                assert doc.data["n"] == before
        except ActorGone:
            pass

    def check(self):
        assert len(self.destroyed) == len(set(self.destroyed))
        assert set(self.destroyed) == self.accepted
        assert self.counts["told"] == self.counts["broken"]
        assert self.counts["unload"] == self.counts["loaded"]


PLACES = [
    "created hook",
    "modify_document",
    "handler",
    "borrow waiting",
    "borrow in hand",
    "failed hook",
    "background",
    "pause",
    "restart",
    "destroyed hook",
    "nowhere",
]


def destroy(app, visitor):
    app.context.destroy_session("a")


def stop(app, visitor):
    app.actor.stop()


def stop_at_once(app, visitor):
    app.actor.stop(deadline=trio.current_time())


def leave(app, visitor):
    visitor.cancel()


def destroy_and_stop(app, visitor):
    app.context.destroy_session("a")
    app.actor.stop(deadline=trio.current_time() + 3)


ENDS = [destroy, stop, stop_at_once, leave, destroy_and_stop]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", PLACES[:-1])
async def test_ended_at_each_place(run_app, autojump_clock, all_tasks, recorder, place, end):
    story = Story(place, steps=0)
    before = all_tasks()
    async with run_app(story.namespace(), expect_failures=True) as app:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(story.visit, app)
            await story.reached.wait()
            end(app, nursery.cancel_scope)
    story.check()
    assert all_tasks() == before
    # The only failure there can be beside the wanted one: a hook that hung was cancelled since there was no time.
    assert all(isinstance(error, (trio.TooSlowError, Broken)) for error in recorder.errors)


@pytest.mark.parametrize("place", ["load", *PLACES[:-1], "unload"])
async def test_a_hard_stop_at_each_place(run_app, autojump_clock, all_tasks, place):
    story = Story(place, steps=0)
    before = all_tasks()
    async with trio.open_nursery() as outer:

        async def run():
            async with run_app(story.namespace(), expect_failures=True) as app:
                await story.visit(app)

        outer.start_soon(run)
        await story.reached.wait()
        outer.cancel_scope.cancel()
    story.check()
    assert all_tasks() == before


@pytest.mark.parametrize("end", ENDS)
async def test_ended_after_each_number_of_steps(run_app, autojump_clock, all_tasks, recorder, end):
    """The same, but at every single step of the scheduler, wherever that is."""
    story = None
    for steps in range(110):
        recorder.events.clear()
        recorder.incidents.clear()
        story = Story("nowhere", steps=2)
        before = all_tasks()
        async with run_app(story.namespace(), expect_failures=True) as app:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(story.visit, app)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                end(app, nursery.cancel_scope)
        story.check()
        assert all_tasks() == before
        assert all(isinstance(error, (trio.TooSlowError, Broken)) for error in recorder.errors)
    assert len(story.destroyed) == 1  # the last one came too late to change anything
    assert story.counts["built"] == 2


async def test_a_hard_stop_after_each_number_of_steps(run_app, autojump_clock, all_tasks):
    for steps in range(130):
        story = Story("nowhere", steps=2)
        before = all_tasks()
        async with trio.open_nursery() as outer:

            async def run(story=story):
                async with run_app(story.namespace(), expect_failures=True) as app:
                    await story.visit(app)

            outer.start_soon(run)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            outer.cancel_scope.cancel()
        story.check()
        assert all_tasks() == before
