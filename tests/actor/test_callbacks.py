import math
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.actor.callbacks import NEXT_TICKS
from supervisor.errors import MailboxFull

settle = trio.testing.wait_all_tasks_blocked


@pytest.fixture
def fired():
    """What has fired, with its time since the start."""
    return []


@pytest.fixture
def fire(autojump_clock, fired):
    """A callback that notes that it was called: `fire(name)`."""
    start = autojump_clock.current_time()
    return lambda name="tick": fired.append((name, trio.current_time() - start))


def times(fired):
    return [time for _, time in fired]


def block(clerk, until):
    """Keep the clerk busy until then."""

    async def wait(clerk):
        await trio.sleep_until(until)

    clerk.tell(wait)


# What is called, and when.


async def test_each_kind_calls_the_function_with_its_arguments_and_nothing_else(autojump_clock, clerk):
    called = []

    def func(*args):
        called.append(args)

    clerk.callbacks.add_next_tick(func, (1, 2))
    clerk.callbacks.add_timeout(func, (3,), 1)
    periodic = clerk.callbacks.add_periodic(func, (), 2)
    await trio.sleep(2.5)
    assert called == [(1, 2), (3,), ()]
    clerk.callbacks.remove(periodic)


async def test_a_timeout_fires_once_and_a_periodic_one_first_after_its_period(autojump_clock, clerk, fire, fired):
    clerk.callbacks.add_timeout(fire, ("timeout",), 3)
    periodic = clerk.callbacks.add_periodic(fire, ("periodic",), 2)
    await trio.sleep(7)
    assert fired == [("periodic", 2), ("timeout", 3), ("periodic", 4), ("periodic", 6)]
    clerk.callbacks.remove(periodic)


async def test_a_timeout_of_no_time_is_a_tick_all_the_same(autojump_clock, clerk, fire, fired):
    clerk.callbacks.add_timeout(fire, ("now",), 0)
    assert fired == []
    await settle()
    assert fired == [("now", 0)]


@pytest.mark.parametrize("kind", ["next tick", "timeout", "periodic"])
async def test_a_callback_may_be_plain_or_async_or_a_lambda_that_returns_a_coroutine(autojump_clock, clerk, kind):
    def add(func):
        if kind == "next tick":
            clerk.callbacks.add_next_tick(func, ())
        elif kind == "timeout":
            clerk.callbacks.add_timeout(func, (), 1)
        else:
            clerk.callbacks.add_periodic(func, (), 1)

    async def later(name):
        await trio.lowlevel.checkpoint()
        clerk.notes.append(name)

    add(lambda: clerk.notes.append("plain"))
    add(partial(later, "async"))
    add(lambda: later("lambda"))
    await trio.sleep(1.5)
    assert clerk.kept == ("plain", "async", "lambda")
    clerk.callbacks.clear()


async def test_next_ticks_come_in_order_with_messages(clerk):
    clerk.note(1)
    clerk.callbacks.add_next_tick(clerk.notes.append, (2,))
    clerk.note(3)
    clerk.callbacks.add_next_tick(clerk.notes.append, (4,))
    await settle()
    assert clerk.kept == (1, 2, 3, 4)


@pytest.mark.parametrize("kind", ["next tick", "timeout", "periodic"])
async def test_a_callback_that_raises_is_rolled_back_and_reported_and_a_periodic_one_goes_on(
    autojump_clock, clerk, kind
):
    def fail():
        clerk.notes.append("rolled back")
        raise ValueError("x")

    if kind == "next tick":
        clerk.callbacks.add_next_tick(fail, ())
    elif kind == "timeout":
        clerk.callbacks.add_timeout(fail, (), 1)
    else:
        clerk.callbacks.add_periodic(fail, (), 1)
    await trio.sleep(3.5)
    assert len(clerk.incidents) == (3 if kind == "periodic" else 1)
    what, error = clerk.incidents[0]
    assert what.startswith(f"{kind} callback test_a_callback_that_raises")
    assert what.endswith(".fail")
    assert str(error) == "x"
    assert clerk.notes == []
    clerk.callbacks.clear()


async def test_a_callback_that_was_cancelled_in_hand_is_rolled_back(autojump_clock, clerk):
    async def hang():
        clerk.notes.append("rolled back")
        await trio.sleep_forever()

    handle = clerk.callbacks.add_periodic(hang, (), 1)
    await trio.sleep(1.5)
    clerk.cancel_in_hand(handle)
    await settle()
    assert clerk.notes == []
    clerk.callbacks.clear()


