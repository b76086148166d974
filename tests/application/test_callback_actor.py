import trio


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
        mailbox = app.actor._callback_actor.mailbox

        class Broken:
            @property
            def counted(self):
                raise RuntimeError("ours")

        mailbox._entries.append(Broken())
        app.context.add_next_tick_callback(calls.append, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert app.recorder.failed_parts == ["application callback"]
        assert calls == [1]
