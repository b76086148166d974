import copy
import enum
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.document.json_document import JsonDocument
from supervisor.document.observed_dict import ObservedDict
from supervisor.document.observed_list import ObservedList

READS = {
    *("__class__", "__class_getitem__", "__contains__", "__delattr__", "__dir__", "__doc__", "__eq__", "__format__"),
    *("__ge__", "__getattribute__", "__getitem__", "__getstate__", "__gt__", "__hash__", "__init_subclass__"),
    *("__iter__", "__le__", "__len__", "__lt__", "__ne__", "__or__", "__reduce__", "__repr__", "__reversed__"),
    *("__ror__", "__setattr__", "__sizeof__", "__str__", "__subclasshook__"),
    *("copy", "fromkeys", "get", "items", "keys", "values"),
}

keys = st.sampled_from(["a", "b", "c/d", "e~", "é"])
values = st.sampled_from([None, True, 1, 1.0, 2.5, "x", [], [1], {}, {"a": [1]}])
dicts = st.dictionaries(keys, values, max_size=3)
pairs = st.lists(st.tuples(keys, values), max_size=3)
calls = st.one_of(
    st.tuples(st.just("__setitem__"), st.tuples(keys, values)),
    st.tuples(st.just("__delitem__"), st.tuples(keys | st.just(1))),
    st.tuples(st.just("update"), st.tuples(dicts | pairs | st.sampled_from([5, [1], ["abc"], None]))),
    st.tuples(st.just("update"), st.sampled_from([(), ({}, {})])),
    st.tuples(st.just("__ior__"), st.tuples(dicts | pairs | st.just(5))),
    st.tuples(st.just("__init__"), st.tuples(dicts)),
    st.tuples(st.just("setdefault"), st.tuples(keys) | st.tuples(keys, values)),
    st.tuples(st.just("pop"), st.tuples(keys | st.just(1)) | st.tuples(keys, values)),
    st.tuples(st.just("pop"), st.sampled_from([("a", 1, 2), ([],)])),
    st.tuples(st.just("popitem"), st.just(())),
    st.tuples(st.just("clear"), st.just(())),
)


def outcome(container, name, arguments):
    try:
        return getattr(container, name)(*copy.deepcopy(arguments))
    except Exception as error:
        return type(error), str(error)


def shape(value):
    return repr(value)  # order of keys and types of scalars count


def free_dict(value):
    document = JsonDocument()
    document.root["x"] = value
    document.commit()
    freed = document.root.pop("x")
    document.commit()
    return freed


def test_every_method_of_dict_that_mutates_is_overridden():
    """A method that a later Python adds is either listed as one that reads, or is overridden."""
    assert [name for name in dir(dict) if name not in READS and name not in vars(ObservedDict)] == []


@given(dicts, st.lists(calls, max_size=8))
def test_a_dict_of_a_document_does_what_a_plain_one_does(start, made):
    document = JsonDocument()
    document.root["x"] = start
    document.commit()
    old = document.snapshot()
    observed, plain, free = document.root["x"], copy.deepcopy(start), free_dict(start)
    for name, arguments in made:
        expected = outcome(plain, name, arguments)
        got, from_free = outcome(observed, name, arguments), outcome(free, name, arguments)
        if expected is plain:
            assert got is observed
            assert from_free is free
        else:
            assert shape(got) == shape(expected) == shape(from_free)
        assert shape(observed) == shape(plain) == shape(free)
    assert document.snapshot() == old
    document.commit()
    assert document.snapshot() == msgspec.json.encode({"x": plain})


def test_operators_and_copies_give_plain_values():
    document = JsonDocument()
    document.root["a"] = {"l": [1, {}]}
    inner = document.root["a"]
    for made in (inner | {}, {} | inner, inner.copy(), copy.copy(inner), dict(inner)):
        assert type(made) is dict
        assert made["l"] is inner["l"]
    for made in (copy.deepcopy(inner), *(pickle.loads(pickle.dumps(inner, level)) for level in range(6))):
        assert made == {"l": [1, {}]}
        assert [type(made), type(made["l"]), type(made["l"][1])] == [dict, list, dict]


