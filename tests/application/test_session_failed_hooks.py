"""Which failed hooks hear of a failure, in which order, and what becomes of what they raise."""

import pytest
import trio

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.handlers import Application, Handler
from supervisor.session.receivers import receives


class Break:
    pass


@receives(Break)
def on_break(doc, message):
    raise ValueError("mine")


class Told(Handler):
    receivers = ()

    def __init__(self, log, name, fails=False, refuses=False):
        self._log, self._name, self._fails, self._refuses = log, name, fails, refuses

    def on_session_created(self, session_context):
        if self._refuses:
            session_context.destroy()

    def on_session_failed(self, session_context, error):
        session_context.document.data[self._name] = str(error)
        self._log.append((self._name, error))
        if self._fails:
            raise RuntimeError(self._name)


class First(Told):
    receivers = (on_break,)


async def test_all_handlers_hear_of_it_in_order_each_in_a_transaction_of_its_own(run_app, autojump_clock):
    log = []
    handlers = [First(log, "1"), Told(log, "2", fails=True), Told(log, "3")]
    async with run_app(handlers, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        async with session.locked_document() as doc:
            assert doc.data == {"1": "mine", "3": "mine"}
        assert [name for name, _ in log] == ["1", "2", "3"]
        assert [incident.what for incident in app.recorder.incidents] == ["message Break", "on_session_failed"]
        assert {error for _, error in log} == {app.recorder.errors[0]}
        assert app.recorder.told == [app.recorder.errors[0]] * 2  # not by the hook that failed


async def test_a_handler_whose_created_hook_had_no_turn_hears_nothing(run_app, autojump_clock):
    """A background task of the first created hook fails; the second one refuses the session."""

    class Starting(First):
        async def on_session_created(self, session_context):
            def fail():
                raise ValueError("task")

            session_context.start_soon(fail)
            await trio.sleep(1)

    log = []
    async with run_app([Starting(log, "1"), Told(log, "2", refuses=True), Told(log, "3")], expect_failures=True) as app:
        await app.outcome("a")
        await trio.sleep(1)
        assert [name for name, _ in log] == ["1"]


async def test_an_end_that_has_a_deadline_gives_the_hook_no_more(run_app, autojump_clock):
    """Owed at the end, it is one of the last hooks: it leaves the others their time."""
    began = []

    class Slow(First):
        async def on_session_failed(self, session_context, error):
            began.append(trio.current_time())
            await trio.sleep_forever()

    async with run_app([Slow([], "1")], expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await trio.testing.wait_all_tasks_blocked()
        assert await app.stop(deadline=trio.current_time() + 6) <= 6
        assert began == [0]


POLICY = FailurePolicy(directive="restart", backoff=Backoff(first=0))


@pytest.mark.parametrize("given", [None, POLICY])
async def test_an_application_may_say_the_policy_itself(run_app, autojump_clock, given):
    application = Application([First([], "1")], name="app", failure_policy=given)
    async with run_app(application, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        async with session.locked_document():
            pass
        assert session.restarts == (given is not None)


async def test_one_that_makes_the_document_too_large_has_failed_and_is_rolled_back(run_app, autojump_clock):
    class Filling(First):
        def on_session_failed(self, session_context, error):
            session_context.document.data["text"] = "x" * 2000

    async with run_app([Filling([], "1"), Told([], "2")], expect_failures=True, max_document_size=1024) as app:
        session = await app.open()
        session.tell_nowait(Break())
        async with session.locked_document() as doc:
            assert doc.data == {"2": "mine"}
        assert [incident.what for incident in app.recorder.incidents] == ["message Break", "on_session_failed"]
