import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from supervisor.actor.entry import Entry, Stop, Tell
from supervisor.actor.mailbox import CAPACITY, Mailbox


class Tick(Entry):
    counted = False


class Waiter:
    """Somebody without room."""

    def __init__(self):
        self.heard = []

    def granted(self):
        self.heard.append("granted")

    def closed(self):
        self.heard.append("closed")


def counts(mailbox):
    statistics = mailbox.statistics()
    return statistics.counted, statistics.uncounted, statistics.waiting_for_room


def take_all(mailbox):
    return list(iter(mailbox.take, None))


def full_mailbox(capacity=1):
    mailbox = Mailbox(capacity)
    entries = [Tell(number) for number in range(capacity)]
    assert all(mailbox.put(entry) for entry in entries)
    return mailbox, entries


def test_it_holds_a_thousand_messages_unless_told_otherwise():
    mailbox, _ = full_mailbox(CAPACITY)
    assert CAPACITY == 1_000
    assert Mailbox().statistics().capacity == CAPACITY
    assert not mailbox.put(Tell("one too many"))
    assert counts(mailbox) == (CAPACITY, 0, 0)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_mailbox_without_room_for_anything_is_refused(capacity):
    with pytest.raises(ValueError, match="room for at least one entry, not"):
        Mailbox(capacity)


def test_entries_are_taken_in_order_whatever_their_kind():
    mailbox = Mailbox()
    entries = [Tell(1), Tick(), Tell(2), Tick()]
    for entry in entries:
        if entry.counted:
            mailbox.put(entry)
        else:
            mailbox.put_tick(entry)
    assert not mailbox.is_empty()
    assert counts(mailbox) == (2, 2, 0)
    assert take_all(mailbox) == entries
    assert mailbox.is_empty()


def test_the_system_lane_has_always_room_and_comes_first():
    mailbox, _ = full_mailbox()
    stop = Stop()
    mailbox.put_system(stop)
    assert mailbox.take() is stop


def test_a_mailbox_with_only_a_system_entry_is_not_empty():
    mailbox = Mailbox()
    mailbox.put_system(Stop())
    assert not mailbox.is_empty()


def test_ticks_take_no_room_and_give_none():
    mailbox, [told] = full_mailbox()
    waiter = Waiter()
    tick = Tick()
    mailbox.put_tick(tick)
    mailbox.put_when_room(Tell("waiting"), waiter)
    assert mailbox.take() is told
    assert waiter.heard == ["granted"]
    assert mailbox.take() is tick
    assert not mailbox.put(Tell("the room is taken"))
    assert counts(mailbox) == (1, 0, 0)


def test_room_goes_to_who_waits_longest_and_nobody_overtakes():
    mailbox, _ = full_mailbox()
    waiters = [Waiter(), Waiter()]
    waiting = [Tell("first"), Tell("second")]
    for entry, waiter in zip(waiting, waiters, strict=True):
        mailbox.put_when_room(entry, waiter)
    mailbox.take()
    assert [waiter.heard for waiter in waiters] == [["granted"], []]
    assert not mailbox.put(Tell("late"))
    assert take_all(mailbox) == waiting
    assert [waiter.heard for waiter in waiters] == [["granted"], ["granted"]]
    assert mailbox.put(Tell("room again"))


def test_withdrawing_a_queued_entry_gives_its_room_to_who_waits():
    mailbox, [told] = full_mailbox()
    waiter, waiting = Waiter(), Tell("waiting")
    mailbox.put_when_room(waiting, waiter)
    assert mailbox.withdraw(told)
    assert waiter.heard == ["granted"]
    assert take_all(mailbox) == [waiting]


def test_withdrawing_a_queued_entry_gives_its_room_back():
    mailbox, [told] = full_mailbox()
    assert mailbox.withdraw(told)
    assert mailbox.put(Tell("new"))
    assert not mailbox.put(Tell("no more"))


def test_withdrawing_one_that_waits_for_room_tells_it_nothing():
    mailbox, [told] = full_mailbox()
    waiters, waiting = [Waiter(), Waiter()], [Tell("first"), Tell("second")]
    for entry, waiter in zip(waiting, waiters, strict=True):
        mailbox.put_when_room(entry, waiter)
    assert mailbox.withdraw(waiting[1])
    assert take_all(mailbox) == [told, waiting[0]]
    assert [waiter.heard for waiter in waiters] == [["granted"], []]


def test_withdrawing_a_tick_gives_no_room():
    mailbox, _ = full_mailbox()
    tick = Tick()
    mailbox.put_tick(tick)
    assert mailbox.withdraw(tick)
    assert not mailbox.put(Tell("no room"))


