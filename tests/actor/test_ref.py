import math
from functools import partial

import outcome
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.actor.entry import Tell
from supervisor.actor.mailbox import MailboxStatistics
from supervisor.actor.policy import MailboxPolicy
from supervisor.actor.ref import TIMEOUT, Answered, Parked
from supervisor.errors import ActorGone, DeadlockError, HandlerFailed, MailboxFull, Rejected

settle = trio.testing.wait_all_tasks_blocked


def block(clerk):
    """A message whose handler waits until the returned event is set."""
    event = trio.Event()

    async def wait(_):
        await event.wait()

    clerk.tell(wait)
    return event


async def full(office, name="full"):
    """A clerk whose mailbox of one is full, and the event that lets it go on."""
    clerk = await office.hire(name, capacity=1)
    event = block(clerk)
    await settle()
    clerk.note("queued")
    return clerk, event


def raising(error):
    def handler(clerk):
        clerk.notes.append("rolled back")
        raise error

    return handler


def async_raising(error):
    async def handler(clerk):
        clerk.notes.append("rolled back")
        await trio.lowlevel.checkpoint()
        raise error

    return handler


class Asker:
    """A task that asks, or tells, and what became of it."""

    def __init__(self, nursery, func, *args, **kwargs):
        self.scope = trio.CancelScope()
        self.returned = self.raised = None
        self.over = False
        nursery.start_soon(self._run, partial(func, *args, **kwargs))

    async def _run(self, func):
        with self.scope:
            try:
                self.returned = await func()
            except Exception as error:
                self.raised = error
        self.over = True

    @property
    def was_cancelled(self):
        return self.scope.cancelled_caught


# Tells.


async def test_a_tell_is_handled_later_in_its_turn(clerk, do):
    await clerk.ref.tell(do(lambda clerk: clerk.notes.append(1)))
    clerk.ref.tell_nowait(do(lambda clerk: clerk.notes.append(2)))
    await settle()
    assert clerk.kept == (1, 2)


async def test_a_tell_with_room_is_a_checkpoint_and_never_waits_for_the_handling(clerk, do):
    event = block(clerk)
    with trio.testing.assert_checkpoints():
        await clerk.ref.tell(do(lambda clerk: clerk.notes.append(1)))
    event.set()


async def test_a_tell_waits_for_room(office, nursery, do):
    clerk, event = await full(office)
    teller = Asker(nursery, clerk.ref.tell, do(lambda clerk: clerk.notes.append("told")))
    await settle()
    assert not teller.over
    event.set()
    await settle()
    assert teller.over
    assert teller.raised is None
    assert clerk.kept == ("queued", "told")


async def test_a_tell_that_never_waits_is_refused_by_a_full_mailbox(office, do):
    clerk, event = await full(office)
    with pytest.raises(MailboxFull, match=r"^the mailbox of full is full; wait for room with tell\(\)$"):
        clerk.ref.tell_nowait(do(lambda clerk: clerk.notes.append("refused")))
    event.set()
    await settle()
    assert clerk.kept == ("queued",)


async def test_waiting_for_room_has_a_deadline_of_thirty_seconds(autojump_clock, office, do):
    clerk, event = await full(office)
    began = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        await clerk.ref.tell(do(None))
    assert trio.current_time() - began == TIMEOUT == 30
    with pytest.raises(trio.TooSlowError):
        await clerk.ref.tell(do(None), timeout=1)
    assert trio.current_time() - began == 31
    event.set()


async def test_without_any_time_a_tell_is_sent_if_there_is_room_at_once(clerk, office, do):
    await clerk.ref.tell(do(lambda clerk: clerk.notes.append("sent")), timeout=0)
    other, event = await full(office)
    with pytest.raises(trio.TooSlowError):
        await other.ref.tell(do(None), timeout=0)
    event.set()
    await settle()
    assert clerk.kept == ("sent",)


# Asks.


async def test_an_ask_returns_what_the_handler_returned(clerk):
    assert await clerk.ask(lambda clerk: 42) == 42

    async def later(clerk):
        await trio.lowlevel.checkpoint()
        return 43

    assert await clerk.ask(later) == 43


@pytest.mark.parametrize("make", [raising, async_raising])
@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("two", [ValueError(), KeyError()])])
async def test_an_ask_raises_what_the_handler_raised(clerk, make, error):
    with pytest.raises(type(error)) as caught:
        await clerk.ask(make(error))
    assert caught.value is error
    assert clerk.errors == [error]
    assert clerk.kept == ()


async def test_a_group_of_one_reaches_the_asker_as_that_one(clerk):
    async def handler(clerk):
        async with trio.open_nursery():
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await clerk.ask(handler)


