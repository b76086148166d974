"""What differs between two revisions."""

import copy

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.client.difference import NOTHING, difference, resolve, same
from supervisor.protocol.pointer import split


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [{"op": "replace", "path": "/a", "value": 2}]),
        ({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}]),
        ({"a": 1}, {"a": 1.0}, [{"op": "replace", "path": "/a", "value": 1.0}]),
        ({"a": 1}, {}, [{"op": "remove", "path": "/a"}]),
        ({}, {"a/b~": None}, [{"op": "add", "path": "/a~1b~0", "value": None}]),
        ({"l": [1, 2, 3]}, {"l": [1, 3]}, [{"op": "remove", "path": "/l/1"}]),
        ({"l": [1, 3]}, {"l": [1, 2, 3]}, [{"op": "add", "path": "/l/1", "value": 2}]),
        ({"l": [1, {"x": 1}, 3]}, {"l": [1, {"x": 2}, 3]}, [{"op": "replace", "path": "/l/1/x", "value": 2}]),
        (
            {"l": [1, 2, 3]},
            {"l": []},
            [{"op": "remove", "path": "/l/2"}, {"op": "remove", "path": "/l/1"}, {"op": "remove", "path": "/l/0"}],
        ),
        ({"l": {}}, {"l": []}, [{"op": "replace", "path": "/l", "value": []}]),
    ],
)
def test_it_is_as_small_as_people_expect(before, after, operations):
    assert difference(before, after) == operations


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0]) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b/~", "0"]), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES, VALUES)
def test_applied_to_the_one_it_gives_the_other(before, after):
    operations = difference(before, after)
    result = jsonpatch.apply_patch(copy.deepcopy(before), copy.deepcopy(operations))
    assert same(result, after)
    assert (operations == []) == same(before, after)


@given(VALUES)
def test_values_are_the_same_as_their_copies(value):
    assert same(value, copy.deepcopy(value))


def test_what_is_shared_is_not_looked_into():
    class Untouchable(dict):
        def __eq__(self, other):
            raise AssertionError

        __hash__ = None

    part = Untouchable()
    assert difference({"a": part, "l": [part, 1]}, {"a": part, "l": [part, 2]}) == [
        {"op": "replace", "path": "/l/1", "value": 2}
    ]


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", {"a": [1, {"b/~": 2}], "": 3}),
        ("/a/0", 1),
        ("/a/1/b~1~0", 2),
        ("/", 3),
        ("/a/2", NOTHING),
        ("/a/-", NOTHING),
        ("/a/01", NOTHING),
        ("/a/²", NOTHING),
        ("/a/" + "9" * 5000, NOTHING),
        ("/a/0/x", NOTHING),
        ("/b", NOTHING),
    ],
)
def test_a_pointer_leads_to_a_value_or_to_nothing(pointer, value):
    assert resolve({"a": [1, {"b/~": 2}], "": 3}, split(pointer)) == value
