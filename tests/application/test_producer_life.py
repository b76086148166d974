import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.actor.restart import Backoff
from supervisor.application.producer_life import ProducerLife, ProducerState


def run_until(life, *, failed, ran=0.0, times=1, now=0.0):
    """Let it be called, and end, so many times, each time when it is due; returns the pauses, and when it ended."""
    pauses = []
    for _ in range(times):
        life.call(now)
        now += ran
        life.end(now, failed=failed, chance=0.5)
        if life.next_call_at is None:
            break
        pauses.append(life.next_call_at - now)
        now = life.next_call_at
    return pauses, now


def test_the_pauses_double_to_a_minute_and_begin_anew_after_a_minute_of_running():
    life = ProducerLife()
    pauses, now = run_until(life, failed=True, times=10)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    pauses, now = run_until(life, failed=True, ran=59.9, now=now)
    assert pauses == [pytest.approx(60)]
    pauses, now = run_until(life, failed=True, ran=60, now=now)
    assert pauses == [0.5]
    assert (life.failures, life.restarts, life.state) == (12, 12, "backing off")


def test_a_chance_makes_a_pause_a_tenth_longer_or_shorter():
    for chance, pause in ((0, 0.45), (0.5, 0.5), (1, 0.55)):
        life = ProducerLife()
        life.call(0)
        life.end(0, failed=True, chance=chance)
        assert life.next_call_at == pytest.approx(pause)


@pytest.mark.parametrize(
    ("restart", "failed", "state"),
    [
        ("permanent", True, "backing off"),
        ("permanent", False, "backing off"),
        ("transient", True, "backing off"),
        ("transient", False, "done"),
        ("temporary", True, "failed"),
        ("temporary", False, "done"),
    ],
)
def test_what_its_kind_makes_of_its_end(restart, failed, state):
    life = ProducerLife(restart=restart)
    run_until(life, failed=failed)
    assert (life.state, life.failures) == (state, int(failed))
    assert life.is_over == (state != "backing off")


@pytest.mark.parametrize("failed", [True, False])
def test_one_restart_too_many_within_the_period_is_a_failure_for_good(failed):
    life = ProducerLife(restart="permanent", max_restarts=3, within=10.0, backoff=Backoff(first=1.0, factor=1.0))
    pauses, now = run_until(life, failed=failed, times=99)
    assert (len(pauses), now, life.state, life.restarts) == (3, 3.0, "failed", 3)
    assert life.is_over
    assert life.next_call_at is None


def test_restarts_that_are_far_between_never_use_it_up():
    life = ProducerLife(max_restarts=2, within=10.0)
    run_until(life, failed=True, ran=6.0, times=500)
    assert (life.state, life.restarts) == ("backing off", 500)


def test_without_restarts_the_first_failure_is_for_good():
    life = ProducerLife(max_restarts=0)
    run_until(life, failed=True)
    assert life.state == "failed"


def test_one_that_was_removed_stays_so_and_its_late_failure_counts():
    life = ProducerLife()
    life.call(0.0)
    life.remove()
    life.end(1.0, failed=True, chance=0.5)
    life.give_up()
    assert (life.state, life.failures, life.next_call_at) == ("removed", 1, None)


def test_one_that_has_failed_can_be_removed_and_one_that_is_done_stays_done():
    failed, done = ProducerLife(restart="temporary"), ProducerLife()
    run_until(failed, failed=True)
    run_until(done, failed=False)
    for life in (failed, done):
        life.remove()
    assert (failed.state, done.state) == ("removed", "done")


def test_one_that_cannot_go_on_has_failed_for_good():
    life = ProducerLife()
    life.give_up()
    assert life.state == "failed"
    assert repr(life) == "<ProducerLife transient failed failures=0 restarts=0>"


@pytest.mark.parametrize(
    ("error", "policy", "said"),
    [
        (ValueError, {"restart": "always"}, "permanent, transient or temporary, not 'always'"),
        (ValueError, {"max_restarts": -1}, "at least 0, or None, not -1"),
        (ValueError, {"max_restarts": 1.5}, "at least 0, or None, not 1.5"),
        (ValueError, {"max_restarts": True}, "at least 0, or None, not True"),
        (ValueError, {"within": 0}, "within must be a number of seconds above 0, not 0"),
        (ValueError, {"within": math.nan}, "within must be a number of seconds above 0, not nan"),
        (TypeError, {"backoff": 5}, "backoff must be a Backoff, .* not 5"),
    ],
)
def test_a_policy_that_cannot_be(error, policy, said):
    with pytest.raises(error, match=said):
        ProducerLife(**policy)


EVENTS = st.one_of(
    st.tuples(st.just("ends"), st.booleans(), st.floats(0, 200), st.floats(0, 1)),
    st.tuples(st.just("removed")),
    st.tuples(st.just("gives up")),
)


@given(
    restart=st.sampled_from(["permanent", "transient", "temporary"]),
    max_restarts=st.none() | st.integers(0, 5),
    within=st.floats(0.1, 100),
    backoff=st.builds(Backoff, first=st.floats(0, 10), longest=st.floats(10, 100), jitter=st.floats(0, 1)),
    events=st.lists(EVENTS, max_size=60),
)
def test_whatever_happens_to_it_its_state_says_what_follows(restart, max_restarts, within, backoff, events):
    """An independent count of restarts, failures and pauses agrees with it at each step; what is over stays so."""
    life = ProducerLife(restart=restart, max_restarts=max_restarts, within=within, backoff=backoff)
    now, failures, restarts = 0.0, 0, []
    for event, *details in events:
        assert life.state in get_args(ProducerState)
        if event != "ends":
            before = life.state
            life.remove() if event == "removed" else life.give_up()
            if event == "removed":
                assert life.state == ("done" if before == "done" else "removed")
            else:
                assert life.state == (before if before in ("done", "failed", "removed") else "failed")
        elif not life.is_over:
            failed, ran, chance = details
            life.call(now)
            assert (life.state, life.next_call_at) == ("running", None)
            now += ran
            life.end(now, failed=failed, chance=chance)
            failures += failed
            wanted = restart == "permanent" or (restart == "transient" and failed)
            room = max_restarts is None or sum(now - at < within for at in restarts) < max_restarts
            if wanted and room:
                restarts.append(now)
                assert life.state == "backing off"
                pause = life.next_call_at - now
                assert life.decision(now) == f"called again in {pause:.2g} s"
                assert -1e-9 <= pause <= backoff.longest * (1 + backoff.jitter) + 1e-9
                now = life.next_call_at
            else:
                assert life.state == ("failed" if wanted or failed else "done")
        assert (life.failures, life.restarts) == (failures, len(restarts))
        assert (life.next_call_at is None) == (life.state != "backing off")
        assert life.is_over == (life.state in ("done", "failed", "removed"))