def test_one_made_by_hand_is_free():
    made = ObservedDict({"a": {1}}, b=2)
    made["c"] = made
    assert made["a"] == {1}
    copied = copy.deepcopy(made)
    assert type(copied) is dict
    assert copied["c"] is copied
    assert type(ObservedDict.fromkeys("ab")) is ObservedDict


def test_augmented_assignment_keeps_the_container():
    document = JsonDocument()
    document.root["d"], document.root["l"] = {}, []
    document.commit()
    inner, items = document.root["d"], document.root["l"]
    document.root["d"] |= {"a": 1}
    document.root["l"] += [1]
    document.root.update(d=inner)
    assert document.root["d"] is inner
    assert document.root["l"] is items
    assert msgspec.json.decode(document.commit().encoded) == [
        {"op": "add", "path": "/d/a", "value": 1},
        {"op": "add", "path": "/l/0", "value": 1},
    ]


def test_setdefault_gives_what_is_in_the_document():
    document = JsonDocument()
    default = []
    document.root.setdefault("l", default).append(1)
    document.root.setdefault("l", default).append(2)
    assert document.root == {"l": [1, 2]}
    assert type(document.root["l"]) is ObservedList
    assert default == []


def test_a_key_is_found_by_what_equals_it():
    class Name(enum.StrEnum):
        A = "a/b"

    document = JsonDocument()
    document.root.update({Name.A: 1, "z": 2})
    document.commit()
    assert document.root.pop(Name.A) == 1
    assert document.commit().encoded == b'[{"op":"remove","path":"/a~1b"}]'


@pytest.mark.parametrize("value", [None, True, 1, 1000, 1.5, 0.0, "é", "text"])
def test_an_equal_scalar_of_the_same_type_is_no_change(value):
    document = JsonDocument()
    document.root["a"] = value
    document.root["l"] = [value]
    document.commit()
    same = msgspec.json.decode(msgspec.json.encode(value))  # in general another object
    document.root["a"] = document.root["l"][0] = same
    document.root.update(a=same)
    document.root["l"][:] = [same]
    document.root["l"][::-1] = [same]
    assert not document.changed
    assert document.commit() is None
    assert document.revision == 1


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0.0, -0.0), (0, False), (-0.0, 0.0), ({}, {})])
def test_an_equal_value_of_another_type_or_sign_is_a_change(old, new):
    document = JsonDocument()
    document.root["a"] = old
    document.commit()
    document.root["a"] = new
    assert document.changed
    document.commit()
    assert repr(document.root["a"]) == repr(new)


def test_keys_are_escaped_in_what_is_told():
    document = JsonDocument()
    document.replace({"a/b": {"~": 0}})
    document.commit()
    document.root["a/b"]["~"] = 1
    document.root["a/b"].update({"/": {}})
    del document.root["a/b"]["~"]
    assert [operation["path"] for operation in msgspec.json.decode(document.commit().encoded)] == [
        *("/a~1b/~0", "/a~1b/~1", "/a~1b/~0"),
    ]


def test_a_fresh_or_cleared_dict_is_told_as_a_whole():
    document = JsonDocument()
    document.root["a"] = {"x": 1}
    document.root["a"]["y"] = [2]
    document.root["a"]["y"].append(3)
    assert document.commit().encoded == b'[{"op":"add","path":"/a","value":{"x":1,"y":[2,3]}}]'
    document.root["a"].clear()
    document.root["a"]["z"] = 1
    document.root["a"].clear()
    document.root["a"]["u"] = 1
    assert document.commit().encoded == b'[{"op":"replace","path":"/a","value":{"u":1}}]'
    document.root["gone"] = 1
    document.root.clear()
    document.root["b"] = 1
    assert document.commit().encoded == b'[{"op":"replace","path":"","value":{"b":1}}]'
