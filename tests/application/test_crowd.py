"""How many sessions each remote address has."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.application.crowd import Crowd


def test_a_group_has_room_up_to_its_limit_and_again_when_one_leaves():
    crowd = Crowd(2)
    crowd.enter("a")
    crowd.enter("a")
    assert not crowd.has_room("a")
    assert crowd.has_room("b")
    crowd.leave("a")
    assert crowd.has_room("a")


def test_who_is_of_no_group_always_has_room():
    crowd = Crowd(1)
    for _ in range(3):
        assert crowd.has_room(None)
        crowd.enter(None)
    crowd.leave(None)
    assert len(crowd) == 0


def test_without_a_limit_there_is_always_room():
    crowd = Crowd(None)
    for _ in range(3):
        crowd.enter("a")
        assert crowd.has_room("a")


@given(st.lists(st.sampled_from("abcde")))
def test_nothing_is_remembered_of_those_who_have_left(groups):
    crowd = Crowd(3)
    for group in groups:
        crowd.enter(group)
    assert len(crowd) == len(set(groups))
    for group in groups:
        crowd.leave(group)
    assert repr(crowd) == "<Crowd of 0 in 0 groups>"
