"""A session that ends while it restarts, or while somebody borrows its document."""

import pytest
import trio
import trio.testing

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.session.actor import RESTARTING

from .failing import RESTART, App, Break, Call, Fail, Log, listen, log_of


async def test_destroyed_during_the_pause_nothing_is_built_and_the_old_document_is_read(run_app, autojump_clock):
    last = []
    namespace = App(RESTART, on_session_destroyed=lambda session: last.append(list(session.document.data["log"])))
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Log("old"))
        session.tell_nowait(Break())
        session.tell_nowait(Log("never"))
        await trio.sleep(0.5)
        session.destroy()
        session.destroy()
        await session.wait_destroyed()
        assert trio.current_time() == 0.5
        assert last == [["old"]]
        assert namespace.story == ["created", "modify", "failed Break"]
        assert len(app.recorder.dead_letters) == 1


@pytest.mark.parametrize("end", ["destroy", "stop"])
async def test_destroyed_while_it_is_built_anew_the_old_document_is_read(run_app, autojump_clock, end):
    last, builds = [], []

    async def modify_document(doc):
        doc.data["log"] = []
        builds.append(1)
        if len(builds) > 1:
            doc.commit()
            await trio.sleep_forever()

    def on_session_destroyed(session_context):
        last.append(list(session_context.document.data["log"]))
        session_context.document.data["log"] = "seen by nobody"
        session_context.document.commit()

    namespace = App(RESTART, modify_document=modify_document, on_session_destroyed=on_session_destroyed)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        heard = listen(app, session)
        session.tell_nowait(Log("old"))
        session.tell_nowait(Break())
        await trio.sleep(2)
        if end == "destroy":
            session.destroy()
        else:
            app.actor.stop()
        await session.wait_destroyed()
        assert last == [["old"]]
        assert heard == [3, ("restarting", 1.0)]


async def test_destroyed_by_its_failed_hook_nothing_else_follows(run_app, autojump_clock):
    def on_session_failed(session_context, error):
        session_context.document.data["log"].append("last")
        session_context.destroy(reason="by hook")

    last = []
    namespace = App(
        RESTART,
        on_session_failed=on_session_failed,
        on_session_destroyed=lambda session: last.append(list(session.document.data["log"])),
    )
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        session.tell_nowait(Log("never"))
        await session.wait_destroyed()
        assert session.restarts == 0
        assert last == [["last"]]
        assert app.recorder.events[-1] == ("destroyed", "s1", "by hook")
        assert trio.current_time() == 0


async def test_destroyed_by_modify_document_of_a_restart_the_old_document_stays(run_app, autojump_clock):
    last, builds = [], []

    def modify_document(doc):
        doc.data["log"] = [len(builds)]
        builds.append(1)
        if len(builds) > 1:
            doc.session_context.destroy(reason="enough")

    namespace = App(
        RESTART,
        modify_document=modify_document,
        on_session_destroyed=lambda session: last.append(list(session.document.data["log"])),
    )
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        await session.wait_destroyed()
        assert last == [[0]]
        assert session.restarts == 0


async def test_a_borrower_keeps_its_place_and_its_own_deadline(run_app, autojump_clock):
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=10, jitter=0))
    async with run_app(App(policy), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Break())
        with pytest.raises(trio.TooSlowError):
            async with session.locked_document(timeout=2):
                raise AssertionError
        async with session.locked_document() as doc:
            assert doc.data["log"] == []
        assert trio.current_time() == 10
        assert session.restarts == 1


async def test_a_borrower_that_waits_gets_the_old_document_if_the_session_is_destroyed_first(run_app, autojump_clock):
    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Log("old"))
        session.tell_nowait(Break())
        seen = []

        async def borrow():
            seen.extend(await log_of(session))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow)
            await trio.sleep(0.5)
            session.destroy()
        assert seen == ["old"]


async def test_a_failure_of_the_background_while_somebody_borrows_waits_for_the_return(run_app, autojump_clock):
    def fail():
        raise Fail("task")

    async with run_app(App(RESTART), expect_failures=True) as app:
        session = await app.open()
        async with session.locked_document() as doc:
            session.start_soon(fail)
            await trio.sleep(5)
            doc.data["log"].append("mine")
        assert session.restarts == 0
        assert await log_of(session) == []
        assert session.restarts == 1


# A soft end.


async def test_a_soft_end_forgets_no_failure_that_had_no_turn_yet(run_app, autojump_clock):
    """What restarts the session while it lives is told in its turn, and then ends it; see `test_finishing`.

    1. A handler takes a second; a background task fails meanwhile, so a restart is due.
    2. The session is told to end softly: it takes no more.
    3. The handler returns, the failed hook runs, and the session ends.
    """

    async def be_slow(doc):
        await trio.sleep(1)
        namespace.story.append("was slow")

    def fail():
        raise Fail("task")

    namespace = App(RESTART)
    async with run_app(namespace, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Call(be_slow))
        session.tell_nowait(Call(lambda doc: namespace.story.append("waited")))
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(fail)
        await trio.testing.wait_all_tasks_blocked()
        app.actor.find("s1").finish(RESTARTING)
        await session.wait_destroyed()
        assert namespace.story == ["created", "modify", "was slow", "failed task", "destroyed"]
        assert session.restarts == 0
