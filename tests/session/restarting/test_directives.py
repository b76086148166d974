"""What follows a failure: the policy decides, whatever of the session's code it was."""

import pytest
import trio

from supervisor.actor.restart import FailurePolicy
from supervisor.errors import Rejected
from supervisor.session.connection import ConnectionContext
from supervisor.session.request import Request

from .failing import RESTART, App, Break, Call, Fail, Log, Restart, Stop, log_of


async def test_by_default_a_session_goes_on_from_the_document_before_the_message(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        await session.ask(Log("kept"))
        with pytest.raises(Fail):
            await session.ask(Break())
        assert await log_of(session) == ["kept"]
        assert namespace.story == ["created", "modify", "failed Break"]
        assert session.restarts == 0
        assert trio.current_time() == 0


async def test_stop_destroys_the_session_after_the_asker_has_its_error(run_app, autojump_clock, connect):
    namespace = App()
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        connection = connect(app, session)
        with pytest.raises(Fail):
            await session.ask(Stop())
        await session.wait_destroyed()
        (incident,) = app.recorder.incidents
        assert namespace.story == ["created", "modify", "failed Stop", "destroyed"]
        assert connection.ending.kind == "destroyed"
        assert connection.ending.reason == f"The session has failed and was stopped (incident {incident.id})."
        assert incident.decision == "stopped"


async def test_the_policy_is_the_applications_and_a_type_of_message_may_have_its_own(run_app, autojump_clock):
    async with run_app(App(FailurePolicy(directive="stop")), expect_failures=True) as app:
        session, other = await app.open(), await app.open()
        with pytest.raises(Fail):
            await session.ask(Restart())
        await trio.sleep(1)
        assert session.restarts == 1
        with pytest.raises(Fail):
            await other.ask(Break())
        await other.wait_destroyed()
        assert not session.destroyed


async def test_escalation_goes_to_the_application_and_the_session_ends(run_app, autojump_clock):
    escalated = []
    async with run_app(App(FailurePolicy(directive="escalate")), expect_failures=True) as app:
        app.actor._registry._on_escalation = escalated.append
        session, other = await app.open(), await app.open()
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert escalated == app.recorder.incidents
        assert escalated[0].decision == "escalated"
        assert not other.destroyed


async def test_an_escalation_that_fails_leaves_nothing_undone(run_app, autojump_clock):
    def fail(incident):
        raise RuntimeError("ours")

    async with run_app(App(FailurePolicy(directive="escalate")), expect_failures=True) as app:
        app.actor._registry._on_escalation = fail
        session = await app.open()
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert [incident.what for incident in app.recorder.incidents] == ["message Break", "restart"]


async def test_a_no_is_no_failure(run_app, autojump_clock):
    def refuse(doc):
        raise Rejected("no")

    namespace = App(RESTART)
    async with run_app(namespace) as app:
        session = await app.open()
        with pytest.raises(Rejected):
            await session.ask(Call(refuse))
        assert namespace.story == ["created", "modify"]
        assert session.last_incident is None


async def test_the_failure_of_a_borrow_or_an_update_is_its_callers(run_app, autojump_clock):
    """Always resumed, and the failed hook doesn't hear of it; of an update the log does."""

    def fail(doc):
        raise Fail

    namespace = App(FailurePolicy(directive="stop"))
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        with pytest.raises(Fail):
            await session.with_locked_document(fail)
        report = await app.context.update_sessions(fail)
        assert list(report.failed) == [session]
        (incident,) = app.recorder.incidents
        assert incident.decision == ""
        assert not session.destroyed
        assert namespace.story == ["created", "modify"]


def by_callback(session, fail):
    session.document.add_next_tick_callback(fail)


def by_timer(session, fail):
    session.document.add_timeout_callback(fail, seconds=1)


def by_listener(session, fail):
    session.document.on_change("/log", lambda doc, change: fail())
    session.tell_nowait(Log("changed"))


def by_task(session, fail):
    session.start_soon(fail)


@pytest.mark.parametrize("cause", [by_callback, by_timer, by_listener, by_task])
async def test_whatever_of_the_sessions_code_fails_the_policy_counts(run_app, autojump_clock, cause):
    def fail():
        raise Fail("it")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        cause(session, fail)
        await trio.sleep(3)
        assert session.restarts == 1
        assert namespace.story == ["created", "modify", "failed it", "modify"]


@pytest.mark.parametrize("hook", ["on_connection_opened", "on_connection_closed"])
async def test_the_hooks_of_connections_too(run_app, autojump_clock, hook):
    def fail(session_context, connection):
        raise Fail("it")

    namespace = App(RESTART, **{hook: fail})
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        connection = ConnectionContext(id="c", request=Request())
        actor = app.actor.find("s1")
        try:
            await actor.let_in(connection)
        except Exception:
            assert hook == "on_connection_opened"
        else:
            actor.depart(connection)
        await trio.sleep(3)
        assert session.restarts == 1
        assert namespace.story == ["created", "modify", "failed it", "modify"]