async def test_a_handlers_no_is_an_answer_and_no_failure(clerk):
    with pytest.raises(Rejected, match="not today"):
        await clerk.ask(raising(Rejected("not today")))
    assert clerk.incidents == []
    assert clerk.failures == 0
    assert clerk.kept == ()


@pytest.mark.parametrize("make", [raising, async_raising])
@pytest.mark.parametrize("error", [SystemExit(3), BaseExceptionGroup("", [SystemExit(3)])])
async def test_a_system_exit_ends_neither_the_actor_nor_the_asker(clerk, make, error):
    with pytest.raises(HandlerFailed, match=r"SystemExit\(3\) ended message Do \(incident incident1\)") as caught:
        await clerk.ask(make(error))
    assert isinstance(caught.value.__cause__, SystemExit)
    assert isinstance(clerk.errors[0], SystemExit)
    assert await clerk.ask(lambda clerk: "alive") == "alive"


async def test_a_stop_iteration_reaches_the_asker_as_python_allows_it(clerk):
    with pytest.raises(RuntimeError) as caught:
        await clerk.ask(lambda clerk: next(iter([])))
    assert isinstance(caught.value.__cause__, StopIteration)
    assert isinstance(clerk.errors[0], StopIteration)


async def test_an_ask_waits_for_room_and_for_the_answer_under_one_deadline(autojump_clock, office, do):
    clerk, event = await full(office)

    async def slow(clerk):
        await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        asker = Asker(nursery, clerk.ref.ask, do(slow), timeout=5)
        await trio.sleep(3)
        event.set()
        began = trio.current_time()
        await settle()
    assert isinstance(asker.raised, trio.TooSlowError)
    assert trio.current_time() - began == 2


async def test_an_ask_has_a_deadline_of_thirty_seconds_unless_told_otherwise(autojump_clock, clerk):
    async def hang(clerk):
        await trio.sleep_forever()

    began = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        await clerk.ask(hang)
    assert trio.current_time() - began == 30

    async def slow(clerk):
        await trio.sleep(100)
        return "at last"

    assert await clerk.ask(slow, timeout=math.inf) == "at last"


@pytest.mark.parametrize("timeout", [-1, math.nan])
async def test_a_wrong_timeout_is_an_error_and_leaves_nothing_behind(clerk, timeout):
    with pytest.raises(ValueError, match="seconds"):
        await clerk.ask(lambda clerk: clerk.notes.append("never"), timeout=timeout)
    await settle()
    assert clerk.kept == ()


# Types without a handler.


async def test_a_message_type_without_a_handler_is_an_error_at_the_sender(clerk):
    text = r"^clerk has no handler for str; write one and mark it @receives\(str\)$"
    with pytest.raises(TypeError, match=text):
        clerk.ref.tell_nowait("hello")
    with pytest.raises(TypeError, match=text):
        await clerk.ref.tell("hello")
    with pytest.raises(TypeError, match=text):
        await clerk.ref.ask("hello")
    assert clerk.is_idle


async def test_it_is_an_error_after_the_end_too(clerk):
    clerk.stop()
    await clerk.ended.wait()
    with pytest.raises(TypeError):
        clerk.ref.tell_nowait("hello")
    assert clerk.dead_letters == 0


# Ends.


async def test_the_end_fails_every_waiting_ask_at_once(office, nursery):
    clerk = await office.hire("clerk", capacity=2)

    async def hang(clerk):
        clerk.notes.append("rolled back")
        await trio.sleep_forever()

    askers = [Asker(nursery, clerk.ask, hang) for _ in range(5)]  # one in hand, two queued, two waiting for room
    await settle()
    assert clerk.mailbox.statistics().waiting_for_room == 2
    clerk.kill()
    await settle()
    assert [type(asker.raised) for asker in askers] == [ActorGone] * 5
    assert str(askers[0].raised) == "clerk has ended"
    assert clerk.kept == ()
    assert clerk.dead_letters == 0


async def test_a_message_to_an_actor_that_has_ended_is_a_dead_letter_and_only_an_ask_raises(clerk, do):
    clerk.stop()
    await clerk.ended.wait()
    clerk.ref.tell_nowait(do(1))
    with trio.testing.assert_checkpoints():
        await clerk.ref.tell(do(2))
    with pytest.raises(ActorGone):
        await clerk.ref.ask(do(3))
    assert clerk.letters == [do(1), do(2), do(3)]
    assert clerk.statistics().dead_letters == 3


