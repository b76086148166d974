"""The history checker finds what it is there to find: each test plants one violation."""

import attrs
import pytest

from . import history
from .history import Attached, Closed, Connected, Final, Patch, Sent, Settled, Snapshot

GOOD = [
    Connected(),
    Attached("e1", 3, resumed=False),
    Snapshot("e1", 3, 33),
    Patch(3, 4, 44),
    Sent(1, "a"),
    Patch(4, 5, 55),
    Settled(1, "answered", was_seen=True),
    Closed(1006),
    Connected(),
    Attached("e1", 7, resumed=True),
    Patch(5, 7, 77),
    Patch(7, 8, 88),
]


def changed(index, event):
    """The good history with another event at a place."""
    return [*GOOD[:index], event, *GOOD[index + 1 :]]


def without(index):
    return [*GOOD[:index], *GOOD[index + 1 :]]


def test_a_good_history_has_no_violation():
    assert history.check_order(GOOD) == []
    assert history.check_same({"one": GOOD, "two": GOOD}) == []
    assert history.check_final({"one": GOOD}, Final(8, 88)) == []
    assert history.check_sends({"one": GOOD}, ["a"]) == []


def test_nothing_is_wrong_with_no_events():
    assert history.check_order([]) == []
    assert history.check_same({}) == []
    assert history.check_sends({"one": []}, []) == []


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        (without(3), "a patch from 4, but 3 was there: 1 lost"),
        (without(10), "a patch from 7, but 5 was there: 2 lost"),
        ([*GOOD, Patch(7, 8, 88)], "a patch from 7, but 8 was there: 1 came again"),
        (changed(5, Patch(4, 4, 55)), "a patch from 4 to 4"),
        (without(2), "a patch to 4 on a connection that is attached"),
        (without(9), "a patch to 7 on a connection that is opened"),
        ([*GOOD, Closed(1000), Patch(8, 9, 99)], "a patch to 9 on a connection that is none"),
        (changed(9, Attached("e2", 7, resumed=True)), "resumed at 7, with nothing there to resume"),
        ([Connected(), Attached("e1", 7, resumed=True)], "resumed at 7, with nothing there to resume"),
        (changed(9, Attached("e1", 4, resumed=True)), "resumed at 4, which is before 5"),
        (changed(2, Snapshot("e2", 3, 33)), "a snapshot of epoch e2, attached to e1"),
        ([*GOOD, Snapshot("e1", 6, 66)], "a snapshot of 6 after 8"),
        ([Connected(), Snapshot("e1", 3, 33)], "a snapshot of 3 on a connection that is opened"),
        ([*GOOD, Attached("e1", 8, resumed=True)], "attached on a connection that is live"),
    ],
)
def test_a_break_of_the_order_is_found(events, sentence):
    assert sentence in history.check_order(events)


def test_a_snapshot_covers_what_was_missed():
    events = [*GOOD[:9], Attached("e1", 20, resumed=False), Snapshot("e1", 20, 2), Patch(20, 21, 3)]
    assert history.check_order(events) == []
    assert history.check_order([*GOOD, Snapshot("e1", 8, 88), Snapshot("e1", 12, 120)]) == []


def test_a_new_epoch_may_begin_with_lower_revisions():
    events = [*GOOD, Closed(1012), Connected(), Attached("e2", 1, resumed=False), Snapshot("e2", 1, 11)]
    assert history.check_order(events) == []


def test_a_restarted_session_s_snapshot_begins_another_epoch_on_the_same_connection():
    events = [*GOOD, Snapshot("e2", 1, 11), Patch(1, 2, 22)]
    assert history.check_order(events) == []
    assert history.check_same({"one": events, "two": [*GOOD, Snapshot("e2", 1, 12)]}) != []
    late = [*events, Patch(8, 9, 99)]
    assert history.check_order(late) == ["a patch from 8, but 2 was there: 6 lost"]


def test_different_documents_at_the_same_revision_are_found():
    other = changed(10, Patch(5, 7, 78))
    assert history.check_same({"one": GOOD, "two": other}) == ["two and one have different documents at revision 7"]


def test_the_same_revision_of_another_epoch_is_another_document():
    other = [Connected(), Attached("e2", 8, resumed=False), Snapshot("e2", 8, 1)]
    assert history.check_same({"one": GOOD, "two": other}) == []


