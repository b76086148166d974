import trio

from supervisor.actor.stopping import Stopping
from supervisor.application.deadline import call_last_hook
from supervisor.application.handlers import Handler


class Late(Handler):
    async def on_session_destroyed(self, context):
        await trio.sleep_forever()


class Failing(Handler):
    def on_session_destroyed(self, context):
        raise SystemExit(3)


class Good(Handler):
    def on_session_destroyed(self, context):
        pass


async def call(stopping, handler, *, reserve=0.0):
    reports = []
    succeeded = await call_last_hook(
        stopping,
        "on_session_destroyed",
        handler,
        None,
        timeout=10.0,
        reserve=reserve,
        report=lambda what, error: reports.append((what, type(error))) or "1234abcd",
    )
    return succeeded, reports


async def test_a_last_hook_that_fails_or_is_late_is_reported_and_stops_nobody(autojump_clock):
    assert await call(Stopping(), Late()) == (False, [("on_session_destroyed", trio.TooSlowError)])
    assert trio.current_time() == 10
    assert await call(Stopping(), Failing()) == (False, [("on_session_destroyed", SystemExit)])
    assert await call(Stopping(), Good()) == (True, [])


async def test_a_hook_under_way_loses_what_is_too_much(nursery, autojump_clock):
    stopping = Stopping()

    async def hurry():
        await trio.sleep(1)
        stopping.move(5.0)

    nursery.start_soon(hurry)
    assert (await call(stopping, Late(), reserve=2.0))[0] is False
    assert trio.current_time() == 3
    stopping.move(4.0)  # nobody is under way any more


async def test_a_hook_that_begins_when_no_time_is_left_runs_to_its_first_wait(autojump_clock):
    stopping = Stopping()
    stopping.hard()
    assert await call(stopping, Good()) == (True, [])
    assert (await call(stopping, Late()))[1] == [("on_session_destroyed", trio.TooSlowError)]
    assert trio.current_time() == 0
