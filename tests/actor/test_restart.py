"""What follows a failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.actor.restart import (
    Backoff,
    FailurePolicy,
    RestartBudget,
    check_directive,
    check_restart_kind,
    is_called_again,
)

seconds = st.floats(0, 1e6)


def test_pauses_double_up_to_the_longest():
    backoff = Backoff(first=0.5, longest=3.0, jitter=0.0)
    assert [backoff.delay(failures, chance=0.9) for failures in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1), seconds, seconds, st.floats(1, 1e6))
def test_a_pause_is_within_its_jitter_of_the_planned_one(failures, chance, jitter, first, longest, factor):
    first, longest = sorted([first, longest])
    backoff = Backoff(first=first, longest=longest, factor=factor, jitter=jitter)
    delay = backoff.delay(failures, chance=chance)
    planned = Backoff(first=first, longest=longest, factor=factor, jitter=0).delay(failures, chance=chance)
    assert 0 <= delay <= longest * 2
    assert abs(delay - planned) <= planned * (jitter + 1e-12)


def test_no_pause_is_a_choice():
    assert Backoff(first=0.0).delay(7, chance=1.0) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1},
        {"first": float("nan")},
        {"longest": float("inf")},
        {"longest": 0.1},
        {"factor": 0.5},
        {"factor": float("nan")},
        {"jitter": 2},
        {"jitter": float("nan")},
    ],
)
def test_a_backoff_that_cant_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Backoff(**wrong)


def test_a_budget_allows_so_many_restarts_within_its_period_and_then_again():
    budget = RestartBudget(max_restarts=2, within=10.0)
    assert [budget.spend(now) for now in (0.0, 1.0, 9.9, 10.0, 10.5, 11.0)] == [True, True, False, True, False, True]


def test_a_budget_of_none_allows_none_and_one_without_bound_any():
    assert not RestartBudget(max_restarts=0, within=10.0).spend(0.0)
    unbounded = RestartBudget(max_restarts=None, within=10.0)
    assert all(unbounded.spend(0.0) for _ in range(1000))
    assert unbounded.spent(0.0) == 0


@given(st.integers(0, 5), st.floats(0.1, 100), st.lists(st.floats(0, 20), max_size=60))
def test_no_period_ever_has_more_restarts_than_are_allowed(max_restarts, within, gaps):
    budget, now, allowed = RestartBudget(max_restarts=max_restarts, within=within), 0.0, []
    for gap in gaps:
        now += gap
        if budget.spend(now):
            allowed.append(now)
        assert budget.spent(now) == sum(1 for at in allowed if now - at < within) <= max_restarts
        # It is refused only if as many as are allowed were within the period.
        assert not gap or len(allowed) or max_restarts == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"directive": "retry"}, "resume, restart, stop or escalate, not 'retry'"),
        ({"max_restarts": -1}, "max_restarts"),
        ({"max_restarts": None}, "max_restarts"),
        ({"max_restarts": 1.5}, "max_restarts"),
        ({"within": 0}, "within"),
        ({"within": float("nan")}, "within"),
        ({"beyond": "resume"}, "stop or escalate, not 'resume'"),
        ({"backoff": 3}, r"backoff must be a Backoff, as in Backoff\(first=1.0, longest=30.0\), not 3"),
    ],
)
def test_a_policy_that_cant_be_is_refused(wrong, named):
    with pytest.raises((TypeError, ValueError), match=named):
        FailurePolicy(**wrong)


def test_who_is_called_again():
    called_again = {
        (kind, failed): is_called_again(kind, failed=failed)
        for kind in ("permanent", "transient", "temporary")
        for failed in (True, False)
    }
    assert called_again == {
        ("permanent", True): True,
        ("permanent", False): True,
        ("transient", True): True,
        ("transient", False): False,
        ("temporary", True): False,
        ("temporary", False): False,
    }


def test_unknown_words_are_refused():
    check_directive("restart")
    check_restart_kind("transient")
    with pytest.raises(ValueError, match="not 'always'"):
        check_restart_kind("always")
    with pytest.raises(ValueError, match="not 'ignore'"):
        check_directive("ignore")


def test_a_budget_says_what_it_is():
    assert repr(RestartBudget(max_restarts=3, within=60.0)) == "<RestartBudget 3 within 60 s>"
    assert repr(RestartBudget(max_restarts=None, within=60.0)) == "<RestartBudget any number within 60 s>"
