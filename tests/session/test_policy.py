"""What is decided after each failure of a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.session.policy import Decider


class Quote:
    pass


class Order:
    pass


def decider(by_type=None, **policy):
    return Decider(FailurePolicy(backoff=Backoff(first=1, longest=8, jitter=0), **policy), by_type or {})


def carry_out(decider, now, message_type=None, chance=0.5):
    decision = decider.decide(message_type, now=now, chance=chance)
    decider.carried_out(decision)
    return decision


@pytest.mark.parametrize("directive", ["resume", "restart", "stop", "escalate"])
def test_the_application_says_what_follows_and_a_type_of_message_something_else(directive):
    by_default = decider(directive=directive)
    assert by_default.decide(None, now=0, chance=0).directive == directive
    assert by_default.decide(Quote, now=0, chance=0).directive == directive
    by_type = decider({Quote: directive}, directive="resume")
    assert by_type.decide(Order, now=0, chance=0).directive == "resume"
    assert by_type.decide(None, now=0, chance=0).directive == "resume"
    assert by_type.decide(Quote, now=0, chance=0).directive == directive


def test_it_says_so_in_words():
    assert decider().decide(None, now=0, chance=0).words == "resumed"
    assert decider(directive="stop").decide(None, now=0, chance=0).words == "stopped"
    assert decider(directive="escalate").decide(None, now=0, chance=0).words == "escalated"
    restarting = decider(directive="restart", max_restarts=2)
    assert [carry_out(restarting, now).words for now in (0, 1, 2)] == [
        "restarted 1 of 2 within 60 s",
        "restarted 2 of 2 within 60 s",
        "stopped after 2 restarts within 60 s",
    ]


@pytest.mark.parametrize("beyond", ["stop", "escalate"])
def test_beyond_the_intensity_it_is_over(beyond):
    restarting = decider(directive="restart", max_restarts=1, beyond=beyond)
    assert carry_out(restarting, 0).directive == "restart"
    assert carry_out(restarting, 59).directive == beyond
    assert carry_out(restarting, 60).directive == "restart"


def test_a_session_that_finishes_ends_where_it_would_be_restarted():
    """And nothing of its budget is spent; what is worse is decided as ever."""
    finishing = decider({Quote: "stop", Order: "resume"}, directive="restart", max_restarts=1)
    finishing.is_finishing = True
    for _ in range(3):
        decision = carry_out(finishing, 0)
        assert (decision.directive, decision.words, decision.pause) == ("restart", "the session ends", 0)
    assert carry_out(finishing, 0, Order).words == "resumed"
    assert carry_out(finishing, 0, Quote).words == "stopped"


def test_only_restarts_count():
    """A thousand failures that are resumed leave the budget as it is."""
    mixed = decider({Quote: "restart"}, max_restarts=1)
    for now in range(1000):
        assert carry_out(mixed, now / 1000).directive == "resume"
    assert carry_out(mixed, 1, Quote).directive == "restart"
    assert carry_out(mixed, 1, Quote).directive == "stop"


def test_pauses_grow_and_are_short_again_after_a_quiet_period():
    restarting = decider(directive="restart", max_restarts=10)
    assert [carry_out(restarting, now).pause for now in (0, 1, 2, 3, 4)] == [1, 2, 4, 8, 8]
    assert carry_out(restarting, 63).pause == 8
    assert carry_out(restarting, 123).pause == 1


def test_chance_makes_pauses_longer_or_shorter():
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=1, jitter=0.5))
    pauses = [Decider(policy, {}).decide(None, now=0, chance=chance).pause for chance in (0, 0.5, 1)]
    assert pauses == [0.5, 1, 1.5]


def test_failures_that_come_together_cost_one_restart():
    restarting = decider(directive="restart")
    first = restarting.decide(None, now=0, chance=0)
    assert restarting.decide(None, now=0, chance=0) is first
    assert restarting.due is first
    restarting.carried_out(first)
    assert restarting.due is None
    assert restarting.decide(None, now=0, chance=0).words == "restarted 2 of 3 within 60 s"


def test_the_strongest_that_was_asked_for_is_due():
    mixed = decider({Quote: "restart", Order: "stop"})
    restart = mixed.decide(Quote, now=0, chance=0)
    assert mixed.decide(None, now=0, chance=0).directive == "resume"
    assert mixed.due is restart
    stop = mixed.decide(Order, now=0, chance=0)
    assert mixed.decide(Quote, now=0, chance=0) is stop
    mixed.carried_out(restart)
    assert mixed.due is stop


def test_a_restart_that_fails_is_one_more_failure_and_never_resumed():
    resuming = decider({Quote: "restart"}, max_restarts=2)
    assert resuming.decide(Quote, now=0, chance=0).pause == 1
    again = resuming.restart_failed(now=0, chance=0)
    assert (again.directive, again.pause) == ("restart", 2)
    assert resuming.due is again
    assert resuming.restart_failed(now=0, chance=0).directive == "stop"
    stopping = decider({Quote: "restart"}, directive="stop")
    stopping.decide(Quote, now=0, chance=0)
    assert stopping.restart_failed(now=0, chance=0).directive == "stop"


def test_it_knows_whether_anything_can_lead_to_a_restart():
    assert decider(directive="restart").may_restart
    assert decider({Quote: "restart"}, directive="stop").may_restart
    assert not decider({Quote: "stop"}).may_restart


times = st.lists(st.floats(0, 100), max_size=60).map(sorted)


@given(times, st.integers(0, 5), st.floats(0.1, 50))
def test_the_intensity_is_never_exceeded(times, max_restarts, within):
    restarting = decider(directive="restart", max_restarts=max_restarts, within=within)
    restarts = []
    for now in times:
        if carry_out(restarting, now).directive == "restart":
            restarts.append(now)
        assert sum(now - then < within for then in restarts) <= max_restarts
    assert "Decider restart" in repr(restarting)
