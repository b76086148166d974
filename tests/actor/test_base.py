import itertools

import pytest
import trio

from supervisor.actor.base import DRAIN, Actor, Runtime
from supervisor.actor.entry import Entry, Stop, Tell
from supervisor.errors import ActorGone

settle = trio.testing.wait_all_tasks_blocked


class Part(Entry):
    """An entry that keeps what became of it."""

    def __init__(self, func):
        self.func = func
        self.fate = []

    def start(self, actor):
        return self.func(actor)

    def check(self, result):
        if result == "refused":
            raise ValueError("refused by the entry")
        return result

    def succeeded(self, result):
        self.fate.append(("succeeded", result))

    def failed(self, error, incident):
        self.fate.append(("failed", error, incident))

    def cancelled(self):
        self.fate.append(("cancelled",))

    def dropped(self):
        self.fate.append(("dropped",))

    def describe(self):
        return "part"


async def hang(clerk):
    clerk.notes.append("rolled back")
    await trio.sleep_forever()


# One entry.


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_entry_that_returns_is_kept_before_its_asker_hears_of_it(clerk, is_async):
    heard = []

    class Asked(Part):
        def succeeded(self, result):
            heard.append((result, clerk.kept))

    def plain(clerk):
        clerk.notes.append(1)
        return "done"

    async def later(clerk):
        await trio.lowlevel.checkpoint()
        return plain(clerk)

    clerk.mailbox.put(Asked(later if is_async else plain))
    await settle()
    assert heard == [("done", (1,))]


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_entry_that_raises_is_undone_reported_and_told(clerk, is_async):
    error = ValueError("x")

    def plain(clerk):
        clerk.notes.append("rolled back")
        raise error

    async def later(clerk):
        await trio.lowlevel.checkpoint()
        plain(clerk)

    part = Part(later if is_async else plain)
    clerk.mailbox.put(part)
    await settle()
    assert part.fate == [("failed", error, "incident1")]
    assert clerk.incidents == [("part", error)]
    assert clerk.notes == []
    assert clerk.statistics().failures == 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_entry_can_refuse_its_own_result_which_rolls_back(clerk, is_async):
    def plain(clerk):
        clerk.notes.append("rolled back")
        return "refused"

    async def later(clerk):
        return plain(clerk)

    part = Part(later if is_async else plain)
    clerk.mailbox.put(part)
    await settle()
    assert part.fate[0][0] == "failed"
    assert [str(error) for error in clerk.errors] == ["refused by the entry"]
    assert clerk.kept == ()


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_entry_whose_changes_can_not_be_kept_fails_and_the_actor_goes_on(clerk, is_async, monkeypatch):
    def fail():
        raise ValueError("can't be kept")

    async def later(clerk):
        clerk.notes.append("rolled back")

    with monkeypatch.context() as patch:
        patch.setattr(clerk, "keep", fail)
        with pytest.raises(ValueError, match="can't be kept"):
            await clerk.ask(later if is_async else lambda clerk: clerk.notes.append("rolled back"))
    assert clerk.notes == []
    assert await clerk.ask(lambda clerk: "alive") == "alive"


async def test_what_is_awaited_is_decided_by_what_the_call_returned(clerk):
    async def coroutine(value):
        await trio.lowlevel.checkpoint()
        clerk.notes.append(value)
        return value

    class Awaitable:
        def __await__(self):
            yield from coroutine("awaitable").__await__()
            return "of an awaitable"

    assert await clerk.ask(lambda clerk: coroutine("of a lambda")) == "of a lambda"
    assert await clerk.ask(lambda clerk: Awaitable()) == "of an awaitable"
    assert clerk.kept == ("of a lambda", "awaitable")


async def test_nothing_of_the_actor_runs_concurrently_with_a_handler(clerk):
    event = trio.Event()
    running = []

    async def handler(clerk):
        running.append("begin")
        await event.wait()
        running.append("end")

    clerk.tell(handler)
    clerk.tell(lambda clerk: running.append("next"))
    clerk.callbacks.add_next_tick(running.append, ("tick",))
    await settle()
    assert running == ["begin"]
    assert not clerk.is_idle
    event.set()
    await settle()
    assert running == ["begin", "end", "next", "tick"]
    assert clerk.is_idle


# What passes.


async def test_a_cancellation_from_outside_rolls_back_what_is_in_hand_and_ends_the_loop(clerk):
    in_hand, queued = Part(hang), Part(hang)
    clerk.mailbox.put(in_hand)
    clerk.mailbox.put(queued)
    await settle()
    clerk.kill()
    await settle()
    assert in_hand.fate == queued.fate == [("dropped",)]
    assert clerk.notes == []
    assert clerk.incidents == []


