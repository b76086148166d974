"""The door for other threads. These run in real time, and wait for nothing but each other."""

import math
import threading

import pytest
import trio
import trio.lowlevel

from supervisor.actor import holding
from supervisor.actor.base import Runtime
from supervisor.application.actor import ApplicationActor
from supervisor.application.handlers import Application
from supervisor.errors import ActorGone, DeadlockError, HandlerFailed
from supervisor.session.receivers import receives

PATIENCE = 60.0
"""Seconds that a thread may take before a test fails: machines can be slow."""


class Add:
    pass


@receives(Add)
def on_add(doc, message):
    doc.data["n"] = doc.data.get("n", 0) + 1
    return doc.data["n"]


APP = {"on_add": on_add}


async def test_a_thread_gets_what_a_plain_or_async_function_returns(run_app):
    async with run_app(APP) as app:
        session = await app.open()

        def in_thread():
            ident = threading.get_ident()
            assert app.context.call_from_thread(threading.get_ident) != ident
            app.context.call_from_thread(session.tell, Add())
            assert app.context.call_from_thread(lambda: session.ask(Add())) == 2
            return app.context.call_from_thread(session.ask, Add())

        assert await trio.to_thread.run_sync(in_thread) == 3


async def test_a_thread_gets_what_the_function_raises(run_app):
    async def fail(error):
        await trio.lowlevel.checkpoint()
        raise error

    async with run_app(APP) as app:

        def in_thread():
            for error in (ValueError("mine"), TimeoutError("the function's own")):
                with pytest.raises(type(error)) as raised:
                    app.context.call_from_thread(fail, error)
                assert raised.value is error

        await trio.to_thread.run_sync(in_thread)


async def test_a_system_exit_does_not_end_the_thread_without_a_word(run_app):
    def leave():
        raise SystemExit("mine")

    async with run_app(APP, expect_failures=True) as app:

        def in_thread():
            with pytest.raises(HandlerFailed, match=r"SystemExit\('mine'\) ended call_from_thread\(.*leave\)"):
                app.context.call_from_thread(leave)

        await trio.to_thread.run_sync(in_thread)
        assert list(map(repr, app.recorder.errors)) == ["SystemExit('mine')"]


async def test_a_call_that_takes_too_long_is_cancelled(run_app):
    began, unwound = threading.Event(), trio.Event()

    async def hang():
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            unwound.set()
            raise ValueError("in clean-up")

    async with run_app(APP, expect_failures=True) as app:

        def in_thread():
            timeout = 0.01
            while not began.is_set():  # on a slow machine the time may be over before the call begins
                with pytest.raises(TimeoutError, match=rf"the call took longer than {timeout} s; it was cancelled"):
                    app.context.call_from_thread(hang, timeout=timeout)
                timeout *= 4

        await trio.to_thread.run_sync(in_thread)
        with trio.fail_after(PATIENCE):
            await unwound.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert list(map(repr, app.recorder.errors)) == ["ValueError('in clean-up')"]
        assert "call_from_thread" in app.recorder.failed_parts[0]


async def test_a_call_may_have_any_time_but_none_that_is_none(run_app):
    calls = []
    async with run_app(APP) as app:

        def in_thread():
            for timeout in (math.nan, -1.0):
                with pytest.raises(ValueError, match=f"timeout must be a number of seconds, at least 0, not {timeout}"):
                    app.context.call_from_thread(calls.append, timeout, timeout=timeout)
            app.context.call_from_thread(calls.append, "for ever", timeout=math.inf)

        await trio.to_thread.run_sync(in_thread)
    assert calls == ["for ever"]


async def test_a_call_that_was_given_up_before_it_began_is_never_made(run_app):
    calls = []
    async with run_app(APP) as app:
        given_up = threading.Event()

        def in_thread():
            with pytest.raises(TimeoutError):
                app.context.call_from_thread(calls.append, "never", timeout=0)
            given_up.set()

        thread = threading.Thread(target=in_thread, daemon=True)
        thread.start()
        assert given_up.wait(PATIENCE)  # the server's thread is blocked meanwhile, so that the call can't begin
        thread.join(PATIENCE)
        await trio.testing.wait_all_tasks_blocked()
        assert calls == []


async def test_a_result_that_is_ready_just_when_the_time_is_over_is_used(run_app):
    async with run_app(APP) as app:
        door = app.actor._door

        def in_thread():
            # The call is made, and has its result, before the thread begins to wait.
            def start(call):
                call.future.set_result("ready")

            door._token = type("Token", (), {"run_sync_soon": staticmethod(lambda func, call: start(call))})()
            return app.context.call_from_thread(int, timeout=0)

        assert await trio.to_thread.run_sync(in_thread) == "ready"


async def test_in_the_servers_own_thread_it_says_what_to_do(run_app):
    async with run_app(APP) as app:
        with pytest.raises(RuntimeError, match="call the function yourself, and await it"):
            app.context.call_from_thread(int)