async def test_messages_that_were_queued_at_the_end_are_dead_letters(clerk, do):
    clerk.stop()
    clerk.ref.tell_nowait(do("queued"))
    await clerk.ended.wait()
    assert clerk.letters == [do("queued")]


async def test_a_tell_that_waits_for_room_returns_at_the_end_as_a_dead_letter(office, nursery, do):
    clerk, _ = await full(office)
    message = do("waited")
    teller = Asker(nursery, clerk.ref.tell, message)
    await settle()
    clerk.kill()
    await settle()
    assert teller.over
    assert teller.raised is None
    assert message in clerk.letters
    assert clerk.dead_letters == 2


async def test_a_ref_outlives_its_actor(clerk):
    clerk.stop()
    await clerk.ended.wait()
    assert repr(clerk.ref) == "<ActorRef clerk>"
    assert clerk.ref.statistics() == MailboxStatistics(counted=0, uncounted=0, capacity=1_000, waiting_for_room=0)


# Cancelling: at each await in turn, by a cancellation and by the deadline.

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


# Circles.


async def ask_in_circle(clerks, position, _):
    return await clerks[position % len(clerks)].ask(partial(ask_in_circle, clerks, position + 1))


@pytest.mark.parametrize(
    ("names", "circle"), [("a", "a → a"), ("ab", "b → a → b"), ("abc", "c → a → b → c")], ids=["own", "two", "three"]
)
async def test_the_ask_that_would_close_a_circle_is_refused_at_once_in_words(office, names, circle):
    clerks = [await office.hire(name) for name in names]
    with pytest.raises(DeadlockError, match=rf"^ask\(\) of a would wait for ever: {circle}; send a message"):
        await ask_in_circle(clerks, 0, None)
    assert [await clerk.ask(lambda clerk: "alive") for clerk in clerks] == ["alive"] * len(clerks)


async def test_the_refused_ask_can_be_caught_and_the_handler_goes_on(clerk):
    async def handler(clerk):
        with pytest.raises(DeadlockError):
            await clerk.ask(handler)
        clerk.notes.append("went on")

    await clerk.ask(handler)
    assert clerk.kept == ("went on",)


async def test_two_actors_that_ask_each_other_at_the_same_time(office, nursery):
    """1. a's handler asks b. 2. b's handler, which was running already, asks a: this one would close the circle."""
    a, b = await office.hire("a"), await office.hire("b")
    events = {a: trio.Event(), b: trio.Event()}

    async def handler(other, clerk):
        await events[clerk].wait()
        return await other.ask(lambda clerk: f"answer of {clerk}")

    askers = {a: Asker(nursery, a.ask, partial(handler, b)), b: Asker(nursery, b.ask, partial(handler, a))}
    await settle()
    events[a].set()
    await settle()
    events[b].set()
    await settle()
    assert "b → a → b" in str(askers[b].raised)
    assert askers[a].returned == "answer of b"


async def test_telling_ones_own_full_mailbox(office, do):
    clerk = await office.hire("a", capacity=1)

    async def handler(clerk):
        clerk.note("first")
        with pytest.raises(DeadlockError, match=r"tell\(\) to the full mailbox of a would wait for ever: a → a;"):
            await clerk.ref.tell(do(lambda clerk: clerk.notes.append("never")))

    await clerk.ask(handler)
    await settle()
    assert clerk.kept == ("first",)


async def test_telling_ones_own_mailbox_while_it_has_room_is_no_circle(clerk, do):
    async def handler(clerk):
        await clerk.ref.tell(do(lambda clerk: clerk.notes.append("told")))

    await clerk.ask(handler)
    await settle()
    assert clerk.kept == ("told",)


async def test_two_full_mailboxes_that_tell_each_other(office, do):
    a, b = [await office.hire(name, capacity=1) for name in "ab"]
    events = {a: trio.Event(), b: trio.Event()}
    refused = []

    async def handler(other, clerk):
        await events[clerk].wait()
        try:
            await other.ref.tell(do(lambda clerk: clerk.notes.append("told")))
        except DeadlockError as error:
            refused.append((clerk, str(error)))

    for clerk, other in [(a, b), (b, a)]:
        clerk.tell(partial(handler, other))
        await settle()
        clerk.note("queued")
    events[a].set()
    await settle()
    events[b].set()
    await settle()
    [(clerk, text)] = refused
    assert clerk is b
    assert text.startswith("tell() to the full mailbox of a would wait for ever: b → a → b;")
    assert (a.kept, b.kept) == (("queued",), ("queued", "told"))


