"""What else a thread may do, and how many there may be."""

import pytest
import trio
import trio.testing

from supervisor.errors import DeadlockError, Unawaited

from .working import APP, Do, Look, put


async def test_a_thread_reaches_the_server_by_one_door(run_app):
    async with run_app(APP) as app:
        mine, other = await app.open(), await app.open()

        def work(doc):
            for refused in (lambda: other.tell_nowait(Look()), other.destroy, lambda: doc.add_callback(print)):
                with pytest.raises(RuntimeError, match=r"use app_context\.call_from_thread"):
                    refused()
            app.context.call_from_thread(other.ask, Do(put, "by", mine.id))
            return app.context.call_from_thread(other.ask, Look())

        assert await mine.ask(Do(work)) == {"by": mine.id}


async def test_a_circle_through_a_thread_is_an_error_that_names_it(run_app):
    async with run_app(APP) as app:
        one, two = await app.open(), await app.open()

        def back(doc):
            with pytest.raises(DeadlockError) as raised:
                app.context.call_from_thread(one.ask, Look())
            return str(raised.value)

        said = await one.ask(Do(back))
        assert f"{one!r}".split()[2].rstrip(">") in said
        assert "would wait for ever" in said
        said = await one.ask(Do(lambda doc: app.context.call_from_thread(two.ask, Do(back))))
        assert said.count(" → ") == 2
        for wait in (one.wait_destroyed, lambda: one.with_locked_document(print)):
            with pytest.raises(DeadlockError):
                await one.ask(Do(lambda doc, wait=wait: app.context.call_from_thread(wait)))
        app.recorder.incidents.clear()


async def test_a_coroutine_that_nobody_can_await_there_fails_the_message(run_app, recorder):
    from supervisor.actor.unawaited import watch_unawaited

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        with watch_unawaited(recorder.incidents.append):
            with pytest.raises(
                Unawaited, match=r"SessionContext\.tell; in a thread write app_context\.call_from_thread"
            ):
                await session.ask(Do(lambda doc: (put(doc, "a", 1), session.tell(Look()), None)[2]))
        assert await session.ask(Look()) == {}


async def test_a_session_that_its_own_thread_destroys_lets_it_finish(run_app, recorder):
    seen = []
    async with run_app(
        {**APP, "on_session_destroyed": lambda context: seen.append(dict(context.document.data))}
    ) as app:
        session = await app.open()

        def work(doc):
            app.context.call_from_thread(session.destroy)
            doc.data["a"] = 1
            return "done"

        assert await session.ask(Do(work)) == "done"
        await session.wait_destroyed()
    assert seen == [{"a": 1}]


async def test_threads_are_limited_and_who_waits_for_one_can_be_cancelled(run_app, gate):
    async with run_app(APP, max_threads=1) as app:
        first, second = await app.open(), await app.open()
        await first.tell(Do(lambda doc: gate.wait()))
        await gate.reached()
        began = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.ask, Do(lambda doc: began.append(1)))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert app.actor.workers.at_work == 1
        assert await second.ask(Look()) == {}
        await second.tell(Do(lambda doc: began.append(2)))
        gate.open.set()
        await second.ask(Look())
        assert began == [2]
        assert app.actor.workers.at_work == 0
