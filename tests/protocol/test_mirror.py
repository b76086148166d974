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


KEYS = st.sampled_from(["a", "b", "", "a/b", "~", "~1", "0", "-"])
VALUES = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.data())
def test_it_does_what_jsonpatch_does(data, draw):
    for _ in range(draw.draw(st.integers(1, 5))):
        path, target = "", data
        while True:
            inner = {
                key: value
                for key, value in (target.items() if isinstance(target, dict) else enumerate(target))
                if isinstance(value, dict | list)
            }
            if not inner or draw.draw(st.booleans()):
                break
            key = draw.draw(st.sampled_from(sorted(inner, key=str)))
            path, target = f"{path}/{escape(key)}", inner[key]
        if isinstance(target, dict):
            key = draw.draw(KEYS)
            kinds = ["add", "remove", "replace"] if key in target else ["add"]
        else:
            key = draw.draw(st.integers(0, len(target)) | st.just("-"))
            kinds = ["add", "remove", "replace"] if isinstance(key, int) and key < len(target) else ["add"]
        kind = draw.draw(st.sampled_from(kinds))
        operation = {"op": kind, "path": f"{path}/{escape(key)}"}
        if kind != "remove":
            operation["value"] = draw.draw(VALUES)
        expected = jsonpatch.apply_patch(copy.deepcopy(data), [operation])
        make = {"add": Add, "remove": Remove, "replace": Replace}[operation.pop("op")]
        before = copy.deepcopy(data)
        following = apply(data, [make(**copy.deepcopy(operation))])
        assert (data, following) == (before, expected)
        data = following


def escape(key):
    return str(key).replace("~", "~0").replace("/", "~1")