async def test_a_child_task_of_a_handler_holds_the_actor_up(office):
    a, b = await office.hire("a"), await office.hire("b")

    async def ask_back(clerk):
        return await a.ask(lambda clerk: "never")

    async def handler(clerk):
        async with trio.open_nursery() as children:
            children.start_soon(b.ask, ask_back)

    with pytest.raises(DeadlockError, match="b → a → b"):
        await a.ask(handler)


async def test_a_background_task_is_not_accused(office):
    """It was started by a handler, but runs in a nursery that was opened before: the handler doesn't wait for it."""
    a, b = await office.hire("a"), await office.hire("b")
    answers = []

    async def ask_own_actor():
        answers.append(await a.ask(lambda clerk: "own"))

    async def ask_back(clerk):
        return await a.ask(lambda clerk: "back")

    async def ask_other():
        answers.append(await b.ask(ask_back))

    async def handler(clerk):
        clerk.nursery.start_soon(ask_own_actor)
        clerk.nursery.start_soon(ask_other)
        await settle()

    await a.ask(handler)
    await settle()
    assert sorted(answers) == ["back", "own"]


async def test_a_handler_with_several_waits_at_once_is_in_every_circle_that_they_close(office, nursery):
    """1. a waits for b and c at once. 2. b answers. 3. c asks a, which still waits for c."""
    a, b, c = [await office.hire(name) for name in "abc"]
    event = trio.Event()

    async def handler(clerk):
        async with trio.open_nursery() as children:
            children.start_soon(b.ask, lambda clerk: "answered")
            children.start_soon(c.ask, ask_back)

    async def ask_back(clerk):
        await event.wait()
        return await a.ask(lambda clerk: "never")

    asker = Asker(nursery, a.ask, handler)
    await settle()
    event.set()
    await settle()
    assert isinstance(asker.raised, DeadlockError)
    assert "c → a → c" in str(asker.raised)


async def test_a_wait_that_is_over_accuses_nobody(autojump_clock, office):
    a, b = await office.hire("a"), await office.hire("b")

    async def hang(clerk):
        await trio.sleep_forever()

    async def ask_back(clerk):
        return await a.ask(lambda clerk: "no circle any more")

    async def handler(clerk):
        await b.ask(lambda clerk: None)
        with trio.move_on_after(1):
            await b.ask(hang)
        b.tell(answer)

    answers = []

    async def answer(clerk):
        answers.append(await ask_back(clerk))

    await a.ask(handler)
    await settle()
    assert answers == ["no circle any more"]


# Order.

operations = st.lists(st.sampled_from(["tell", "tell_nowait", "ask", "next tick"]), max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.lists(operations, min_size=1, max_size=4), st.booleans())
def test_messages_of_one_sender_are_handled_in_the_order_in_which_they_were_sent(
    run_office, do, capacity, senders, slow
):
    async def send(clerk, sender, operations, sent):
        for number, what in enumerate(operations):

            def plain(clerk, mark=(sender, number)):
                clerk.notes.append(mark)

            async def later(clerk, plain=plain):
                await trio.lowlevel.checkpoint()
                plain(clerk)

            message = do(later if slow else plain)
            if what == "next tick":
                clerk.callbacks.add_next_tick(plain, (clerk,))
            elif what == "tell_nowait":
                try:
                    clerk.ref.tell_nowait(message)
                except MailboxFull:
                    continue
            else:
                await getattr(clerk.ref, what)(message)
            sent.append((sender, number))

    async def test(office):
        clerk = await office.hire(capacity=capacity)
        sent = [[] for _ in senders]
        async with trio.open_nursery() as nursery:
            for sender, operations in enumerate(senders):
                nursery.start_soon(send, clerk, sender, operations, sent[sender])
        await settle()
        for sender, marks in enumerate(sent):
            assert [mark for mark in clerk.kept if mark[0] == sender] == marks

    run_office(test)


# The parts.


async def test_a_parked_task_that_left_is_not_woken(nursery):
    parked = Parked()
    with trio.move_on_after(0):
        await parked.park(lambda: True)
    assert not parked.is_cancelled
    parked.wake(outcome.Value("too late"))


async def test_nobody_may_wake_a_task_while_its_leaving_is_decided():
    parked = Parked()

    def abort():
        parked.wake(outcome.Value("ignored"))
        return True

    with trio.move_on_after(0) as scope:
        await parked.park(abort)
    assert scope.cancelled_caught


async def test_an_answered_entry_that_is_told_of_room_goes_on_waiting():
    entry = Answered(lambda: ActorGone("x"))
    entry.granted()
    with trio.move_on_after(0) as scope:
        await entry.parked.park(lambda: True)
    assert scope.cancelled_caught


