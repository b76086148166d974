import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from supervisor.actor.entry import Entry, Stop, Tell
from supervisor.actor.mailbox import CAPACITY, Mailbox
from supervisor.actor.policy import NO_KEY, Admission, MailboxPolicy


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


# Messages under a policy.


class Asked(Tell):
    __slots__ = ()
    is_answered = True


WAIT = MailboxPolicy(conflate=lambda message: message)
REFUSE = MailboxPolicy(when_full="refuse")
DROP = MailboxPolicy(when_full="drop_oldest")
DROP_KEYED = MailboxPolicy(when_full="drop_oldest", conflate=lambda message: message)


def put_under(mailbox, policy, entry, key=NO_KEY, dropped=None):
    return mailbox.put_under(policy, entry, key, (lambda entry: None) if dropped is None else dropped.append)


def test_a_thousand_ticks_that_wait_are_one_per_symbol_in_the_place_of_the_first():
    mailbox = Mailbox()
    other = Tell("other")
    put_under(mailbox, WAIT, Tell(-1), "A")
    mailbox.put(other)
    ticks = [Tell(number) for number in range(1000)]
    for tick in ticks:
        put_under(mailbox, WAIT, tick, "ABC"[tick.message % 3])
    assert take_all(mailbox) == [ticks[999], other, ticks[997], ticks[998]]
    assert mailbox.statistics().conflated == 998
    assert put_under(mailbox, WAIT, Tell("later"), "A") is Admission.QUEUED


def test_conflating_needs_no_room_and_gives_none():
    mailbox = Mailbox(1)
    put_under(mailbox, WAIT, Tell(1), "A")
    assert put_under(mailbox, WAIT, Tell(2), "A") is Admission.CONFLATED
    assert put_under(mailbox, WAIT, Tell(3), "B") is Admission.WAIT
    assert mailbox.take().message == 2
    assert mailbox.put(Tell(4))
    assert not mailbox.put(Tell(5))


def test_without_room_a_type_that_is_refused_is_refused_at_once():
    mailbox, (entry,) = full_mailbox()
    assert put_under(mailbox, REFUSE, Tell(1)) is Admission.REFUSED
    assert mailbox.statistics().refused == 1
    assert take_all(mailbox) == [entry]
    assert put_under(mailbox, REFUSE, Tell(1)) is Admission.QUEUED


def test_the_oldest_of_its_own_type_gives_its_place_and_the_newer_one_goes_last():
    mailbox = Mailbox(3)
    first, second, other = Tell(1), Tell(2), Tell("other")
    put_under(mailbox, DROP, first)
    mailbox.put(other)
    put_under(mailbox, DROP, second)
    third = Tell(3)
    dropped = []
    assert put_under(mailbox, DROP, third, dropped=dropped) is Admission.QUEUED
    assert dropped == [first]
    assert counts(mailbox) == (3, 0, 0)
    assert take_all(mailbox) == [other, second, third]
    assert mailbox.statistics().dropped == 1
    assert mailbox.is_empty()


def test_with_none_of_its_type_that_waits_the_newer_one_is_refused():
    mailbox, _ = full_mailbox()
    assert put_under(mailbox, DROP, Tell(1)) is Admission.REFUSED
    mailbox.take()
    put_under(mailbox, DROP, Tell(2))
    mailbox.take()
    mailbox.put(Tell("full"))
    assert put_under(mailbox, DROP, Tell(3)) is Admission.REFUSED
    statistics = mailbox.statistics()
    assert (statistics.refused, statistics.dropped) == (2, 0)


def test_two_types_drop_their_own_only():
    mailbox = Mailbox(2)
    dropped = []
    put_under(mailbox, DROP, Tell("first"))
    put_under(mailbox, DROP_KEYED, Tell("second"), "A")
    put_under(mailbox, DROP_KEYED, Tell("third"), "B", dropped)
    assert [entry.message for entry in dropped] == ["second"]


def test_a_flood_leaves_no_empty_places_behind():
    mailbox = Mailbox(10)
    for number in range(9):
        mailbox.put(Tell(number))
    for number in range(10_000):
        put_under(mailbox, DROP, Tell(number))
        assert len(mailbox._entries) <= 21
    assert counts(mailbox) == (10, 0, 0)
    assert len(take_all(mailbox)) == 10
    assert mailbox.is_empty()


def test_an_entry_under_a_policy_can_be_withdrawn_and_its_room_goes_to_who_waits():
    mailbox = Mailbox(1)
    asked = Asked(1)
    put_under(mailbox, WAIT, asked, "A")
    waiter, waiting = Waiter(), Tell(2)
    assert put_under(mailbox, WAIT, waiting, "A") is Admission.WAIT
    mailbox.put_when_room(waiting, waiter, WAIT, "A")
    assert mailbox.withdraw(asked)
    assert not mailbox.withdraw(asked)
    assert waiter.heard == ["granted"]
    assert take_all(mailbox) == [waiting]


