from functools import partial

import pytest
import trio

from supervisor.actor.stopping import Stopping
from supervisor.application.callback_failed_hooks import CallbackFailedHooks
from supervisor.application.handlers import Application, Handler
from supervisor.instruments import Instruments


class Step(Handler):
    def __init__(self, log, name, func=None):
        self._log, self._name, self._func = log, name, func

    async def on_callback_failed(self, app_context, callback, error):
        self._log.append((self._name, app_context, callback, str(error)))
        if self._func is not None:
            await self._func()


class Heard(Instruments):
    def __init__(self):
        self.errors = []

    def failure_told(self, *, application, session, error):
        assert (application, session) == ("app", "-")
        self.errors.append(error)


def make_hooks(*handlers, told=None):
    told = told or Heard()
    reported = []
    application = Application([*handlers, Handler()], name="app")
    hooks = CallbackFailedHooks(
        application,
        context="context",
        timeout=3.0,
        stopping=Stopping(),
        report=lambda what, error: reported.append((what, type(error))) or "1",
        instruments=told,
    )
    return hooks, reported


async def test_each_handlers_hook_is_called_in_order_though_one_fails_and_one_hangs(autojump_clock):
    log = []

    async def fail():
        raise LookupError

    hooks, reported = make_hooks(Step(log, "1", fail), Step(log, "2", trio.sleep_forever), Step(log, "3"))
    assert repr(hooks) == "<CallbackFailedHooks of 3 handlers>"  # those that have one
    await hooks.call("callback", ValueError("mine"))
    assert log == [(name, "context", "callback", "mine") for name in "123"]
    assert reported == [("on_callback_failed", LookupError), ("on_callback_failed", trio.TooSlowError)]
    assert trio.current_time() == 3


async def test_a_cancellation_waits_for_a_hook_and_the_end_of_all_for_none(autojump_clock):
    log = []
    hooks, reported = make_hooks(Step(log, "1", partial(trio.sleep, 2)))
    with trio.move_on_after(1):
        await hooks.call("callback", ValueError("mine"))
    assert (trio.current_time(), reported) == (2, [])
    hooks.end_by(3)
    hooks.end_by(100)
    await hooks.call("callback", ValueError("mine"))
    assert (trio.current_time(), reported) == (3, [("on_callback_failed", trio.TooSlowError)])
    await hooks.call("callback", ValueError("late"))
    assert [text for *_, text in log] == ["mine", "mine"]


async def test_what_must_pass_passes():
    async def interrupt():
        raise KeyboardInterrupt

    hooks, reported = make_hooks(Step([], "1", interrupt))
    with pytest.raises(KeyboardInterrupt):
        await hooks.call("callback", ValueError("mine"))
    assert reported == []


async def test_who_watches_is_told_of_each_hook_that_was_told_and_returned():
    async def fail():
        raise LookupError

    told, error = Heard(), ValueError("mine")
    hooks, _ = make_hooks(Step([], "1", fail), Step([], "2"), Step([], "3"), told=told)
    await hooks.call("callback", error)
    assert told.errors == [error, error]
