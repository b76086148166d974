"""Cancelling: at each await in turn, by a cancellation and by the deadline."""

from functools import partial

import pytest
import trio

from .asking import Asker, block, full, settle

leave = pytest.mark.parametrize("how", ["cancel", "deadline"])


class Leaving:
    """An ask, or a tell, that is left while it waits."""

    def __init__(self, nursery, how, func, message):
        timeout = 10 if how == "deadline" else 1_000
        self.how = how
        self.asker = Asker(nursery, func, message, timeout=timeout)

    async def leave(self):
        if self.how == "cancel":
            self.asker.scope.cancel()
        else:
            await trio.sleep(11)

    @property
    def was_left(self):
        if self.how == "cancel":
            return self.asker.was_cancelled
        return isinstance(self.asker.raised, trio.TooSlowError)


@pytest.mark.parametrize("method", ["tell", "ask"])
async def test_cancelled_before_it_began_nothing_is_sent(clerk, do, method):
    with trio.CancelScope() as scope:
        scope.cancel()
        await getattr(clerk.ref, method)(do(lambda clerk: clerk.notes.append("sent")))
    assert scope.cancelled_caught
    await settle()
    assert clerk.kept == ()


@pytest.mark.parametrize("method", ["tell", "ask"])
async def test_cancelled_before_it_began_it_is_no_dead_letter_either(clerk, do, method):
    clerk.stop()
    await clerk.ended.wait()
    with trio.CancelScope() as scope:
        scope.cancel()
        await getattr(clerk.ref, method)(do(None))
    assert scope.cancelled_caught
    assert clerk.dead_letters == 0


@pytest.mark.parametrize("method", ["tell", "ask"])
@leave
async def test_left_while_it_waits_for_room_it_is_not_sent(autojump_clock, office, nursery, do, method, how):
    clerk, event = await full(office)
    leaving = Leaving(nursery, how, getattr(clerk.ref, method), do(lambda clerk: clerk.notes.append("sent")))
    await settle()
    assert clerk.mailbox.statistics().waiting_for_room == 1
    await leaving.leave()
    await settle()
    assert leaving.was_left
    assert clerk.mailbox.statistics().waiting_for_room == 0
    event.set()
    await settle()
    assert clerk.kept == ("queued",)


@leave
async def test_an_ask_left_in_the_queue_is_withdrawn_and_its_room_goes_to_the_next(
    autojump_clock, office, nursery, do, how
):
    clerk = await office.hire("clerk", capacity=1)
    event = block(clerk)
    await settle()
    leaving = Leaving(nursery, how, clerk.ref.ask, do(lambda clerk: clerk.notes.append("withdrawn")))
    await settle()
    teller = Asker(nursery, clerk.ref.tell, do(lambda clerk: clerk.notes.append("next")))
    await settle()
    assert not teller.over
    await leaving.leave()
    await settle()
    assert leaving.was_left
    assert teller.over
    event.set()
    await settle()
    assert clerk.kept == ("next",)


@leave
async def test_an_ask_left_in_hand_cancels_the_handler_and_waits_until_it_has_unwound(
    autojump_clock, office, nursery, do, how
):
    clerk = await office.hire()
    unwound = trio.Event()

    async def handler(clerk):
        clerk.notes.append("rolled back")
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await unwound.wait()

    leaving = Leaving(nursery, how, clerk.ref.ask, do(handler))
    await settle()
    await leaving.leave()
    await settle()
    assert not leaving.asker.over
    unwound.set()
    await settle()
    assert leaving.was_left
    assert clerk.kept == ()
    assert clerk.notes == []
    assert clerk.incidents == []
    assert await clerk.ask(lambda clerk: "alive") == "alive"


@leave
async def test_what_a_handler_had_committed_stays_when_its_ask_is_left(autojump_clock, office, nursery, do, how):
    clerk = await office.hire()

    async def handler(clerk):
        clerk.notes.append("committed")
        clerk.keep()
        clerk.notes.append("rolled back")
        await trio.sleep_forever()

    leaving = Leaving(nursery, how, clerk.ref.ask, do(handler))
    await settle()
    await leaving.leave()
    await settle()
    assert leaving.was_left
    assert clerk.notes == ["committed"]


