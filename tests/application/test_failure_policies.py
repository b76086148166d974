"""Failure policies in whole applications: random failures under random policies, and a restart as clients see it."""

import random
from functools import partial

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.actor.base import Runtime
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.actor import ApplicationActor
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import Rejected, SendFailed
from supervisor.instruments import Instruments
from supervisor.session.receivers import receives
from supervisor.session.request import Request


class Fail(Exception):
    pass


@attrs.frozen
class Work:
    """Appends its number, or does what the story says."""

    number: int
    outcome: str


@attrs.frozen
class Other:
    number: int
    outcome: str


messages = st.lists(
    st.tuples(
        st.sampled_from([Work, Other]),
        st.sampled_from(["succeed", "succeed", "fail", "fail late", "refuse"]),
        st.sampled_from([0.0, 0.0, 0.3, 5.0, 70.0]),
    ),
    max_size=25,
)
directives = st.sampled_from(["resume", "restart", "restart", "stop"])
policies = st.builds(
    FailurePolicy,
    directive=directives,
    max_restarts=st.integers(0, 4),
    within=st.sampled_from([1.0, 60.0]),
    backoff=st.builds(Backoff, first=st.sampled_from([0.0, 0.1, 3.0]), longest=st.just(10.0)),
)


@settings(max_examples=60)
@given(data=st.data(), policy=policies, other_directive=st.one_of(st.none(), directives), build_fails=st.booleans())
def test_whatever_fails_neighbours_never_notice_and_order_and_intensity_hold(
    data, policy, other_directive, build_fails
):
    """Random messages to three sessions under a random policy, and a fourth that nothing happens to."""
    stories = [data.draw(messages) for _ in range(3)]
    chances = random.Random(data.draw(st.integers(0, 100)))
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(_play, stories, policy, other_directive, build_fails, chances, clock=clock)


async def _play(stories, policy, other_directive, build_fails, chances):
    handled, decided, failed, destroyed = {}, [], [], []

    class Watching(Instruments):
        def failed(self, incident):
            decided.append((trio.current_time(), incident))

    async def work(doc, message):
        handled.setdefault(doc.session_context.id, []).append(message.number)
        doc.data["n"] = message.number
        if message.outcome == "fail late":
            await trio.sleep(0.1)
        if message.outcome.startswith("fail"):
            raise Fail(message.number)
        if message.outcome == "refuse":
            raise Rejected("no")

    @receives(Work)
    async def on_work(doc, message):
        await work(doc, message)

    @receives(Other, on_failure=other_directive)
    async def on_other(doc, message):
        await work(doc, message)

    def modify_document(doc):
        doc.data["n"] = -1
        if build_fails and doc.session_context.last_incident is not None and chances.random() < 0.3:
            raise Fail("built")

    def on_session_failed(session_context, error):
        failed.append((session_context.id, error))

    def on_session_destroyed(session_context):
        destroyed.append(session_context.id)

    namespace = {name: value for name, value in locals().items() if name.startswith(("on_", "modify"))}
    names = iter(f"e{number}" for number in range(1000))
    actor = ApplicationActor(
        Application([NamespaceHandler(namespace, where="app")], name="app", failure_policy=policy),
        runtime=Runtime(instruments=Watching(), random=chances.random),
        options=ApplicationOptions(linger=1e6, first_attach=1e6),
        make_epoch=lambda: next(names),
        show_id=lambda id: id,
    )

    async def tell(session, story):
        for number, (kind, outcome, pause) in enumerate(story):
            await session.tell(kind(number, outcome))
            await trio.sleep(pause)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.runtime.timers.run)
        await nursery.start(actor.run)
        sessions = [(await actor.open_session(f"s{number}", Request())).session.context for number in range(4)]
        neighbour = sessions.pop()
        async with trio.open_nursery() as telling:
            for session, story in zip(sessions, stories, strict=True):
                telling.start_soon(tell, session, story)
        for number in range(5):
            assert await neighbour.ask(Work(number, "succeed"), timeout=0.001) is None
        await trio.sleep(1000)  # all pauses are over
        for session, story in zip(sessions, stories, strict=True):
            numbers = handled.get(session.id, [])
            assert numbers == list(range(len(numbers)))  # in order, each once
            own = [(at, incident) for at, incident in decided if incident.session == session.id]
            assert [error for id, error in failed if id == session.id] == [incident.error for _, incident in own]
            times = [at for at, incident in own if incident.decision.startswith("restarted")]
            for at in times:
                assert sum(0 <= at - then < policy.within for then in times) <= policy.max_restarts
            assert session.restarts <= len(times)
            assert session.destroyed is any(incident.decision.startswith("stopped") for _, incident in own)
            if not session.destroyed:
                assert numbers == list(range(len(story)))
                async with session.locked_document() as doc:
                    last = doc.data["n"]
                done = [number for number, (_, outcome, _) in enumerate(story) if outcome == "succeed"]
                assert last in {-1, *done}
        assert handled["s3"] == list(range(5))
        assert not neighbour.destroyed
        assert neighbour.restarts == 0
        actor.stop()
        for session in (*sessions, neighbour):
            await session.wait_destroyed()
        assert sorted(destroyed) == ["s0", "s1", "s2", "s3"]
        nursery.cancel_scope.cancel()


