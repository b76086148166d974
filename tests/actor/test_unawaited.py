import gc
import sys
import threading
import warnings

import attrs
import pytest
import trio

from supervisor.actor.unawaited import catch_unawaited, unawaited, watch_unawaited
from supervisor.application.handlers import NamespaceHandler
from supervisor.errors import Rejected, Unawaited
from supervisor.session.receivers import receives
from supervisor.testing import SendFailed

settle = trio.testing.wait_all_tasks_blocked

pytestmark = pytest.mark.usefixtures("no_gc")


async def work():
    raise AssertionError("nobody awaits it")


def drop(_=None):
    """What an author does who forgets the `await`."""
    work()


@pytest.fixture
async def reported():
    """What was reported to the one who watches, while the test runs."""
    reports = []
    with watch_unawaited(reports.append):
        yield reports
        await settle()


NEVER = r"^never awaited, so it was not done: work; put await before the call$"


# In an entry.


async def later(clerk):
    clerk.notes.append("rolled back")
    await trio.lowlevel.checkpoint()
    drop()


async def in_a_child_task(clerk):
    clerk.notes.append("rolled back")
    async with trio.open_nursery() as children:
        children.start_soon(later, clerk)


async def returned_by_a_coroutine(clerk):
    clerk.notes.append("rolled back")
    return work()


def plain(clerk):
    clerk.notes.append("rolled back")
    drop()


def kept_in_a_variable(clerk):
    clerk.notes.append("rolled back")
    coroutine = work()  # noqa: F841


handlers = [plain, kept_in_a_variable, later, in_a_child_task, returned_by_a_coroutine]


@pytest.mark.parametrize("handler", handlers)
async def test_an_entry_that_drops_a_coroutine_fails_and_is_rolled_back_and_its_asker_gets_it(reported, clerk, handler):
    with pytest.raises(Unawaited, match=NEVER):
        await clerk.ask(handler)
    assert [(what, type(error)) for what, error in clerk.incidents] == [("message Do", Unawaited)]
    assert clerk.failures == 1
    assert clerk.notes == []
    assert reported == []
    assert await clerk.ask(lambda clerk: "alive") == "alive"


async def test_each_of_several_is_named(reported, clerk):
    def handler(clerk):
        work()
        settle()

    with pytest.raises(Unawaited, match="not done: work, wait_all_tasks_blocked; put await"):
        await clerk.ask(handler)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_tell_and_a_callback_fail_also_for_coroutines_inside_of_their_result(reported, clerk, is_async):
    """Nobody gets their result: it is let go while they can still fail."""

    def plain(_=None):
        clerk.notes.append("rolled back")
        return [work()]

    async def later(_=None):
        return plain()

    func = later if is_async else plain
    clerk.tell(func)
    clerk.callbacks.add_next_tick(func, ())
    await settle()
    assert [type(error) for error in clerk.errors] == [Unawaited, Unawaited]
    assert clerk.kept == ()


async def test_a_lambda_that_returns_a_coroutine_drops_nothing(reported, clerk):
    async def later():
        await trio.lowlevel.checkpoint()
        clerk.notes.append("done")

    clerk.callbacks.add_next_tick(lambda: later(), ())
    await settle()
    assert clerk.kept == ("done",)
    assert clerk.incidents == []


@pytest.mark.parametrize("error", [ValueError("x"), Rejected("no")])
async def test_an_entry_that_raises_all_the_same_answers_that_and_both_are_reported(reported, clerk, error):
    def handler(clerk):
        drop()
        raise error

    with pytest.raises(type(error)) as caught:
        await clerk.ask(handler)
    assert caught.value is error
    assert isinstance(clerk.errors[0], Unawaited)
    assert clerk.errors[1:] == ([error] if isinstance(error, ValueError) else [])


async def test_an_entry_that_is_cancelled_in_hand_reports_what_it_dropped(autojump_clock, reported, clerk):
    async def handler(clerk):
        drop()
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await clerk.ask(handler)
    assert scope.cancelled_caught
    assert [type(error) for error in clerk.errors] == [Unawaited]