async def test_one_tell_may_be_queued_at_many_actors(office, do):
    clerks = [await office.hire(str(number)) for number in range(3)]
    entry = Tell(do(lambda clerk: clerk.notes.append(clerk.name)))
    assert all(clerk.mailbox.put(entry) for clerk in clerks)
    await settle()
    assert [clerk.kept for clerk in clerks] == [("0",), ("1",), ("2",)]


# Messages of a type with a policy of its own.


async def full_under(office, do, **policy):
    """A clerk at work, with a mailbox of one and this policy: (clerk, what lets it go on)."""
    clerk = await office.hire(capacity=1)
    clerk.dropped = []
    clerk.message_dropped = clerk.dropped.append
    event = block(clerk)
    await settle()
    clerk.policies = {do: MailboxPolicy(**policy)}
    return clerk, event


async def test_a_refused_type_is_told_at_once_by_every_way(office, autojump_clock, do):
    clerk, event = await full_under(office, do, when_full="refuse")
    clerk.note("queued")
    began = trio.current_time()
    for send in (clerk.ref.tell, clerk.ref.ask):
        with pytest.raises(MailboxFull, match="the mailbox of clerk is full, and message Do doesn't wait for room"):
            await send(do(1))
    with pytest.raises(MailboxFull):
        clerk.ref.tell_nowait(do(1))
    assert trio.current_time() == began
    assert (clerk.ref.statistics().refused, clerk.ref.statistics().waited) == (3, 0)
    event.set()
    await settle()
    assert clerk.kept == ("queued",)


async def test_a_refused_tell_nowait_of_any_type_counts(office, do):
    clerk, event = await full(office)
    with pytest.raises(MailboxFull, match="is full; wait for room"):
        clerk.ref.tell_nowait(do(1))
    assert clerk.ref.statistics().refused == 1
    event.set()


async def test_the_oldest_gives_its_place_whatever_the_way_and_is_told(office, nursery, do):
    clerk, event = await full_under(office, do, when_full="drop_oldest")
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: clerk.notes.append("asked")))
    await settle()
    clerk.note("nowait")
    assert len(clerk.dropped) == 1
    await settle()
    assert isinstance(asker.raised, MailboxFull)
    assert "a newer message took this one's place" in str(asker.raised)
    with trio.testing.assert_checkpoints():
        await clerk.ref.tell(do(lambda clerk: clerk.notes.append("told")))
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: "answer"))
    await settle()
    assert clerk.ref.statistics().dropped == len(clerk.dropped) == 3
    event.set()
    await settle()
    assert asker.returned == "answer"
    assert clerk.kept == ()


async def test_conflated_the_newest_is_handled_and_an_ask_always_is(office, nursery, do):
    clerk, event = await full_under(office, do, conflate=lambda message: "key")
    clerk.note(1)
    clerk.note(2)
    await clerk.ref.tell(do(lambda clerk: clerk.notes.append(3)))
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: list(clerk.notes)))
    await settle()
    assert clerk.ref.statistics().waiting_for_room == 1
    event.set()
    await settle()
    assert asker.returned == [3]
    assert (clerk.ref.statistics().conflated, clerk.dropped) == (2, [])


async def test_under_a_policy_that_waits_senders_wait_as_ever(office, nursery, do):
    clerk, event = await full_under(office, do, conflate=lambda message: message.func)
    clerk.note(1)
    teller = Asker(nursery, clerk.ref.tell, do(lambda clerk: clerk.notes.append(2)))
    await settle()
    assert not teller.over
    with pytest.raises(MailboxFull, match="wait for room"):
        clerk.note(3)
    event.set()
    await settle()
    assert teller.over
    assert clerk.kept == (1, 2)


@pytest.mark.parametrize("way", ["tell", "tell_nowait", "ask"])
async def test_what_the_key_function_raises_is_the_senders(office, do, way):
    clerk, event = await full_under(office, do, conflate=lambda message: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result = getattr(clerk.ref, way)(do(1))
        if result is not None:
            await result
    assert clerk.incidents == []
    clerk.policies = {do: MailboxPolicy(conflate=lambda message: [])}
    with pytest.raises(TypeError, match="must be hashable"):
        clerk.ref.tell_nowait(do(1))
    event.set()
    await settle()
    assert clerk.kept == ()


async def test_a_cancelled_ask_under_a_policy_is_withdrawn(office, nursery, do):
    clerk, event = await full_under(office, do, when_full="drop_oldest")
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: clerk.notes.append("asked")))
    await settle()
    asker.scope.cancel()
    await settle()
    assert asker.over
    clerk.note("told")
    event.set()
    await settle()
    assert clerk.kept == ("told",)
    assert clerk.dropped == []
