"""What doesn't fit is in `tests/vectors/invalid_server_messages.json`, for the browser's client too."""

from __future__ import annotations

import copy

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import ProtocolError
from supervisor.protocol.messages import Add, Remove, Replace
from supervisor.protocol.mirror import apply
from supervisor.testing.strategies import documents, patches


def test_each_revision_has_its_own_data_and_they_share_the_rest():
    before = {"a": [1, 2], "b": {"c": {"d": 1}}, "e": {"f": [1]}}
    seen = copy.deepcopy(before)
    operations = [Add(path="/a/-", value=3), Remove(path="/b/c/d"), Replace(path="/a/0", value=0)]
    after = apply(before, operations)
    assert before == seen
    assert after == {"a": [0, 2, 3], "b": {"c": {}}, "e": {"f": [1]}}
    assert after["e"] is before["e"]


def test_a_patch_that_does_not_fit_leaves_the_data_as_they_were():
    data = {"a": [1]}
    with pytest.raises(ProtocolError):
        apply(data, [Add(path="/a/-", value=2), Remove(path="/b")])
    assert data == {"a": [1]}


def test_a_patch_copies_each_container_once():
    """Else a patch of many operations on a long list would take for ever."""

    class Counted(list):
        copies = 0

        def copy(self):
            Counted.copies += 1
            return Counted(self)

    data = {"a": Counted([0])}
    assert apply(data, [Add(path="/a/-", value=n) for n in range(1, 50)])["a"] == list(range(50))
    assert Counted.copies == 1


def test_a_value_of_a_patch_may_be_changed_by_the_same_patch():
    value = {"b": []}
    operations = [Add(path="/a", value=value), Add(path="/a/b/-", value=1), Add(path="/c", value=value)]
    assert apply({}, operations) == {"a": {"b": [1]}, "c": {"b": []}}


def test_another_root_is_given_back():
    old = {"a": 1}
    assert apply(old, [Replace(path="", value={"b": 1})]) == {"b": 1}
    assert old == {"a": 1}


@pytest.mark.parametrize("path", ["/l/²", "/l/+1", "/l/1_0", "/l/99999999999999999999", "/s/0", "/a/x/y", "/no/x"])
def test_what_does_not_fit_is_a_protocol_error(path):
    for operation in (Add(path=path, value=1), Remove(path=path), Replace(path=path, value=1)):
        with pytest.raises(ProtocolError, match=r"a patch that doesn't fit at '/") as caught:
            apply({"l": [1], "s": "text", "a": {}}, [operation])
        assert caught.value.code == 4400


@given(documents(), st.data())
def test_it_does_what_jsonpatch_does(before, data):
    operations = data.draw(patches(before))
    expected = jsonpatch.apply_patch(before, operations)
    make = {"add": Add, "remove": Remove, "replace": Replace}
    seen = copy.deepcopy(before)
    after = apply(before, [make[operation.pop("op")](**operation) for operation in copy.deepcopy(operations)])
    assert (before, after) == (seen, expected)
