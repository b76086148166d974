"""`session.crash()`: rolled back, decided by the app's own policy, told to its hooks, and expected by the test."""

import pytest
import trio
import trio.testing

from supervisor import FailurePolicy, receives
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.errors import Rejected, SessionGone
from supervisor.testing import supervise


class Message:
    pass


def modify_document(doc):
    doc.data["n"] = 0 if doc.session_context.last_incident is None else 1


def app_of(policy=None, **namespace):
    handler = NamespaceHandler({"modify_document": modify_document} | namespace, where="app")
    return Application(handler, name="app", failure_policy=policy and FailurePolicy(directive=policy))


async def test_the_first_never_notices(autojump_clock):
    async with supervise(app_of()) as app:
        first, second = await app.new_session(), await app.new_session()
        client, other = await first.connect(), await second.connect()
        received = len(client.received)
        incident = await second.crash()
        assert incident.session != "-"
        assert (incident.what, incident.decision) == ("crash", "resumed")
        assert len(client.received) == received
        assert other.data == {"n": 0}  # it was rolled back
        assert app.incidents == [incident]


async def test_a_crashed_session_that_resumes_goes_on(autojump_clock):
    async with supervise(app_of("resume")) as app:
        session = await app.new_session()
        assert (await session.crash()).decision == "resumed"
        assert session.context.restarts == 0
        async with session.context.locked_document() as doc:
            assert doc.data == {"n": 0}


async def test_a_crashed_session_that_restarts_has_its_new_document_then(autojump_clock):
    async with supervise(app_of("restart")) as app:
        session = await app.new_session()
        client = await session.connect()
        assert (await session.crash()).decision == "restarted 1 of 3 within 60 s"
        assert session.context.restarts == 1
        await client.until(lambda data: data == {"n": 1})


async def test_a_crashed_session_that_is_stopped_has_ended_then(autojump_clock):
    destroyed = []

    async def on_session_destroyed(session_context):
        await trio.sleep(1)
        destroyed.append(session_context)

    async with supervise(app_of("stop", on_session_destroyed=on_session_destroyed)) as app:
        session, other = await app.new_session(), await app.new_session()
        client = await session.connect()
        context = session.context
        assert (await session.crash()).decision == "stopped"
        assert destroyed == [context]
        assert "has failed" in (await client.until_ended()).reason
        with pytest.raises(LookupError, match="has ended"):
            await session.crash()
        assert not other.context.destroyed


async def test_a_crash_that_escalates_ends_the_app(autojump_clock):
    async with supervise(app_of("escalate")) as app:
        session, other = await app.new_session(), (await app.new_session()).context
        assert (await session.crash()).decision == "escalated"
        await other.wait_destroyed()
        await app.actor.wait_unloaded()  # and nobody ends the test, which wanted that
        assert app.actor.status == "failed"


@pytest.mark.parametrize("policy", ["resume", "restart", "stop"])
async def test_hooks_have_heard_of_it_then(autojump_clock, policy):
    heard = []

    async def on_session_failed(session_context, error):
        await trio.sleep(1)
        heard.append((session_context.document.data["n"], error))

    async with supervise(app_of(policy, on_session_failed=on_session_failed)) as app:
        error = LookupError("no such feed")
        incident = await (await app.new_session()).crash(error)
        assert incident.error is error
        assert heard == [(0, error)]


async def test_it_comes_in_its_turn(autojump_clock):
    handled = []

    @receives(Message)
    async def on_message(doc, message):
        await trio.sleep(1)
        handled.append(message)

    async with supervise(app_of(on_message=on_message)) as app:
        session = await app.new_session()
        for _ in range(3):
            await session.context.tell(Message())
        await session.crash()
        assert len(handled) == 3


async def test_a_session_whose_turn_never_comes_is_named(autojump_clock):
    @receives(Message)
    async def on_message(doc, message):
        await trio.sleep_forever()

    async with supervise(app_of(on_message=on_message)) as app:
        session = await app.new_session()
        await session.connect()
        await session.context.tell(Message())
        with pytest.raises(AssertionError, match="did not come to the crash within 60 s"):
            await session.crash()


async def test_a_session_that_ends_first_is_gone(autojump_clock):
    @receives(Message)
    async def on_message(doc, message):
        await trio.sleep(1)
        doc.session_context.destroy()

    async with supervise(app_of(on_message=on_message)) as app:
        session = await app.new_session()
        await session.context.tell(Message())
        with pytest.raises(SessionGone):
            await session.crash()


async def test_a_no_is_no_crash(autojump_clock):
    async with supervise(app_of()) as app:
        session = await app.new_session()
        with pytest.raises(TypeError, match="not a failure"):
            await session.crash(Rejected("no"))
