import math

import trio

from supervisor.application.deadline import UNLOAD_RESERVE, EndDeadline
from supervisor.application.handlers import Handler


def test_an_end_has_no_deadline_until_somebody_says_so():
    deadline = EndDeadline()
    assert deadline.at == deadline.of_sessions == math.inf


def test_it_only_moves_nearer():
    deadline = EndDeadline()
    deadline.move(20.0)
    deadline.move(30.0)
    assert deadline.at == 20.0
    assert deadline.of_sessions == 20.0 - UNLOAD_RESERVE
    assert repr(deadline) == "<EndDeadline at 20, 0 hooks under way>"


async def test_a_hook_under_way_loses_what_is_too_much(autojump_clock):
    deadline = EndDeadline()
    began = trio.current_time()
    with deadline.hook(reserve=2.0) as scope, scope:
        scope.deadline = began + 60
        deadline.move(began + 5)
        await trio.sleep_forever()
    assert trio.current_time() == began + 3
    deadline.move(began + 4)  # nobody is under way any more


async def test_a_hook_that_begins_late_has_what_is_left(autojump_clock):
    deadline = EndDeadline()
    began = trio.current_time()
    deadline.move(began + 5)
    await trio.sleep(1)
    with deadline.hook(reserve=1.0) as scope, scope:
        await trio.sleep_forever()
    assert trio.current_time() == began + 4


async def test_a_last_hook_that_fails_or_is_late_is_reported_and_stops_nobody(autojump_clock):
    class Late(Handler):
        async def on_session_destroyed(self, context):
            await trio.sleep_forever()

    class Failing(Handler):
        def on_session_destroyed(self, context):
            raise SystemExit(3)

    reports = []
    deadline = EndDeadline()
    for handler in (Late(), Failing()):
        await deadline.call_last_hook(
            "on_session_destroyed",
            handler,
            None,
            timeout=10.0,
            reserve=0.0,
            report=lambda what, error: reports.append((what, type(error))) or "1234abcd",
        )
    assert reports == [("on_session_destroyed", trio.TooSlowError), ("on_session_destroyed", SystemExit)]
