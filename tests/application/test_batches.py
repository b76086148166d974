import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.application import batches
from supervisor.application.batches import SPREAD, in_batches, pause_between


def test_the_examples_hold():
    assert doctest.testmod(batches).failed == 0


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], [[]]),
        ([0, 0, 0], [[0, 1, 2]]),
        ([1, 1, 1, 1], [[0, 1, 2], [3]]),
        ([1, 0, 3, 0], [[1, 3, 0], [2]]),
        ([7], [[0]]),
        ([1, 7, 1], [[0], [1], [2]]),
        ([3, 3], [[0], [1]]),
    ],
)
def test_batches_hold_so_many_connections(sizes, expected):
    assert in_batches(enumerate(sizes), 3) == expected


@given(st.lists(st.integers(0, 12)), st.integers(1, 10))
def test_everybody_is_in_one_batch_and_no_batch_is_larger_than_it_must_be(sizes, size):
    found = in_batches(enumerate(sizes), size)
    assert sorted(session for batch in found for session in batch) == list(range(len(sizes)))
    for batch in found:
        held = [sizes[session] for session in batch if sizes[session]]
        assert sum(held) <= size or len(held) == 1
    assert all(found[1:])


@given(st.integers(0, 10_000), st.floats(0, 10), st.floats(-10, 100) | st.just(math.inf))
def test_pauses_leave_the_last_batch_its_share(batches, interval, within):
    pause = pause_between(batches, interval=interval, within=within)
    assert 0 <= pause <= interval
    assert pause * (batches - 1) <= max(0.0, within * SPREAD) * 1.000001
