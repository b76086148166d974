import trio

from supervisor.actor.unawaited import watch_unawaited
from supervisor.errors import Rejected


async def test_a_failing_callback_is_reported_and_a_periodic_one_goes_on(step, run_app, autojump_clock):
    def fail():
        raise SystemExit("mine")

    async with run_app([step([])], expect_failures=True) as app:
        app.context.add_periodic_callback(fail, seconds=1)
        await trio.sleep(3.5)
        assert [repr(error) for error in app.recorder.errors] == ["SystemExit('mine')"] * 3
        assert "fail" in app.recorder.failed_parts[0]
        assert "periodic callback" in app.recorder.failed_parts[0]


async def test_the_callbacks_task_goes_on_after_a_failure_of_its_loop(step, run_app, autojump_clock):
    calls = []
    async with run_app([step([])], expect_failures=True) as app:
        mailbox = app.actor.background._actor.mailbox

        class Broken:
            @property
            def counted(self):
                raise RuntimeError("ours")

        mailbox._entries.append(Broken())
        app.context.add_next_tick_callback(calls.append, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert app.recorder.failed_parts == ["application callback"]
        assert calls == [1]


async def test_the_hook_hears_of_each_failed_callback_before_the_next_one_is_called(run_app, autojump_clock):
    told = []

    async def on_callback_failed(app_context, callback, error):
        told.append(("hook begins", callback.name, str(error)))
        await trio.sleep(0.5)
        told.append("hook ends")

    async def fail():
        await trio.lowlevel.checkpoint()
        raise ValueError("mine")

    fail.__qualname__ = "fail"
    namespace = {"modify_document": lambda doc: None, "on_callback_failed": on_callback_failed}
    async with run_app(namespace, expect_failures=True) as app:
        handle = app.context.add_periodic_callback(fail, seconds=1)
        app.context.add_timeout_callback(told.append, "neighbour", seconds=1)
        producer_calls = []
        app.context.add_callback(lambda: producer_calls.append(trio.current_time()), restart="permanent")
        await trio.sleep(1.25)
        assert told == [("hook begins", "fail", "mine")]
        assert len(producer_calls) == 2  # 0 and 0.5: its next one is at 1.5
        await trio.sleep(0.5)
        assert told[1:] == ["hook ends", "neighbour"]
        app.context.remove_callback(handle)


async def test_the_hook_hears_of_what_a_callback_drops_and_of_no_other_failure(run_app, autojump_clock):
    told = []

    def on_callback_failed(app_context, callback, error):
        told.append((callback.name, type(error).__name__))

    def drop():
        trio.sleep(1)  # noqa: ASYNC105 (that it is dropped is the point)

    def reject():
        raise Rejected("no")

    drop.__qualname__, reject.__qualname__ = "drop", "reject"
    namespace = {"modify_document": lambda doc: None, "on_callback_failed": on_callback_failed}
    async with run_app(namespace, expect_failures=True) as app:
        with watch_unawaited(lambda error: None):
            app.context.add_next_tick_callback(drop)
            app.context.add_next_tick_callback(reject)
            await trio.testing.wait_all_tasks_blocked()
        assert told == [("drop", "Unawaited")]


async def test_a_callback_that_fails_while_the_application_ends_is_told_too(run_app, autojump_clock):
    told = []

    def on_callback_failed(app_context, callback, error):
        told.append(str(error))

    async def fail_in_cleanup():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in cleanup")

    namespace = {"modify_document": lambda doc: None, "on_callback_failed": on_callback_failed}
    async with run_app(namespace, expect_failures=True) as app:
        app.context.add_next_tick_callback(fail_in_cleanup)
        await trio.testing.wait_all_tasks_blocked()
        await app.stop()
        assert told == ["in cleanup"]