def test_what_waited_for_room_is_conflated_when_it_has_some_and_the_room_goes_on():
    mailbox = Mailbox(1)
    blocker = Tell("blocker")
    mailbox.put(blocker)
    waiters = [Waiter() for _ in range(3)]
    for waiter, (message, key) in zip(waiters, [(1, "A"), (2, "A"), (3, "A")], strict=True):
        mailbox.put_when_room(Tell(message), waiter, WAIT, key)
    assert put_under(mailbox, WAIT, Tell(4), "A") is Admission.WAIT
    assert mailbox.take() is blocker
    assert [waiter.heard for waiter in waiters] == [["granted"], [], []]
    assert put_under(mailbox, WAIT, Tell(4), "A") is Admission.WAIT  # 2 and 3 came before it
    assert mailbox.withdraw(next(iter(mailbox._lanes[WAIT]._slots)))
    assert [waiter.heard for waiter in waiters] == [["granted"], ["granted"], []]


def test_room_is_passed_on_over_those_that_are_conflated():
    mailbox = Mailbox(2)
    mailbox.put(Tell("first"))
    mailbox.put(Tell("second"))
    waiters = [Waiter() for _ in range(3)]
    for waiter, (message, key) in zip(waiters, [(1, "A"), (2, "A"), (3, "B")], strict=True):
        mailbox.put_when_room(Tell(message), waiter, WAIT, key)
    mailbox.take()
    mailbox.take()
    assert [waiter.heard for waiter in waiters] == [["granted"]] * 3
    assert [entry.message for entry in take_all(mailbox)] == [2, 3]
    assert mailbox.statistics().conflated == 1
    assert mailbox.put(Tell(4))
    assert mailbox.put(Tell(5))
    assert not mailbox.put(Tell(6))


def test_a_withdrawn_wait_for_room_is_waited_for_no_longer():
    mailbox = Mailbox(1)
    put_under(mailbox, WAIT, Tell(1), "A")
    waiting = Asked(2)
    put_under(mailbox, WAIT, waiting, "A")
    mailbox.put_when_room(waiting, Waiter(), WAIT, "A")
    assert mailbox.withdraw(waiting)
    mailbox.take()
    put_under(mailbox, WAIT, Tell(3), "A")
    assert put_under(mailbox, WAIT, Tell(4), "A") is Admission.CONFLATED


def test_at_the_end_the_messages_come_out_of_their_places():
    mailbox = Mailbox(1)
    first, second, waiter = Tell(1), Tell(2), Waiter()
    put_under(mailbox, DROP, first)
    put_under(mailbox, DROP, second)
    mailbox.put_when_room(Tell(3), waiter, WAIT, "A")
    assert mailbox.close() == [second]
    assert waiter.heard == ["closed"]
    assert mailbox.is_empty()
    assert counts(mailbox) == (0, 0, 0)


def test_what_is_kept_at_the_end_comes_out_of_its_place_too():
    mailbox = Mailbox(1)
    kept, left, waiting, waiter = Tell(1), Tell(2), Tell(3), Waiter()
    mailbox = Mailbox(2)
    put_under(mailbox, DROP, kept)
    put_under(mailbox, DROP, left)
    mailbox.put_when_room(waiting, waiter, WAIT, "A")
    assert mailbox.keep_only(lambda entry: entry in (kept, waiting)) == [left]
    assert waiter.heard == ["granted"]
    assert take_all(mailbox) == [kept, waiting]


async def test_a_message_under_a_policy_wakes_the_reader(nursery):
    mailbox = Mailbox()
    taken = []

    async def read():
        await mailbox.wait()
        taken.append(mailbox.take().message)

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    put_under(mailbox, WAIT, Tell(1), "A")
    await trio.testing.wait_all_tasks_blocked()
    assert taken == [1]


def test_statistics_count_what_became_of_messages():
    mailbox = Mailbox(2)
    mailbox.put(Tell(1))
    mailbox.put(Tell(2))
    mailbox.note_backlog()
    mailbox.put_when_room(Tell(3), Waiter())
    mailbox.take()
    mailbox.take()
    mailbox.take()
    statistics = mailbox.statistics()
    assert (statistics.waited, statistics.refused, statistics.highest, statistics.counted) == (1, 0, 2, 0)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"), st.sampled_from(["wait", "refuse", "drop", "plain"]), st.sampled_from("AB"), st.booleans()
        ),
        st.tuples(st.just("take")),
        st.tuples(st.just("withdraw"), st.integers(0, 5)),
    ),
    max_size=40,
)
POLICIES = {
    "wait": MailboxPolicy(conflate=lambda message: message),
    "refuse": MailboxPolicy(when_full="refuse", conflate=lambda message: message),
    "drop": MailboxPolicy(when_full="drop_oldest", conflate=lambda message: message),
}