async def test_what_is_dropped_with_an_entrys_exception_accuses_that_entry_and_not_the_next(reported, clerk):
    class Error(Exception):
        def __init__(self, payload):
            self.payload = payload

    def handler(clerk):
        clerk.report = lambda what, error: failures.append((what, type(error)))  # keeps no error alive
        raise Error(work())

    failures = []
    clerk.tell(handler)
    clerk.note("next")
    await settle()
    assert failures == [("message Do", Error), ("message Do", Unawaited)]
    assert clerk.kept == ("next",)


async def test_other_entries_and_other_actors_are_not_accused(reported, office):
    """1. a's handler waits. 2. b's handler, a background task of a's and a stranger drop coroutines. 3. a is fine."""
    a, b = await office.hire("a"), await office.hire("b")
    event = trio.Event()

    async def handler(clerk):
        await event.wait()
        return "fine"

    async with trio.open_nursery() as nursery:
        answers = []

        async def ask():
            answers.append(await a.ask(handler))

        nursery.start_soon(ask)
        await settle()
        b.tell(drop)
        a.nursery.start_soon(background)
        drop()
        await settle()
        event.set()
    assert answers == ["fine"]
    assert a.incidents == []
    assert [type(error) for error in b.errors] == [Unawaited]
    assert len(reported) == 2


async def background():
    drop()


async def test_a_handler_that_borrows_others_work_is_still_the_one_that_dropped_it(reported, office):
    a, b = await office.hire("a"), await office.hire("b")

    async def handler(clerk):
        await b.ask(lambda clerk: "answer")
        drop()

    with pytest.raises(Unawaited):
        await a.ask(handler)
    assert b.incidents == []


# Outside of any entry.


async def test_what_is_dropped_elsewhere_is_reported(reported):
    drop()
    assert reported == []  # not in the middle of anything
    await settle()
    [error] = reported
    assert isinstance(error, Unawaited)
    assert str(error) == "never awaited, so it was not done: work; put await before the call"


async def test_what_is_dropped_in_another_thread_is_reported_in_trios(reported):
    await trio.to_thread.run_sync(drop)
    await settle()
    assert len(reported) == 1


async def test_what_the_garbage_collector_finds_accuses_nobody(reported, clerk):
    def handler(clerk):
        circle = [work()]
        circle.append(circle)

    await clerk.ask(handler)
    await clerk.ask(lambda clerk: gc.collect())
    await settle()
    assert clerk.incidents == []
    assert len(reported) == 1


async def test_an_awaited_a_closed_and_a_kept_coroutine_are_no_error(reported):
    await trio.lowlevel.checkpoint()
    work().close()
    kept = work()
    await settle()
    assert reported == []
    kept.close()


async def test_a_net_catches_for_whoever_spreads_it_the_innermost_first(reported):
    with catch_unawaited() as outer:
        drop()
        with catch_unawaited() as inner:
            drop()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(background)
        drop()
    assert (outer, inner) == (["work", "work"], ["work", "work"])
    assert isinstance(unawaited(outer), Unawaited)
    assert outer == []


async def test_a_task_in_a_nursery_that_was_open_before_is_not_in_the_net(reported):
    async with trio.open_nursery() as nursery:
        with catch_unawaited() as names:
            nursery.start_soon(background)
            await settle()
    assert names == []
    assert len(reported) == 1


# What is done to the interpreter.


@pytest.fixture
def hooked(monkeypatch):
    """What reaches the hook that was there before ours."""
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_type))
    return seen


class Unraisable:
    def __del__(self):
        raise ZeroDivisionError


async def test_everything_else_goes_to_the_hook_that_was_there(hooked, reported):
    Unraisable()
    drop()
    await settle()
    assert hooked == [ZeroDivisionError]
    assert len(reported) == 1


