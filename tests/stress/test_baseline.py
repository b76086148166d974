"""The baseline finds what has not come back, and the slope what grows."""

import pytest

from . import baseline

REST = {
    "tasks": 10,
    "task_names": {"run": 10},
    "sockets": 3,
    "descriptors": 12,
    "threads": 1,
    "memory": 50_000_000,
    "objects": {"SessionActor": 1},
    "garbage": 0,
    "sessions": 0,
    "connections": 0,
    "producers": 0,
    "alive": {},
}


def test_rest_is_rest():
    assert baseline.check(REST, REST) == []
    assert baseline.check(REST, {**REST, "tasks": 9, "descriptors": 11, "threads": 3, "objects": {}}) == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"tasks": 12, "task_names": {"run": 10, "live": 2}}, "2 tasks more: live +2"),
        ({"sockets": 4}, "1 sockets more than 3"),
        ({"descriptors": 15}, "3 descriptors more than 12"),
        ({"garbage": 1}, "1 garbage more than 0"),
        ({"threads": 14}, "14 threads, and 1 before"),
        ({"objects": {"SessionActor": 3}}, "objects that nothing should hold: SessionActor +2"),
        ({"objects": {"SessionActor": 1, "Outbox": 1}}, "objects that nothing should hold: Outbox +1"),
        ({"sessions": 1}, "1 sessions of the work app, and 0 before"),
        ({"producers": 1}, "1 producers of the work app, and 0 before"),
        ({"alive": {"hook": 2}}, "background tasks go on: {'hook': 2}"),
    ],
)
def test_what_has_not_come_back_is_found(more, sentence):
    assert baseline.check(REST, {**REST, **more}) == [sentence]


def test_the_slope_is_that_of_the_nearest_line():
    assert baseline.slope([(0, 50), (1, 52), (2, 54)]) == pytest.approx(2)
    assert baseline.slope([(0, 50), (1, 51), (2, 50), (3, 51)]) == pytest.approx(0.2)
    assert baseline.slope([(0, 50)]) == 0.0