# On the wire.


@attrs.frozen
class Crash:
    pass


@attrs.frozen
class Add:
    n: int


@receives(Crash, from_client=True, on_failure="restart")
def on_crash(doc, message):
    raise Fail("secret")


@receives(Add, from_client=True)
def on_add(doc, message):
    doc.data["n"] += message.n
    return doc.data["n"]


def build(doc):
    doc.data["n"] = 0 if doc.session_context.last_incident is None else 1
    doc.data["notes"] = {}
    doc.allow_edits("/notes")


@pytest.mark.virtual_time("times are compared")
async def test_clients_stay_connected_and_what_they_sent_is_done(supervise):
    """A restart as clients see it.

    1. One of two sends a message whose handler fails, and then another message and an edit, which wait.
    2. Its error comes at once, with the incident's id that the log has.
    3. After the pause both have the new document, by one snapshot on the same connection; the message is done in the
       new document, and answered; the edit, which was of the old one, is in conflict.
    """
    namespace = {"on_crash": on_crash, "on_add": on_add, "modify_document": build}
    policy = FailurePolicy(backoff=Backoff(first=1, jitter=0))
    application = Application(NamespaceHandler(namespace, where="app"), name="app", failure_policy=policy)
    async with supervise(application) as app:
        session = await app.new_session()
        one, other = await session.connect(), await session.connect()
        outcomes, incidents = {}, []

        async def note(name, func, *args):
            try:
                outcomes[name] = (await func(*args), trio.current_time())
            except SendFailed as error:
                outcomes[name] = (error.kind, trio.current_time())
                incidents.append((error.incident, "secret" in str(error)))

        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(note, "add before", partial(one.send, n=5), "Add")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(note, "break", one.send, "Crash")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(note, "edit", one.edit, "/notes/a", "mine")
            nursery.start_soon(note, "add", partial(one.send, n=7), "Add")
            await trio.testing.wait_all_tasks_blocked()
            assert one.data == {"n": 5, "notes": {"a": "mine"}}
            assert other.data == {"n": 5, "notes": {}}
        assert outcomes == {
            "add before": (5, began),
            "break": ("failed", began),
            "edit": ("conflict", began + 1),
            "add": (8, began + 1),
        }
        assert incidents == [(app.incidents[0].id, False), (None, False)]
        await other.until(lambda data: data == {"n": 8, "notes": {}})
        assert one.data == {"n": 8, "notes": {}}
        for client in (one, other):
            assert [type(event).__name__ for event in client.received].count("Attached") == 1
            assert sum(getattr(event, "restarted", False) for event in client.received) == 1
        await one.edit("/notes/b", "new")
        assert one.data["notes"] == {"b": "new"}
        assert session.context.restarts == 1
        app.incidents.clear()