# One tick each.


async def test_a_full_mailbox_delays_ticks_but_neither_loses_nor_multiplies_them(autojump_clock, office, fire, fired):
    clerk = await office.hire(capacity=1)
    start = trio.current_time()
    block(clerk, until=start + 10.5)
    await settle()
    clerk.note("the mailbox is full")
    periodic = clerk.callbacks.add_periodic(fire, ("periodic",), 1)
    clerk.callbacks.add_timeout(fire, ("timeout",), 2)
    clerk.callbacks.add_next_tick(fire, ("next tick",))
    await trio.sleep(10)
    assert clerk.mailbox.statistics().uncounted == 3
    assert fired == []
    await trio.sleep(1.75)
    assert fired == [("next tick", 10.5), ("periodic", 10.5), ("timeout", 10.5), ("periodic", 11)]
    clerk.callbacks.remove(periodic)


async def test_periodic_ticks_never_overlap_and_missed_ones_are_skipped(autojump_clock, clerk, fire, fired):
    async def slow():
        fire("begin")
        await trio.sleep(2.5)
        fire("end")

    periodic = clerk.callbacks.add_periodic(slow, (), 1)
    await trio.sleep(9)
    assert fired == [
        ("begin", 1), ("end", 3.5), ("begin", 4), ("end", 6.5), ("begin", 7),
    ]  # fmt: skip
    await trio.sleep(1)
    clerk.callbacks.remove(periodic)


async def test_a_tick_that_ends_on_a_multiple_of_its_period_skips_that_one(autojump_clock, clerk, fire, fired):
    async def slow():
        fire()
        await trio.sleep(2)

    periodic = clerk.callbacks.add_periodic(slow, (), 1)
    await trio.sleep(8.5)
    assert times(fired) == [1, 4, 7]
    await trio.sleep(1)
    clerk.callbacks.remove(periodic)