@leave
async def test_an_ask_left_in_hand_returns_the_result_if_the_handler_finishes_all_the_same(
    autojump_clock, office, nursery, do, how
):
    clerk = await office.hire()

    async def handler(clerk):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            clerk.notes.append("kept")
        return "finished"

    leaving = Leaving(nursery, how, clerk.ref.ask, do(handler))
    await settle()
    await leaving.leave()
    await settle()
    assert not leaving.was_left
    assert leaving.asker.returned == "finished"
    assert clerk.kept == ("kept",)


@leave
async def test_a_handler_that_raises_while_it_is_cancelled_is_reported_and_its_asker_leaves(
    autojump_clock, office, nursery, do, how
):
    clerk = await office.hire()

    async def handler(clerk):
        clerk.notes.append("rolled back")
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the cleanup")

    leaving = Leaving(nursery, how, clerk.ref.ask, do(handler))
    await settle()
    await leaving.leave()
    await settle()
    assert leaving.was_left
    assert [str(error) for error in clerk.errors] == ["in the cleanup"]
    assert clerk.kept == ()


@leave
async def test_an_ask_left_in_hand_leaves_also_if_the_actor_ends_meanwhile(autojump_clock, office, nursery, do, how):
    clerk = await office.hire()
    unwound = trio.Event()

    async def handler(clerk):
        with trio.CancelScope(shield=True):
            await unwound.wait()
        await trio.lowlevel.checkpoint()

    leaving = Leaving(nursery, how, clerk.ref.ask, do(handler))
    await settle()
    await leaving.leave()
    clerk.kill()
    await settle()
    unwound.set()
    await settle()
    assert leaving.was_left
    assert clerk.ended.is_set()


async def test_leaving_a_queued_ask_does_not_cancel_the_one_in_hand(office, nursery):
    clerk = await office.hire()
    event = trio.Event()

    async def handler(clerk):
        await event.wait()
        return "answer"

    first = Asker(nursery, clerk.ask, handler)
    await settle()
    second = Asker(nursery, clerk.ask, handler)
    await settle()
    second.scope.cancel()
    await settle()
    assert second.was_cancelled
    event.set()
    await settle()
    assert first.returned == "answer"


async def test_an_ask_that_is_cancelled_by_its_plain_handler_returns_the_result(office, nursery):
    clerk = await office.hire()

    def handler(clerk):
        asker.scope.cancel()
        return "finished"

    asker = Asker(nursery, clerk.ask, handler)
    await settle()
    assert asker.returned == "finished"


async def test_an_answer_that_came_before_the_cancellation_is_returned(office, nursery, do):
    """1. The handler answers: the asker is scheduled. 2. It is cancelled before it runs. 3. It has its answer."""
    clerk = await office.hire()

    def handler(clerk):
        clerk.callbacks.add_next_tick(lambda: asker.scope.cancel(), ())
        return "answer"

    asker = Asker(nursery, clerk.ask, handler)
    await settle()
    assert asker.returned == "answer"


async def test_a_tell_that_got_its_room_before_the_cancellation_was_sent(office, nursery, do):
    """1. Room is granted: the teller is scheduled. 2. It is cancelled before it runs. 3. The message stays sent."""
    clerk, event = await full(office)
    teller = Asker(nursery, clerk.ref.tell, do(lambda clerk: clerk.notes.append("sent")))
    await settle()
    clerk.mailbox._entries[0].message = do(lambda clerk: teller.scope.cancel())
    event.set()
    await settle()
    assert not teller.was_cancelled
    assert clerk.kept == ("sent",)


async def test_cancelling_an_ask_cancels_the_whole_chain_of_asks(office, nursery):
    first, second, third = [await office.hire(name) for name in "abc"]
    unwound = []

    async def hang(clerk):
        try:
            await trio.sleep_forever()
        finally:
            unwound.append(clerk.name)

    async def pass_to(next_clerk, handler, clerk):
        try:
            await next_clerk.ask(handler)
        finally:
            unwound.append(clerk.name)

    asker = Asker(nursery, first.ask, partial(pass_to, second, partial(pass_to, third, hang)))
    await settle()
    assert len(office.runtime.holds.graph) == 3  # that of the asker too, whom nobody waits for
    asker.scope.cancel()
    await settle()
    assert asker.was_cancelled
    assert unwound == ["c", "b", "a"]