def test_what_was_taken_can_not_be_withdrawn():
    mailbox, [told] = full_mailbox()
    mailbox.take()
    assert not mailbox.withdraw(told)
    assert mailbox.put(Tell("one"))
    assert not mailbox.put(Tell("two"))


def test_closing_returns_what_was_queued_and_tells_those_who_wait():
    mailbox, [told] = full_mailbox()
    tick, waiter = Tick(), Waiter()
    mailbox.put_tick(tick)
    mailbox.put_system(Stop())
    mailbox.put_when_room(Tell("waiting"), waiter)
    assert not mailbox.is_closed
    assert mailbox.close() == [told, tick]
    assert mailbox.is_closed
    assert waiter.heard == ["closed"]
    assert mailbox.take() is None
    assert counts(mailbox) == (0, 0, 0)


def test_closing_twice_tells_nobody_twice():
    mailbox, _ = full_mailbox()
    waiter = Waiter()
    mailbox.put_when_room(Tell("waiting"), waiter)
    mailbox.close()
    assert mailbox.close() == []
    assert waiter.heard == ["closed"]


def test_closing_can_keep_some_those_that_wait_for_room_too():
    mailbox = Mailbox(2)
    keep, drop = Tell("keep"), Tell("drop")
    kept_waiter, dropped_waiter, waiting_keep, waiting_drop = Waiter(), Waiter(), Tell("keep"), Tell("drop")
    mailbox.put(drop)
    mailbox.put(keep)
    mailbox.put_when_room(waiting_drop, dropped_waiter)
    mailbox.put_when_room(waiting_keep, kept_waiter)
    assert mailbox.keep_only(lambda entry: entry.message == "keep") == [drop]
    assert mailbox.is_closed
    assert kept_waiter.heard == ["granted"]
    assert dropped_waiter.heard == ["closed"]
    assert take_all(mailbox) == [keep, waiting_keep]


@pytest.mark.parametrize("put", ["put", "put_tick", "put_system"])
async def test_whoever_puts_an_entry_in_wakes_the_reader_once(put, autojump_clock):
    mailbox = Mailbox()
    entries = []

    async def read():
        await mailbox.wait()
        entries.extend(take_all(mailbox))
        await mailbox.wait()
        entries.append("woken again")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        first, second = Tell(1), Tell(2)
        getattr(mailbox, put)(first)
        mailbox.put(second)
        await trio.testing.wait_all_tasks_blocked()
        assert entries == [first, second]
        mailbox.put_tick(Tick())
        await trio.testing.wait_all_tasks_blocked()
        assert entries[2:] == ["woken again"]


async def test_the_reader_does_not_wait_while_there_is_mail():
    mailbox, _ = full_mailbox()
    await mailbox.wait()
    mailbox.take()
    mailbox.put_system(Stop())
    await mailbox.wait()


async def test_a_reader_whose_wait_was_cancelled_is_not_woken():
    mailbox = Mailbox()
    with trio.move_on_after(0) as scope:
        await mailbox.wait()
    assert scope.cancelled_caught
    mailbox.put(Tell("for the next reader"))
    await mailbox.wait()


operations = st.lists(
    st.tuples(st.sampled_from(["put", "tick", "take", "withdraw", "withdraw waiting", "keep"]), st.integers(0, 5)),
    max_size=40,
)


@given(st.integers(1, 3), operations)
def test_it_behaves_like_two_lists_and_a_bound(capacity, operations):
    """The model: a list of what is queued, a list of who waits; after each step the waiting move up while they can."""
    mailbox = Mailbox(capacity)
    queued, waiting, waiters = [], [], {}

    def move_up():
        while waiting and sum(entry.counted for entry in queued) < capacity:
            entry = waiting.pop(0)
            queued.append(entry)
            assert waiters[entry].heard == ["granted"]

    for what, number in operations:
        if what == "put":
            entry = Tell(number)
            fits = sum(entry.counted for entry in queued) < capacity
            assert mailbox.put(entry) == fits
            if fits:
                queued.append(entry)
            else:
                waiters[entry] = Waiter()
                waiting.append(entry)
                mailbox.put_when_room(entry, waiters[entry])
        elif what == "tick":
            queued.append(Tick())
            mailbox.put_tick(queued[-1])
        elif what == "take":
            assert mailbox.take() is (queued.pop(0) if queued else None)
        elif what == "withdraw" and queued:
            assert mailbox.withdraw(queued.pop(number % len(queued)))
        elif what == "withdraw waiting" and waiting:
            assert mailbox.withdraw(waiting.pop(number % len(waiting)))
        move_up()
        counted = sum(entry.counted for entry in queued)
        assert counts(mailbox) == (counted, len(queued) - counted, len(waiting))
        assert all(waiters[entry].heard == [] for entry in waiting)
    assert mailbox.close() == queued
    assert all(waiters[entry].heard == ["closed"] for entry in waiting)