@settings(max_examples=40, deadline=None)
@given(
    period=st.integers(1, 8),
    durations=st.lists(st.integers(0, 20), min_size=1, max_size=6),
    busy=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=3),
)
def test_periodic_ticks_never_overlap_nor_catch_up_however_long_they_and_others_take(
    run_office, period, durations, busy
):
    """Times are in quarters of a second, which the clock has exactly."""
    ticks = []
    others = []

    async def test(office):
        clerk = await office.hire()
        now = lambda: trio.current_time() * 4  # noqa: E731

        async def tick():
            begin = now()
            await trio.sleep(durations[len(ticks) % len(durations)] / 4)
            ticks.append((begin - start, now() - start))

        async def hold_up(length):
            begin = now()
            await trio.sleep(length / 4)
            others.append((begin - start, now() - start))

        start = now()
        clerk.callbacks.add_periodic(tick, (), period / 4)
        for delay, length in busy:
            clerk.callbacks.add_timeout(hold_up, (length,), delay / 4)
        await trio.sleep(30)
        await clerk.ask(lambda clerk: clerk.callbacks.clear(), timeout=1_000)

    run_office(test)
    ends = [0] + [end for _, end in ticks]
    for (begin, _), last_end in zip(ticks, ends, strict=False):
        due = (last_end // period + 1) * period  # the first multiple that was still to come then
        assert begin >= due
        # It began when it was due, or when what it had to wait for was over.
        assert begin == due or begin in [end for _, end in others]


async def test_a_period_below_the_clock_s_resolution_still_yields(autojump_clock, clerk):
    called = []
    periodic = clerk.callbacks.add_periodic(called.append, (1,), 5e-324)
    block(clerk, until=trio.current_time() + 1)
    for _ in range(10):
        await trio.lowlevel.checkpoint()
    clerk.callbacks.remove(periodic)
    await trio.sleep(2)
    assert clerk.incidents == []
    assert await clerk.ask(lambda clerk: "alive") == "alive"


# Removing.


@pytest.mark.parametrize("kind", ["next tick", "timeout", "periodic"])
@pytest.mark.parametrize("when", ["before it is due", "while its tick is queued"])
async def test_a_removed_callback_never_fires(autojump_clock, clerk, fire, fired, kind, when):
    start = trio.current_time()
    block(clerk, until=start + 5)
    await settle()
    if kind == "next tick":
        handle = clerk.callbacks.add_next_tick(fire, ())
    elif kind == "timeout":
        handle = clerk.callbacks.add_timeout(fire, (), 2)
    else:
        handle = clerk.callbacks.add_periodic(fire, (), 2)
    if when == "while its tick is queued":
        await trio.sleep(3)
        assert clerk.mailbox.statistics().uncounted == 1
    assert handle.active
    clerk.callbacks.remove(handle)
    assert not handle.active
    assert clerk.mailbox.statistics().uncounted == 0
    assert len(clerk.callbacks) == 0
    await trio.sleep(20)
    assert fired == []


async def test_removing_one_twice_or_after_it_finished_is_an_error(autojump_clock, clerk, fire):
    callbacks = clerk.callbacks
    removed = callbacks.add_periodic(fire, (), 1)
    callbacks.remove(removed)
    finished = [callbacks.add_next_tick(fire, ()), callbacks.add_timeout(fire, (), 1)]
    await trio.sleep(2)
    for handle in [removed, *finished]:
        assert repr(handle).endswith(" over>")
        with pytest.raises(ValueError, match=r"^<CallbackHandle .* over> was already removed, or has finished$"):
            callbacks.remove(handle)


async def test_removing_a_one_time_callback_from_inside_is_an_error_since_it_is_no_longer_waiting(clerk):
    def tick():
        with pytest.raises(ValueError, match="has finished"):
            clerk.callbacks.remove(handle)
        clerk.notes.append("checked")

    handle = clerk.callbacks.add_next_tick(tick, ())
    await settle()
    assert clerk.kept == ("checked",)


async def test_removing_another_actors_is_an_error_and_does_nothing(autojump_clock, office, fire, fired):
    clerk, other = await office.hire("clerk"), await office.hire("other")
    handle = clerk.callbacks.add_timeout(fire, (), 1)
    with pytest.raises(ValueError, match=r"belongs to another actor, not to other$"):
        other.callbacks.remove(handle)
    await trio.sleep(2)
    assert len(fired) == 1


async def test_removing_what_is_no_handle_says_what_would_be_one(clerk):
    with pytest.raises(
        TypeError,
        match=r"takes a CallbackHandle, which adding a callback returns, not <built-in function print>",
    ):
        clerk.callbacks.remove(print)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_periodic_callback_may_remove_itself(autojump_clock, clerk, is_async):
    def tick():
        clerk.callbacks.remove(handle)
        clerk.notes.append("once")

    async def later():
        tick()
        await trio.sleep(5)

    handle = clerk.callbacks.add_periodic(later if is_async else tick, (), 1)
    await trio.sleep(20)
    assert clerk.kept == ("once",)


async def test_one_callback_may_remove_another_that_is_queued_behind_it(clerk):
    first = clerk.callbacks.add_next_tick(lambda: clerk.callbacks.remove(second), ())
    second = clerk.callbacks.add_next_tick(clerk.notes.append, ("never",))
    await settle()
    assert not first.active
    assert clerk.kept == ()


async def test_clearing_removes_all(autojump_clock, clerk, fire, fired):
    handles = [
        clerk.callbacks.add_next_tick(fire, ()),
        clerk.callbacks.add_timeout(fire, (), 1),
        clerk.callbacks.add_periodic(fire, (), 1),
    ]
    assert len(clerk.callbacks) == 3
    clerk.callbacks.clear()
    assert len(clerk.callbacks) == 0
    await trio.sleep(5)
    assert fired == []
    assert not any(handle.active for handle in handles)


# What is refused.


async def test_a_thousand_next_ticks_may_wait_and_no_more(office):
    clerk = office.make()
    handles = [clerk.callbacks.add_next_tick(print, ()) for _ in range(NEXT_TICKS)]
    assert NEXT_TICKS == 1_000
    with pytest.raises(
        MailboxFull, match=r"^1,000 next-tick callbacks already wait at clerk; add fewer, or send a message$"
    ):
        clerk.callbacks.add_next_tick(print, ())
    clerk.callbacks.remove(handles[500])
    clerk.callbacks.add_next_tick(print, ())
    clerk.callbacks.clear()
    assert clerk.callbacks._next_ticks == 0


async def test_next_ticks_that_fired_make_room_for_others(office):
    clerk = await office.hire(capacity=1)
    for _ in range(3):
        for _ in range(NEXT_TICKS):
            clerk.callbacks.add_next_tick(int, ())
        await settle()
    assert clerk.callbacks._next_ticks == 0


async def test_what_can_not_be_called_is_refused_when_it_is_added_and_takes_no_place(clerk):
    add = clerk.callbacks
    for refused in (
        lambda: add.add_next_tick(7, ()),
        lambda: add.add_timeout(None, (), 1),
        lambda: add.add_periodic("x", (), 1),
    ):
        with pytest.raises(TypeError, match=r"^a callback must be callable, not"):
            refused()
    assert len(add) == 0
    assert add._next_ticks == 0


async def test_a_function_that_would_do_nothing_when_it_is_called_is_refused(clerk):
    def ticks():
        yield

    async def ticks_too():
        yield

    for func in (ticks, ticks_too, partial(ticks)):
        with pytest.raises(TypeError, match="that contains a yield would do nothing"):
            clerk.callbacks.add_next_tick(func, ())
    assert len(clerk.callbacks) == 0


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
async def test_times_that_make_no_sense_are_refused(clerk, seconds):
    with pytest.raises(ValueError, match=r"^seconds must be a finite number, at least 0, not"):
        clerk.callbacks.add_timeout(print, (), seconds)
    with pytest.raises(ValueError, match=r"^seconds must be a finite number above 0, not"):
        clerk.callbacks.add_periodic(print, (), seconds)
    with pytest.raises(ValueError, match="above 0"):
        clerk.callbacks.add_periodic(print, (), 0)


# Before the begin, and after the end.


async def test_what_is_added_before_the_start_waits_and_its_time_counts_from_there(autojump_clock, clerk, fire, fired):
    clerk.callbacks.hold()
    clerk.callbacks.add_next_tick(fire, ("next tick",))
    clerk.callbacks.add_timeout(fire, ("timeout",), 1)
    removed = clerk.callbacks.add_next_tick(fire, ("removed",))
    clerk.callbacks.remove(removed)
    await trio.sleep(10)
    assert fired == []
    clerk.callbacks.start()
    await trio.sleep(10)
    assert fired == [("next tick", 10), ("timeout", 11)]
    clerk.callbacks.start()  # there is nothing to start


async def test_adding_to_an_actor_that_has_ended_is_a_dead_letter_and_no_error(autojump_clock, clerk, fire, fired):
    clerk.stop()
    await clerk.ended.wait()
    handles = [
        clerk.callbacks.add_next_tick(fire, ()),
        clerk.callbacks.add_timeout(fire, (), 1),
        clerk.callbacks.add_periodic(fire, (), 1),
    ]
    await trio.sleep(5)
    assert fired == []
    assert clerk.letters == handles
    assert not any(handle.active for handle in handles)
    assert (len(clerk.callbacks), clerk.callbacks._next_ticks) == (0, 0)


async def test_the_end_takes_timers_and_queued_ticks_along(autojump_clock, clerk, fire, fired):
    block(clerk, until=trio.current_time() + 100)
    clerk.callbacks.add_periodic(fire, (), 1)
    clerk.callbacks.add_next_tick(fire, ())
    await trio.sleep(3)
    clerk.kill()
    await trio.sleep(100)
    assert fired == []
    assert len(clerk.runtime.timers) == 0


async def test_a_handle_says_what_it_calls(clerk):
    named = clerk.callbacks.add_timeout(block, (clerk, 0), 1)
    nameless = clerk.callbacks.add_timeout(partial(block), (clerk, 0), 1)
    assert repr(named) == "<CallbackHandle timeout callback block active>"
    assert repr(nameless).startswith("<CallbackHandle timeout callback functools.partial(")
    clerk.callbacks.clear()


async def test_all_but_some_can_be_removed(autojump_clock, clerk, fire, fired):
    clerk.callbacks.add_periodic(fire, ("kept",), 1)
    kept = clerk.callbacks.active()
    clerk.callbacks.add_periodic(fire, ("removed",), 1)
    clerk.callbacks.add_next_tick(fire, ("never",))
    clerk.callbacks.clear(but=kept)
    assert clerk.callbacks.active() == kept
    await trio.sleep(1.5)
    assert fired == [("kept", 1)]
    clerk.callbacks.clear()


async def test_they_are_listed_in_the_order_of_their_adding_each_with_what_makes_it_fire(clerk):
    clerk.callbacks.add_timeout(block, (clerk, 0), 3)
    clerk.callbacks.add_periodic(block, (clerk, 0), 2)
    assert [(handle.kind, handle.seconds) for handle in clerk.callbacks] == [("timeout", 3), ("periodic", 2)]
    clerk.callbacks.clear()
    assert list(clerk.callbacks) == []
