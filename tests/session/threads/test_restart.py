"""A thread that builds the document of a restart."""

import threading

import msgspec
import trio
import trio.testing

from supervisor.actor.in_thread import in_thread
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.errors import SessionGone

from .working import APP, Do, Look, put


async def test_a_restart_may_build_in_a_worker_thread_and_nobody_sees_that_before(run_app, gate):
    """The thread is lent the new document; the old one is what others see, and what is left if the session ends."""
    builds = []

    @in_thread
    def modify_document(doc):
        doc.data["n"] = len(builds)
        builds.append(threading.get_ident())
        if len(builds) > 1:
            doc.commit()
            gate.wait()
            doc.data["more"] = 1

    @in_thread
    def on_session_failed(session_context, error):
        session_context.document.data["failed in"] = threading.get_ident()

    policy = FailurePolicy(directive="restart", backoff=Backoff(first=0))
    app = {**APP, "modify_document": modify_document, "on_session_failed": on_session_failed, "failure_policy": policy}
    async with run_app(app, expect_failures=True) as app:
        session = await app.open()
        actor = app.actor.find("s1")
        session.tell_nowait(Do(put, 1, "is no key of JSON"))
        await gate.reached()
        assert msgspec.json.decode(actor.stored.snapshot()).keys() == {"n", "failed in"}
        assert session.restarts == 0
        gate.open.set()
        assert await session.ask(Look()) == {"n": 1, "more": 1}
        assert session.restarts == 1
        assert threading.get_ident() not in builds


async def test_a_thread_that_builds_when_the_session_ends_loses_its_document(run_app, gate):
    outcomes, last = [], []

    @in_thread
    def modify_document(doc):
        doc.data["n"] = len(outcomes)
        if doc.session_context.last_incident is not None:
            gate.wait()
            try:
                doc.data["more"] = 1
            except SessionGone as error:
                outcomes.append(error)

    policy = FailurePolicy(directive="restart", backoff=Backoff(first=0))
    app = {
        **APP,
        "modify_document": modify_document,
        "failure_policy": policy,
        "on_session_destroyed": lambda session: last.append(dict(session.document.data)),
    }
    async with run_app(app, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Do(put, 1, "is no key of JSON"))
        await gate.reached()
        session.destroy()
        await trio.testing.wait_all_tasks_blocked()
        gate.open.set()
        await session.wait_destroyed()
        assert last == [{"n": 0}]
        assert len(outcomes) == 1
