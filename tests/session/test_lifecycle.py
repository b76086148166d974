import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.session.lifecycle import Effect, Event, InvalidTransition, Lifecycle, State

WAYS = {
    State.CREATING: [],
    State.LINGERING: [Event.BUILT],
    State.ACTIVE: [Event.BUILT, Event.ATTACHED],
    State.DRAINING: [Event.ENDED],
    State.DESTROYED: [Event.ENDED, Event.CLOSED],
}
NEXT = {
    (State.CREATING, Event.BUILT): (State.LINGERING, [Effect.START_LINGER]),
    (State.CREATING, Event.ENDED): (State.DRAINING, [Effect.LEAVE]),
    (State.LINGERING, Event.ATTACHED): (State.ACTIVE, [Effect.STOP_LINGER]),
    (State.LINGERING, Event.ENDED): (State.DRAINING, [Effect.STOP_LINGER, Effect.LEAVE]),
    (State.ACTIVE, Event.ATTACHED): (State.ACTIVE, []),
    (State.ACTIVE, Event.LEFT): (State.LINGERING, [Effect.START_LINGER]),
    (State.ACTIVE, Event.ENDED): (State.DRAINING, [Effect.LEAVE]),
    (State.DRAINING, Event.LEFT): (State.DRAINING, []),
    (State.DRAINING, Event.ENDED): (State.DRAINING, []),
    (State.DRAINING, Event.CLOSED): (State.DESTROYED, [Effect.ANNOUNCE_END]),
    (State.DESTROYED, Event.ENDED): (State.DESTROYED, []),
}


def brought_to(state):
    lifecycle = Lifecycle()
    for event in WAYS[state]:
        lifecycle.handle(event)
    assert lifecycle.state is state
    return lifecycle


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_each_event_in_each_state(state, event):
    lifecycle = brought_to(state)
    if (state, event) not in NEXT:
        with pytest.raises(InvalidTransition):
            lifecycle.handle(event)
        assert lifecycle.state is state
        return
    following, effects = NEXT[state, event]
    assert list(lifecycle.handle(event)) == effects
    assert lifecycle.state is following


def test_a_wrong_event_tells_the_story():
    lifecycle = brought_to(State.ACTIVE)
    with pytest.raises(InvalidTransition, match="'built' in state 'active' after: built, attached, built"):
        lifecycle.handle(Event.BUILT)


def test_the_story_is_bounded():
    lifecycle = brought_to(State.ACTIVE)
    for _ in range(100):
        lifecycle.handle(Event.ATTACHED)
    assert list(lifecycle.story) == [Event.ATTACHED] * 8


@pytest.mark.parametrize("state", list(State))
def test_only_draining_and_destroyed_have_ended(state):
    assert brought_to(state).has_ended is (state in {State.DRAINING, State.DESTROYED})


def test_it_knows_whether_anybody_ever_attached():
    lifecycle = brought_to(State.LINGERING)
    assert not lifecycle.was_attached
    lifecycle.handle(Event.ATTACHED)
    lifecycle.handle(Event.LEFT)
    assert lifecycle.was_attached


@given(st.lists(st.sampled_from(Event)))
def test_whatever_happens_it_leaves_once_and_the_linger_timer_is_set_exactly_while_lingering(events):
    lifecycle = Lifecycle()
    effects = []
    timer = False
    for event in events:
        try:
            now = lifecycle.handle(event)
        except InvalidTransition:
            continue
        effects += now
        if Effect.START_LINGER in now:
            assert not timer
            timer = True
        if Effect.STOP_LINGER in now:
            assert timer
            timer = False
        assert timer is (lifecycle.state is State.LINGERING)
    assert effects.count(Effect.LEAVE) == (1 if lifecycle.has_ended else 0)
    assert effects.count(Effect.ANNOUNCE_END) == (1 if lifecycle.state is State.DESTROYED else 0)