@pytest.mark.parametrize(
    ("final", "sentence"),
    [
        (Final(9, 99), "one is at revision 8, the server at 9"),
        (Final(8, 89), "one has another document than the server at revision 8"),
    ],
)
def test_a_client_that_ends_elsewhere_than_the_server_is_found(final, sentence):
    assert history.check_final({"one": GOOD}, final) == [sentence]


def test_a_client_without_a_document_is_found():
    assert history.check_final({"one": GOOD[:2]}, Final(8, 88)) == ["one has no document"]


@pytest.mark.parametrize(
    ("events", "log", "sentence"),
    [
        (GOOD, [], "one: 'a' was acknowledged, and is 0 times in the document"),
        (GOOD, ["a", "a"], "one: 'a' was acknowledged, and is 2 times in the document"),
        (
            changed(6, Settled(1, "answered", was_seen=False)),
            ["a"],
            "one: 'a' was acknowledged before the client had it",
        ),
        (changed(6, Settled(1, "failed")), ["a"], "one: 'a' was refused (failed), and is 1 times in the document"),
        (changed(6, Settled(1, "unsent")), ["a"], "one: 'a' was refused (unsent), and is 1 times in the document"),
        (changed(6, Settled(1, "unknown")), ["a", "a"], "one: 'a' is 2 times in the document"),
        ([*GOOD, GOOD[6]], ["a"], "one: 'a' ended 2 times"),
        (without(6), ["a"], "one: 'a' never ended"),
        (changed(6, Settled(2, "answered")), ["a"], "one: an end of a send that was never made (2)"),
    ],
)
def test_a_send_that_ended_wrongly_is_found(events, log, sentence):
    assert sentence in history.check_sends({"one": events}, log)


@pytest.mark.parametrize("log", [[], ["a"]])
def test_a_send_of_which_nobody_knows_may_have_been_done_once_or_not(log):
    assert history.check_sends({"one": changed(6, Settled(1, "unknown"))}, log) == []


def test_sends_that_are_under_way_are_no_violation_before_the_end():
    assert history.check_sends({"one": without(6)}, ["a"], is_over=False) == []


HOOKS = {"created": 2, "built": 2, "opened": 5, "closed": 5, "destroyed": 2}


def test_hooks_that_ran_once_for_each_event_are_no_violation():
    assert history.check_hooks({"s": HOOKS}) == []
    assert history.check_hooks({"s": {**HOOKS, "destroyed": 1, "closed": 4}}, live=["s"]) == []
    assert history.check_hooks({"created~raise~s": {"created": 1}}, refused="created~") == []


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({**HOOKS, "destroyed": 1}, "s: created 2 times, destroyed 1 times, and 2 were due"),
        ({**HOOKS, "destroyed": 3}, "s: created 2 times, destroyed 3 times, and 2 were due"),
        ({**HOOKS, "built": 3}, "s: built 3 times, created 2 times"),
        ({**HOOKS, "closed": 4}, "s: opened 5 times, closed 4 times"),
        ({**HOOKS, "closed": 6}, "s: closed 6 times, opened only 5 times"),
    ],
)
def test_a_hook_that_ran_too_often_or_too_seldom_is_found(counts, sentence):
    assert sentence in history.check_hooks({"s": counts})


ENDS = [["a", "answered"], ["b", "SessionGone"]]


def test_asks_that_ended_once_are_no_violation():
    assert history.check_ends(ENDS, ["a", "b"], ["a"], "answered") == []


@pytest.mark.parametrize(
    ("ends", "log", "sentence"),
    [
        (ENDS[:1], ["a"], "'b' ended 0 times"),
        ([*ENDS, ["a", "answered"]], ["a"], "'a' ended 2 times"),
        (ENDS, [], "'a' ended as answered, and is 0 times in the document"),
        (ENDS, ["a", "a"], "'a' ended as answered, and is 2 times in the document"),
        (ENDS, ["a", "b"], "'b' ended as SessionGone, and is 1 times in the document"),
    ],
)
def test_an_ask_that_ended_wrongly_is_found(ends, log, sentence):
    assert sentence in history.check_ends(ends, ["a", "b"], log, "answered")


def test_events_are_values():
    assert attrs.evolve(GOOD[3], revision=5) == Patch(3, 5, 44)
