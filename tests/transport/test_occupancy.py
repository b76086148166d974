"""How many connections a server has, and which of them have said nothing yet."""

from supervisor.transport.occupancy import Occupancy


class Newcomer:
    def __init__(self):
        self.made_way = False

    def make_way(self):
        self.made_way = True


def occupancy(*, connections=10, newcomers=2):
    told = []
    return Occupancy(max_connections=connections, max_newcomers=newcomers, on_full=lambda: told.append(1)), told


def test_there_are_so_many_places_and_one_more_when_one_leaves():
    places, _ = occupancy()
    assert [places.enter() for _ in range(12)] == [True] * 10 + [False] * 2
    places.leave()
    assert places.enter()
    assert not places.enter()


def test_that_it_is_full_is_told_once_until_there_is_room_to_speak_of():
    places, told = occupancy(connections=20)
    for _ in range(25):
        places.enter()
    assert told == [1]
    places.leave()
    assert [places.enter(), places.enter()] == [True, False]
    assert told == [1]
    places.leave()
    places.leave()
    assert [places.enter() for _ in range(3)] == [True, True, False]
    assert told == [1, 1]


def test_the_oldest_newcomer_makes_way_and_who_was_heard_is_none():
    places, _ = occupancy()
    first, second, third, fourth = (Newcomer() for _ in range(4))
    for each in (first, second):
        places.wait_for(each)
    places.heard(first)
    places.wait_for(third)
    assert places.newcomers == 2
    assert not any(each.made_way for each in (first, second, third))
    places.wait_for(fourth)
    assert [each.made_way for each in (first, second, third, fourth)] == [False, True, False, False]
    assert places.newcomers == 2
    places.heard(second)  # when it ends
    places.heard(third)
    places.heard(fourth)
    assert repr(places) == "<Occupancy 0 of 10, 0 new>"
