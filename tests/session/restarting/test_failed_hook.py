"""The failed hook, and what is reported of a failure."""

import trio
import trio.testing

from supervisor.instruments import Incident
from supervisor.session.restarting import MAX_UNTOLD

from .failing import RESTART, App, Break, Call, Fail, Log, listen, log_of


async def test_the_failed_hook_is_a_transaction_of_its_own_after_the_rollback(run_app, autojump_clock):
    def on_session_failed(session_context, error):
        session_context.document.data["log"].append(f"told of {error}")

    async with run_app(App(on_session_failed=on_session_failed), expect_failures=True) as app:
        session = await app.open()
        heard = listen(app, session)
        session.tell_nowait(Break())
        session.tell_nowait(Log("next"))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [3, 4]
        assert await log_of(session) == ["told of Break", "next"]


async def test_what_the_failed_hook_raises_is_only_reported(run_app, autojump_clock):
    def on_session_failed(session_context, error):
        session_context.document.data["log"].append("lost")
        raise Fail("hook")

    async with run_app(App(RESTART, on_session_failed=on_session_failed), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await trio.sleep(3)
        assert session.restarts == 1
        assert [(incident.what, incident.decision) for incident in app.recorder.incidents] == [
            ("message Break", "restarted 1 of 3 within 60 s"),
            ("on_session_failed", ""),
        ]
        assert session.last_incident is app.recorder.incidents[0]


async def test_a_failed_hook_has_a_deadline(run_app, autojump_clock):
    async def on_session_failed(session_context, error):
        await trio.sleep_forever()

    namespace = App(on_session_failed=on_session_failed)
    async with run_app(namespace, expect_failures=True, hook_timeout=4) as app:
        session = await app.open()
        session.tell_nowait(Break())
        assert await log_of(session) == []
        assert trio.current_time() == 4
        assert isinstance(app.recorder.errors[1], trio.TooSlowError)


async def test_it_hears_of_each_failure_once_also_if_the_session_ends_first(run_app, autojump_clock):
    """A failure whose hook had no turn yet.

    1. A handler hangs; a background task fails meanwhile, so its failed hook has to wait.
    2. The session is destroyed.
    3. The failed hook runs, and then the destroyed hook.
    """

    async def hang(doc):
        await trio.sleep_forever()

    def fail():
        raise Fail("task")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(hang))
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(fail)
        await trio.testing.wait_all_tasks_blocked()
        session.destroy()
        await session.wait_destroyed()
        assert namespace.story == ["created", "modify", "failed task", "destroyed"]


async def test_it_hears_of_what_fails_while_the_session_ends(run_app, autojump_clock):
    async def fail_at_the_end():
        try:
            await trio.sleep_forever()
        finally:
            raise Fail("cleanup")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.start_soon(fail_at_the_end)
        await trio.testing.wait_all_tasks_blocked()
        session.destroy()
        await session.wait_destroyed()
        assert namespace.story == ["created", "modify", "failed cleanup", "destroyed"]
        assert app.recorder.incidents[0].decision == "the session ends"


async def test_the_failures_that_wait_for_it_are_bounded(run_app, autojump_clock):
    async def hang(doc):
        await trio.sleep(1)

    def fail():
        raise Fail("task")

    namespace = App()
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(hang))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(MAX_UNTOLD + 50):
            session.start_soon(fail)
        await trio.sleep(2)
        assert namespace.story.count("failed task") == MAX_UNTOLD
        assert len(app.recorder.incidents) == MAX_UNTOLD + 50


async def test_without_such_a_hook_nothing_is_queued_for_what_is_resumed(run_app, autojump_clock):
    namespace = App()
    del namespace["on_session_failed"]
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        actor = app.actor.find("s1")
        actor.report_supervised("it", Fail())
        assert actor.mailbox.is_empty()
        assert session.last_incident.what == "it"


# Reports.


async def test_an_incident_tells_where_it_was_what_waited_and_what_follows(run_app, autojump_clock):
    async with run_app(App(), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        for text in range(7):
            session.tell_nowait(Log(text))
        session.document.add_next_tick_callback(print)
        await trio.testing.wait_all_tasks_blocked()
        (incident,) = app.recorder.incidents
        assert isinstance(incident, Incident)
        assert incident.path == "application app → session s1 → message Break → Fail: Break"
        assert incident.mailbox == (*["message Log"] * 4, "next tick callback print")
        assert incident.message.startswith("<")
        assert incident.decision == "resumed"
        assert session.last_incident is incident


async def test_modify_document_can_tell_what_happened(run_app, autojump_clock):
    def modify_document(doc):
        incident = doc.session_context.last_incident
        doc.data["log"] = [] if incident is None else [str(incident.error)]

    async with run_app(App(RESTART, modify_document=modify_document), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        assert await log_of(session) == ["Break"]
