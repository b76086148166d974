from __future__ import annotations

from supervisor.protocol.history import History


def history(*pairs, **bounds):
    log = History(**bounds)
    for base, revision in pairs:
        log.append(base, revision, b"%d-%d" % (base, revision))
    return log


def test_it_gives_what_was_missed_in_order():
    log = history((3, 4), (4, 5), (5, 6))
    assert log.since(6, current=6) == ()
    assert log.since(5, current=6) == (b"5-6",)
    assert log.since(3, current=6) == (b"3-4", b"4-5", b"5-6")


def test_it_does_not_reach_back_before_its_first():
    log = history((3, 4), (4, 5))
    assert log.since(2, current=5) is None
    assert log.since(-1, current=5) is None
    assert log.since(9, current=5) is None


def test_an_empty_one_knows_only_that_nothing_was_missed():
    assert history().since(0, current=0) == ()
    assert history().since(0, current=1) is None


def test_nobody_can_be_within_a_merged_patch():
    log = history((0, 1), (1, 5), (5, 6))
    assert log.since(1, current=6) == (b"1-5", b"5-6")
    assert log.since(3, current=6) is None


def test_a_change_that_it_was_not_told_of_makes_it_forget():
    log = history((0, 1), (1, 2), (5, 6))
    assert len(log) == 1
    assert log.since(1, current=6) is None
    assert log.since(5, current=6) == (b"5-6",)


def test_it_gives_nothing_that_leads_elsewhere():
    assert history((0, 1), (1, 2)).since(0, current=3) is None


def test_the_oldest_go_first_by_number():
    log = history(*((n, n + 1) for n in range(10)), max_patches=3)
    assert len(log) == 3
    assert log.since(6, current=10) is None
    assert len(log.since(7, current=10)) == 3


def test_the_oldest_go_first_by_bytes():
    log = history((0, 1), (1, 2), (2, 3), max_bytes=6)
    assert log.since(0, current=3) is None
    assert log.since(1, current=3) == (b"1-2", b"2-3")
    log.append(3, 4, b"123456")
    assert log.since(2, current=4) is None
    assert log.since(3, current=4) == (b"123456",)


def test_a_patch_beyond_the_bound_leaves_nothing():
    log = history((0, 1), max_bytes=6)
    log.append(1, 2, b"1234567")
    assert len(log) == 0
    assert log.since(1, current=2) is None
    assert log.since(2, current=2) == ()
    log.append(2, 3, b"123456")
    assert log.since(2, current=3) == (b"123456",)


def test_the_bounds_are_those_of_the_design():
    log = History()
    for n in range(1_001):
        log.append(n, n + 1, b"x")
    assert log.since(0, current=1_001) is None
    assert len(log.since(1, current=1_001)) == 1_000
    log.append(1_001, 1_002, b"x" * (2**20))
    assert len(log) == 1
    log.append(1_002, 1_003, b"x")
    assert len(log) == 1


def test_it_says_how_far_it_reaches():
    assert repr(history((3, 4), (4, 6))) == "<History 3→6, 6 bytes>"
    assert repr(history()) == "<History empty, 0 bytes>"


def test_another_epoch_begins_with_a_revision_to_which_nothing_leads():
    history = History()
    history.append(0, 1, b"one")
    history.begin(2)
    assert history.begun_at == 2
    assert len(history) == 0
    assert history.since(1, current=2) is None
    history.append(2, 3, b"three")
    assert history.since(2, current=3) == (b"three",)