class Model:
    """A mailbox as a plain list of [number, kind, key, asked], searched through each time."""

    def __init__(self, capacity):
        self.capacity, self.queue, self.waiting = capacity, [], []

    def _conflates(self, number, kind, key, asked, queue):
        if kind == "plain" or asked:
            return False
        same = [each for each in queue if each[1] == kind and each[2] == key]
        if not same or same[-1][3]:
            return False
        same[-1][0] = number
        return True

    def put(self, number, kind, key, asked):
        expected = any(each[1] == kind and each[2] == key for each in self.waiting)
        if not expected and self._conflates(number, kind, key, asked, self.queue):
            return "conflated"
        if len(self.queue) < self.capacity:
            self.queue.append([number, kind, key, asked])
            return "queued"
        if kind in ("wait", "plain"):
            self.waiting.append([number, kind, key, asked])
            return "waits"
        own = [each for each in self.queue if each[1] == kind] if kind == "drop" else []
        if not own:
            return "refused"
        self.queue.remove(min(own, key=lambda each: each[0]))
        self.queue.append([number, kind, key, asked])
        return "queued"

    def fill(self):
        while self.waiting and len(self.queue) < self.capacity:
            each = self.waiting.pop(0)
            if not self._conflates(*each, self.queue):
                self.queue.append(each)

    def take(self):
        number = self.queue.pop(0)[0] if self.queue else None
        self.fill()
        return number

    def withdraw(self, number):
        for place in (self.queue, self.waiting):
            for each in place:
                if each[0] == number:
                    place.remove(each)
                    self.fill()
                    return True
        return False


@given(capacity=st.integers(1, 4), operations=OPERATIONS)
def test_any_mixture_of_policies_does_what_a_plain_list_would(capacity, operations):
    """An ask that was withdrawn still keeps those before it and after it apart, unlike in the list; so none is."""
    mailbox, model, entries = Mailbox(capacity), Model(capacity), []
    for what, *arguments in operations:
        if what == "put":
            kind, key, asked = arguments
            number = len(entries)
            entry = (Asked if asked else Tell)(number)
            entries.append(entry)
            if kind == "plain":
                taken = mailbox.put(entry)
                admission = Admission.QUEUED if taken else Admission.WAIT
            else:
                admission = put_under(mailbox, POLICIES[kind], entry, key)
            names = {Admission.QUEUED: "queued", Admission.CONFLATED: "conflated", Admission.WAIT: "waits"}
            assert names.get(admission, "refused") == model.put(number, kind, key, asked)
            if admission is Admission.WAIT:
                mailbox.put_when_room(entry, Waiter(), *([] if kind == "plain" else [POLICIES[kind], key]))
        elif what == "take":
            entry = mailbox.take()
            assert (entry and entry.message) == model.take()
        elif entries and not entries[arguments[0] % len(entries)].is_answered:
            number = arguments[0] % len(entries)
            assert mailbox.withdraw(entries[number]) == model.withdraw(number)
        statistics = mailbox.statistics()
        assert (statistics.counted, statistics.waiting_for_room) == (len(model.queue), len(model.waiting))
        assert mailbox.is_empty() == (not model.queue)
    left = [each[0] for each in model.queue]
    assert [entry.message for entry in mailbox.close()] == left


def test_its_tail_is_what_came_last():
    mailbox = Mailbox()
    assert mailbox.tail(2) == []
    for number in range(3):
        mailbox.put(Tell(number))
    mailbox.put_system(Tell("system"))
    assert [entry.message for entry in mailbox.tail(2)] == [1, 2]
    assert [entry.message for entry in mailbox.tail(5)] == [0, 1, 2]


def test_its_tail_shows_messages_under_a_policy_and_no_empty_slot():
    mailbox = Mailbox(2)
    mailbox.put(Tell(1))
    put_under(mailbox, DROP, Tell(2))
    put_under(mailbox, DROP, Tell(3))
    assert [entry.message for entry in mailbox.tail(5)] == [1, 3]


def test_told_to_finish_it_takes_nothing_more_and_keeps_what_is_there_and_who_waits_for_room():
    mailbox = Mailbox(1)
    first, second, stop, waiter = Tell(1), Tell(2), Stop(), Waiter()
    assert mailbox.put(first)
    mailbox.put_when_room(second, waiter)
    mailbox.put_system(stop)
    mailbox.finish()
    assert mailbox.is_closed
    assert take_all(mailbox) == [stop, first, second]


def test_it_tells_whether_a_lifecycle_entry_comes_next():
    mailbox = Mailbox(1)
    mailbox.put(Tell(1))
    assert not mailbox.has_system_entry
    mailbox.put_system(Stop())
    assert mailbox.has_system_entry
    mailbox.take()
    assert not mailbox.has_system_entry