async def test_what_a_handler_raises_while_the_actor_is_cancelled_is_reported_and_ends_no_neighbour(office):
    """The group [Cancelled, ValueError] passes an `except Exception`; its rest would end the nursery above."""
    clerk, neighbour = await office.hire("clerk"), await office.hire("neighbour")

    async def child():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the cleanup")

    async def handler(clerk):
        async with trio.open_nursery() as children:
            children.start_soon(child)
            children.start_soon(trio.sleep_forever)

    part = Part(handler)
    clerk.mailbox.put(part)
    await settle()
    clerk.kill()
    await clerk.ended.wait()
    assert part.fate == [("dropped",)]
    assert [(what, str(error)) for what, error in clerk.incidents] == [("part", "in the cleanup")]
    assert clerk.failures == 1
    assert await neighbour.ask(lambda clerk: "alive") == "alive"


async def test_what_a_background_task_raises_while_it_is_cancelled_meets_the_outer_guard(office):
    clerk, neighbour = await office.hire("clerk"), await office.hire("neighbour")

    async def background():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the cleanup")

    clerk.nursery.start_soon(background)
    clerk.tell(hang)
    await settle()
    clerk.kill()
    await clerk.ended.wait()
    assert [(what, str(error)) for what, error in clerk.incidents] == [("clerk", "in the cleanup")]
    assert clerk.notes == []
    assert await neighbour.ask(lambda clerk: "alive") == "alive"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_keyboard_interrupt_passes_and_rolls_back(office, is_async):
    def plain(clerk):
        clerk.notes.append("rolled back")
        raise KeyboardInterrupt

    async def later(clerk):
        plain(clerk)

    clerk = office.make()
    part = Part(later if is_async else plain)
    clerk.mailbox.put(part)
    with pytest.raises(KeyboardInterrupt):
        await clerk.handle_mail()
    assert part.fate == [("dropped",)]
    assert clerk.notes == []
    assert clerk.incidents == []


async def test_a_failure_beside_a_keyboard_interrupt_is_reported_before_that_passes(office):
    def handler(clerk):
        raise BaseExceptionGroup("", [KeyboardInterrupt(), ValueError("x")])

    clerk = office.make()
    clerk.mailbox.put(Part(handler))
    with pytest.raises(BaseExceptionGroup) as caught:
        await clerk.handle_mail()
    assert caught.group_contains(KeyboardInterrupt)
    assert not caught.group_contains(ValueError)
    assert [str(error) for error in clerk.errors] == ["x"]


async def test_a_failure_of_one_entry_is_none_of_the_next_without_limit(clerk):
    for _ in range(100):
        with pytest.raises(ZeroDivisionError):
            await clerk.ask(lambda clerk: 1 / 0)
    assert await clerk.ask(lambda clerk: "alive") == "alive"
    assert clerk.failures == 100


# Cancelling what is in hand.


async def test_only_the_entry_in_hand_is_cancelled(clerk):
    in_hand, queued = Part(hang), Part(lambda clerk: "done")
    clerk.mailbox.put(in_hand)
    clerk.mailbox.put(queued)
    await settle()
    clerk.cancel_in_hand(queued)
    await settle()
    assert in_hand.fate == []
    clerk.cancel_in_hand(in_hand)
    await settle()
    assert in_hand.fate == [("cancelled",)]
    assert queued.fate == [("succeeded", "done")]
    clerk.cancel_in_hand(in_hand)  # it is over


# The end.


async def test_a_stop_is_looked_at_before_each_message(office):
    """Also before those that are queued, and in the middle of a stretch of plain handlers."""
    clerk = office.make()
    for number in range(5):
        clerk.note(number)
    clerk.tell(lambda clerk: clerk.stop())
    clerk.note("never")
    await clerk.handle_mail()
    assert clerk.kept == (0, 1, 2, 3, 4)
    clerk.stop()
    await clerk.handle_mail()
    assert clerk.kept == (0, 1, 2, 3, 4)
    assert clerk.mailbox.statistics().counted == 1
    clerk.mailbox.close()


async def test_a_full_mailbox_can_not_shut_a_stop_out(office):
    clerk = office.make(capacity=1)
    clerk.note("never")
    clerk.stop()
    await clerk.handle_mail()
    assert clerk.kept == ()
    clerk.mailbox.close()


async def test_a_stop_during_a_handler_lets_it_finish(clerk):
    event = trio.Event()

    async def handler(clerk):
        await event.wait()
        clerk.notes.append("finished")

    clerk.tell(handler)
    await settle()
    clerk.stop()
    await settle()
    assert not clerk.ended.is_set()
    event.set()
    await settle()
    assert clerk.ended.is_set()
    assert clerk.kept == ("finished",)


