"""How long a turn has lasted, and for whose fault. Limits are 100 ms; the clock's numbers are in seconds."""

import pytest

from supervisor.actor.turn_clock import TurnClock


@pytest.fixture
def clock():
    return TurnClock(0.1)


def test_a_loop_that_waits_is_held_by_nobody(clock):
    look = clock.look(now=5.0, began=None, computed=0.0)
    assert (look.held, look.sleep) == (0.0, 0.05)


def test_a_turn_is_looked_at_when_it_reaches_half_of_the_limit_and_the_limit(clock):
    assert clock.look(now=5.01, began=5.0, computed=0.0).sleep == pytest.approx(0.04)
    assert clock.look(now=5.051, began=5.0, computed=0.0).sleep == pytest.approx(0.049)
    look = clock.look(now=5.101, began=5.0, computed=0.0)
    assert (look.held, look.sleep) == (pytest.approx(0.101), 0.05)


def test_it_never_spins(clock):
    assert clock.look(now=5.04999999, began=5.0, computed=0.0).sleep >= 0.001


def test_time_that_was_seen_to_pass_counts_though_nothing_was_computed(clock):
    """As with a blocking call: it sleeps, and the watchdog wakes in time."""
    for now in (5.0, 5.05, 5.1):
        look = clock.look(now=now, began=5.0, computed=0.0)
    assert look.held == pytest.approx(0.1)
    assert not look.standstill
    assert not look.kept_lock


def test_a_process_that_stood_still_is_not_accused(clock):
    """1. A turn begins; 2. the process is suspended; 3. it goes on ten seconds later, having computed nothing."""
    clock.look(now=5.01, began=5.0, computed=1.0)
    look = clock.look(now=15.05, began=5.0, computed=1.001)
    assert look.standstill
    assert look.held == pytest.approx(0.05)
    assert clock.excused == pytest.approx(10.0)


def test_a_turn_that_goes_on_after_a_standstill_is_told_by_its_own_time(clock):
    clock.look(now=5.01, began=5.0, computed=1.0)
    clock.look(now=15.05, began=5.0, computed=1.0)
    clock.look(now=15.1, began=5.0, computed=1.0)
    assert clock.look(now=15.15, began=5.0, computed=1.0).held == pytest.approx(0.15)
    assert clock.look(now=15.2, began=15.19, computed=1.0).held == pytest.approx(0.01)


def test_a_standstill_before_a_turn_takes_nothing_off_it(clock):
    clock.look(now=5.0, began=None, computed=1.0)
    look = clock.look(now=15.0, began=14.97, computed=1.0)
    assert look.standstill
    assert look.held == 0.0
    assert clock.excused == pytest.approx(0.03)


def test_code_that_computed_while_the_watchdog_could_not_wake_is_held_to_it(clock):
    """As a regular expression does, which keeps Python's lock for all of its time."""
    clock.look(now=5.01, began=5.0, computed=1.0)
    look = clock.look(now=8.0, began=5.0, computed=3.9)
    assert look.kept_lock
    assert not look.standstill
    assert look.held == pytest.approx(3.0)


def test_a_wake_that_is_a_little_late_excuses_nothing(clock):
    clock.look(now=5.01, began=5.0, computed=1.0)
    assert clock.look(now=5.08, began=5.0, computed=1.0).held == pytest.approx(0.08)
