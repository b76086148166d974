"""What is conflated and what isn't: the three rules of the module, one by one."""

import pytest

from supervisor.actor.entry import Tell
from supervisor.actor.lane import Lane, Slot
from supervisor.actor.policy import NO_KEY


class Asked(Tell):
    __slots__ = ()
    is_answered = True


@pytest.fixture
def lane():
    return Lane()


def put(lane, entry, key="ACME"):
    slot = Slot(lane, entry, key)
    lane.add(slot)
    return slot


def test_the_newest_takes_the_place_of_the_older_one(lane):
    slot = put(lane, Tell(1))
    newer = Tell(2)
    assert lane.conflate(newer, "ACME")
    assert slot.entry is newer
    assert len(lane) == 1
    assert lane.find(newer) is slot


def test_other_keys_stay_apart_and_none_is_a_key(lane):
    put(lane, Tell(1))
    put(lane, Tell(2), None)
    assert not lane.conflate(Tell(3), "OTHER")
    assert lane.conflate(Tell(4), None)


def test_without_a_key_nothing_is_conflated(lane):
    put(lane, Tell(1), NO_KEY)
    assert not lane.conflate(Tell(2), NO_KEY)


def test_what_somebody_waits_for_takes_no_place_and_gives_none(lane):
    put(lane, Tell(1))
    asked = Asked(2)
    assert not lane.conflate(asked, "ACME")
    put(lane, asked)
    assert not lane.conflate(Tell(3), "ACME")  # else 3 would be handled before 2, or instead of it


def test_across_what_somebody_waits_for_nothing_is_conflated(lane):
    older = put(lane, Tell(1))
    lane.conflate(Asked(2), "ACME")
    put(lane, Asked(2))
    newer = put(lane, Tell(3))
    assert lane.conflate(Tell(4), "ACME")
    assert (older.entry.message, newer.entry.message) == (1, 4)


def test_while_one_of_the_key_waits_for_room_nothing_is_conflated(lane):
    put(lane, Tell(1))
    waiting = [Slot(lane, Tell(2), "ACME"), Slot(lane, Tell(3), "ACME")]
    for slot in waiting:
        lane.expect(slot)
    lane.expect_no_more(waiting[0])
    assert not lane.conflate(Tell(4), "ACME")
    lane.expect_no_more(waiting[1])
    assert lane.conflate(Tell(4), "ACME")


def test_an_empty_place_is_taken_by_nobody(lane):
    slot = put(lane, Tell(1))
    assert lane.empty(slot).message == 1
    assert slot.entry is None
    assert not lane.conflate(Tell(2), "ACME")
    assert len(lane) == 0
    assert lane.oldest() is None


def test_the_oldest_is_the_message_that_was_sent_longest_ago(lane):
    put(lane, Tell(1), "A")
    second = put(lane, Tell(2), "B")
    lane.conflate(Tell(3), "A")
    assert lane.oldest() is second


def test_a_slot_is_described_as_what_is_in_it(lane):
    slot = put(lane, Tell(1))
    assert slot.describe() == "message int"
    lane.empty(slot)
    assert slot.describe() == "an empty place"