# Fairness.


async def laps_of_a_neighbour(clerk):
    """Let a neighbour run whenever it can while the clerk handles its mail; how much was handled between its turns.

    Trio runs the tasks of a batch in either order, so two of the clerk's turns may come between two of the neighbour's.
    """
    handled = []

    async def neighbour():
        while True:
            handled.append(len(clerk.kept))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        clerk.tell(lambda clerk: clerk.stop())
        nursery.start_soon(neighbour)
        await clerk.handle_mail()
        nursery.cancel_scope.cancel()
    return [after - before for before, after in itertools.pairwise(handled) if after > before]


async def test_other_tasks_get_their_turn_after_64_entries(office, mock_clock):
    """However slow the machine is: turns are measured by the clock that the runtime has, and this one stands still."""
    clerk = office.make()
    for number in range(10 * DRAIN):
        clerk.note(number)
    laps = await laps_of_a_neighbour(clerk)
    assert DRAIN == 64
    assert max(laps) <= 2 * DRAIN
    assert len(clerk.kept) == 640


async def test_other_tasks_get_their_turn_after_a_millisecond(office, mock_clock):
    def slow(clerk):
        mock_clock.jump(0.0006)
        clerk.notes.append("slow")

    clerk = office.make()
    for _ in range(20):
        clerk.tell(slow)
    laps = await laps_of_a_neighbour(clerk)
    assert max(laps) <= 2 * 2
    assert len(clerk.kept) == 20


async def test_a_next_tick_that_adds_another_starves_nobody(clerk):
    added = 0

    def tick():
        nonlocal added
        added += 1
        if not over:
            clerk.callbacks.add_next_tick(tick, ())

    over = False
    tick()
    for _ in range(5):
        await trio.lowlevel.checkpoint()
    over = True
    await settle()
    assert added < 10 * DRAIN


# What it says of itself.


async def test_an_actor_knows_whether_the_current_task_is_its_handler(clerk):
    seen = []

    async def look(where):
        seen.append((where, clerk.in_own_hand()))

    async def handler(clerk):
        async with trio.open_nursery() as children:
            children.start_soon(look, "child")
        async with trio.open_nursery() as others:
            clerk.nursery.start_soon(look, "background")
            others.start_soon(settle)
        await look("handler")

    await look("outside")
    await clerk.ask(handler)
    assert seen == [("outside", False), ("child", True), ("background", False), ("handler", True)]
    clerk.stop()
    await clerk.ended.wait()
    assert not clerk.in_own_hand()


async def test_its_statistics_and_its_name_tell_its_live_state(office):
    clerk = office.make("alice", capacity=3)
    clerk.note(1)
    statistics = clerk.statistics()
    assert (statistics.name, statistics.failures, statistics.dead_letters) == ("alice", 0, 0)
    assert (statistics.mailbox.counted, statistics.mailbox.capacity) == (1, 3)
    assert repr(clerk).startswith("<Clerk alice MailboxStatistics(counted=1")
    assert not clerk.is_idle
    clerk.mailbox.close()


def test_an_actor_without_a_subclass_knows_nothing_and_keeps_nothing():
    actor = Actor("bare", Runtime())
    assert not actor.knows(str)
    actor.keep()
    actor.undo()
    actor.dead_letter("letter")
    assert actor.dead_letters == 1
    assert str(actor.gone()) == "bare has ended"
    assert type(actor.gone()) is ActorGone
    for missing in (lambda: actor.receive(1), lambda: actor.call(print), lambda: actor.report("x", ValueError())):
        with pytest.raises(NotImplementedError):
            missing()


async def test_a_stop_is_only_a_stop_in_the_system_lane():
    actor = Actor("bare", Runtime())
    actor.mailbox.put_system(Stop())
    actor.mailbox.put(Tell("left"))
    await actor.handle_mail()
    assert actor.mailbox.statistics().counted == 1


async def test_the_highest_backlog_is_what_waited_when_others_had_had_their_turn(clerk):
    for number in range(100):
        clerk.note(number)
    await trio.testing.wait_all_tasks_blocked()
    assert clerk.statistics().mailbox.highest == 100
    release = trio.Event()
    clerk.tell(lambda clerk: release.wait())
    await trio.testing.wait_all_tasks_blocked()
    for number in range(200):
        clerk.note(number)
    release.set()
    await trio.testing.wait_all_tasks_blocked()
    assert clerk.statistics().mailbox.highest == 200
    assert clerk.statistics().mailbox.counted == 0