async def test_before_the_application_has_loaded_nobody_answers(run_app):
    async def on_application_load(app_context):
        def in_thread():
            with pytest.raises(ActorGone, match="application 'app' has not loaded yet"):
                app_context.call_from_thread(int)

        await trio.to_thread.run_sync(in_thread)

    async with run_app(APP | {"on_application_load": on_application_load}):
        pass


async def test_calls_under_way_end_with_the_application_and_later_ones_find_nobody(run_app):
    """1. A thread's call hangs. 2. The application stops: the call is cancelled, the thread is told, nothing hangs."""
    began, told = trio.Event(), []

    async def hang():
        began.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:

        def in_thread():
            with pytest.raises(ActorGone, match="application 'app' has ended"):
                app.context.call_from_thread(hang)
            with pytest.raises(ActorGone, match="application 'app' has ended"):
                app.context.call_from_thread(int)
            told.append(True)

        async with run_app(APP) as app:
            nursery.start_soon(trio.to_thread.run_sync, in_thread)
            await began.wait()
            with trio.fail_after(PATIENCE):
                await app.stop()
    assert told == [True]


async def test_what_a_call_raises_while_the_application_ends_it_is_reported(run_app):
    began = trio.Event()

    async def child():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in clean-up")

    async def hang():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(trio.sleep_forever)
            began.set()

    async with trio.open_nursery() as nursery:

        def in_thread():
            with pytest.raises(ActorGone):
                app.context.call_from_thread(hang)

        async with run_app(APP, expect_failures=True) as app:
            nursery.start_soon(trio.to_thread.run_sync, in_thread)
            await began.wait()
            await trio.testing.wait_all_tasks_blocked()
        assert list(map(repr, app.recorder.errors)) == ["ValueError('in clean-up')"]


async def test_a_destroyed_hook_may_still_use_the_door(run_app):
    answers = []

    async def on_session_destroyed(session_context):
        answers.append(await trio.to_thread.run_sync(lambda: app.context.call_from_thread(lambda: "answer")))

    async with run_app(APP | {"on_session_destroyed": on_session_destroyed}) as app:
        await app.open()
    assert answers == ["answer"]


def test_after_trio_has_ended_nobody_answers():
    contexts = []

    async def main():
        actor = ApplicationActor(
            Application([], name="app"), runtime=Runtime(), make_epoch=lambda: "e", show_id=lambda id: id
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(actor.run)
            contexts.append(actor.context)
            actor.stop()

    trio.run(main)
    answers = []

    def in_thread():
        try:
            contexts[0].call_from_thread(int)
        except ActorGone as error:
            answers.append(str(error))

    thread = threading.Thread(target=in_thread, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert answers == ["application 'app' has ended"]


class Through:
    """Makes the handler wait for a thread that calls back into the loop."""

    def __init__(self, func, *args, abandon=False):
        self.func, self.args, self.abandon = func, args, abandon


@receives(Through)
async def on_through(doc, message):
    context = doc.session_context.application
    return await trio.to_thread.run_sync(
        context.call_from_thread, message.func, *message.args, abandon_on_cancel=message.abandon
    )


async def test_a_circle_through_a_thread_that_a_handler_waits_for_is_an_error_at_once(run_app):
    async with run_app(APP | {"on_through": on_through}, expect_failures=True) as app:
        one, two = await app.open(), await app.open()
        with pytest.raises(DeadlockError, match=f"session {one.id} → session {one.id}"):
            await one.ask(Through(one.ask, Add()))
        with pytest.raises(DeadlockError, match=f"session {two.id} → session {one.id} → session {two.id}"):
            await one.ask(Through(two.ask, Through(one.ask, Add())))
        assert await one.ask(Through(two.ask, Add())) == 1
        assert holding._hosts == {}


async def test_what_no_handler_waits_for_is_in_no_circle(run_app):
    """A thread that its task may abandon holds nobody up for certain; and so doesn't a thread of the app's own."""
    async with run_app(APP | {"on_through": on_through}) as app:
        one, two = await app.open(), await app.open()
        assert await one.ask(Through(two.ask, Add(), abandon=True)) == 1
        answers = []
        thread = threading.Thread(target=lambda: answers.append(app.context.call_from_thread(one.ask, Add())))
        thread.start()
        await trio.to_thread.run_sync(thread.join, PATIENCE)
        assert answers == [1]


async def test_a_thread_whose_task_was_cancelled_can_still_call(run_app):
    """1. A task waits for a thread, and can't abandon it; 2. it is cancelled; 3. the thread calls the loop."""
    async with run_app(APP) as app:
        session = await app.open()
        inside, cancelled, answers = threading.Event(), threading.Event(), []

        def call_late():
            inside.set()
            assert cancelled.wait(PATIENCE)
            answers.append(app.context.call_from_thread(session.ask, Add()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, call_late)
            await trio.to_thread.run_sync(inside.wait, PATIENCE)
            nursery.cancel_scope.cancel()
            cancelled.set()
        assert answers == [1]