async def test_hook_and_filters_are_restored_at_the_end(hooked):
    before = (sys.unraisablehook, list(warnings.filters), list(gc.callbacks))
    with watch_unawaited(print):
        assert sys.unraisablehook is not before[0]
    assert (sys.unraisablehook, list(warnings.filters), list(gc.callbacks)) == before
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        drop()


def test_watches_of_several_trio_runs_begin_and_end_at_the_same_time(hooked):
    """
    1. A first one finds nobody who watches.
    2. A second one, in another thread, does so too, and keeps as the hook that was there that of the first one.
    3. Both end, and what the first one has kept is lost.
    """

    together = threading.Barrier(4, timeout=10)

    async def watch():
        together.wait()
        for _ in range(2_000):
            with watch_unawaited(print):
                pass

    before = (sys.unraisablehook, list(warnings.filters), list(gc.callbacks))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=trio.run, args=(watch,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (sys.unraisablehook, list(warnings.filters), list(gc.callbacks)) == before


@pytest.mark.parametrize("action", ["error", "ignore", "default"])
async def test_it_works_whatever_the_interpreter_was_told_of_warnings(hooked, action):
    reports = []
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with watch_unawaited(reports.append):
            drop()
            drop()
            await settle()
    assert [type(error) for error in reports] == [Unawaited, Unawaited]
    assert hooked == []


async def test_other_warnings_are_left_alone():
    with pytest.warns(RuntimeWarning, match="something else"), watch_unawaited(print):
        warnings.warn("something else", RuntimeWarning, stacklevel=1)


async def test_several_may_watch_and_end_in_any_order(hooked):
    first, second, third = [], [], []
    hook = sys.unraisablehook
    one, two, three = [watch_unawaited(reports.append) for reports in (first, second, third)]
    for watch in (one, two, three):
        watch.__enter__()
    one.__exit__(None, None, None)
    drop()
    await settle()
    three.__exit__(None, None, None)
    drop()
    await settle()
    two.__exit__(None, None, None)
    assert (len(first), len(second), len(third)) == (0, 1, 1)
    assert sys.unraisablehook is hook


async def test_a_hook_that_somebody_put_before_ours_stays_and_nothing_goes_round_in_circles(hooked, monkeypatch):
    """1. We watch. 2. Another hook is put before ours, and calls it. 3. We end. 4. We watch again."""
    reports, others = [], []
    watch = watch_unawaited(reports.append)
    watch.__enter__()
    ours = sys.unraisablehook

    def other(unraisable):
        others.append(unraisable.exc_type)
        ours(unraisable)

    monkeypatch.setattr(sys, "unraisablehook", other)
    drop()
    await settle()
    watch.__exit__(None, None, None)
    assert sys.unraisablehook is other
    with watch_unawaited(reports.append):
        Unraisable()
        drop()
        await settle()
    assert others == [RuntimeWarning, ZeroDivisionError]
    assert hooked == [ZeroDivisionError]
    assert len(reports) == 2


async def test_a_long_trace_of_where_it_was_made_is_not_part_of_the_name(reported):
    depth = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(3)
    try:
        drop()
    finally:
        sys.set_coroutine_origin_tracking_depth(depth)
    await settle()
    assert "done: work; put" in str(reported[0])


async def test_a_server_watches_a_forgotten_await_fails_the_message_and_rolls_it_back(supervise):
    @receives(Forgetful, from_client=True)
    def on_forgetful(doc, message):
        doc.data["done"] = True
        doc.session_context.tell(message)

    async with supervise(NamespaceHandler(locals(), where="app")) as app:
        client = await (await app.new_session()).connect()
        with pytest.raises(SendFailed) as caught:
            await client.send("Forgetful")
        (incident,) = app.incidents
        assert caught.value.incident == incident.id
        assert isinstance(incident.error, Unawaited)
        assert "SessionContext.tell" in str(incident.error)
        assert client.data == {}
        app.incidents.clear()


@attrs.frozen
class Forgetful:
    pass
