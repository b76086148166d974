import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.session.lifecycle import Effect, Event, InvalidTransition, Lifecycle, State

WAYS = {
    State.CREATING: [],
    State.WAITING: [Event.BUILT],
    State.ACTIVE: [Event.BUILT, Event.ATTACHED],
    State.LINGERING: [Event.BUILT, Event.ATTACHED, Event.LEFT],
    State.FINISHING: [Event.BUILT, Event.FINISHED],
    State.DRAINING: [Event.ENDED],
    State.DESTROYED: [Event.ENDED, Event.CLOSED],
}
NEXT = {
    (State.CREATING, Event.BUILT): (State.WAITING, [Effect.START_WAIT]),
    (State.CREATING, Event.ENDED): (State.DRAINING, [Effect.LEAVE]),
    (State.WAITING, Event.ATTACHED): (State.ACTIVE, [Effect.STOP_WAIT]),
    (State.WAITING, Event.ENDED): (State.DRAINING, [Effect.STOP_WAIT, Effect.LEAVE]),
    (State.WAITING, Event.FINISHED): (State.FINISHING, [Effect.STOP_WAIT, Effect.TAKE_NO_MORE]),
    (State.LINGERING, Event.FINISHED): (State.FINISHING, [Effect.STOP_LINGER, Effect.TAKE_NO_MORE]),
    (State.ACTIVE, Event.FINISHED): (State.FINISHING, [Effect.TAKE_NO_MORE]),
    (State.FINISHING, Event.ATTACHED): (State.FINISHING, []),
    (State.FINISHING, Event.LEFT): (State.FINISHING, []),
    (State.FINISHING, Event.ENDED): (State.DRAINING, [Effect.LEAVE]),
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
    lifecycle = brought_to(State.WAITING)
    assert not lifecycle.was_attached
    lifecycle.handle(Event.ATTACHED)
    lifecycle.handle(Event.LEFT)
    assert lifecycle.was_attached


@given(st.lists(st.sampled_from(Event)))
def test_whatever_happens_it_leaves_once_and_a_timer_is_set_exactly_while_nobody_is_attached(events):
    lifecycle = Lifecycle()
    effects = []
    timers = {State.WAITING: False, State.LINGERING: False}
    changes = {
        Effect.START_WAIT: (State.WAITING, True),
        Effect.STOP_WAIT: (State.WAITING, False),
        Effect.START_LINGER: (State.LINGERING, True),
        Effect.STOP_LINGER: (State.LINGERING, False),
    }
    for event in events:
        try:
            now = lifecycle.handle(event)
        except InvalidTransition:
            continue
        effects += now
        for effect in now:
            if effect in changes:
                which, is_set = changes[effect]
                assert timers[which] is not is_set
                timers[which] = is_set
        assert timers == {state: lifecycle.state is state for state in timers}
    assert effects.count(Effect.LEAVE) == (1 if lifecycle.has_ended else 0)
    assert effects.count(Effect.ANNOUNCE_END) == (1 if lifecycle.state is State.DESTROYED else 0)
