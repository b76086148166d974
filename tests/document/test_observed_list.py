import copy
import pickle
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.document.json_document import JsonDocument
from supervisor.document.observed_list import ObservedList

READS = {
    *("__add__", "__class__", "__class_getitem__", "__contains__", "__delattr__", "__dir__", "__doc__", "__eq__"),
    *("__format__", "__ge__", "__getattribute__", "__getitem__", "__getstate__", "__gt__", "__hash__"),
    *("__init_subclass__", "__iter__", "__le__", "__len__", "__lt__", "__mul__", "__ne__", "__reduce__"),
    *("__repr__", "__reversed__", "__rmul__", "__setattr__", "__sizeof__", "__str__", "__subclasshook__"),
    *("copy", "count", "index"),
}

indexes = st.integers(-5, 5)
bad_indexes = indexes | st.sampled_from(["a", None, 1.5, True])
values = st.sampled_from([0, 1, 1, 2, True, 1.0, 0.0, -0.0]) | st.sampled_from(["x", None, [], [1], {"a": 1}])
lists = st.lists(values, max_size=4)
ends = st.none() | st.integers(-6, 6)
slices = st.builds(slice, ends, ends, st.none() | st.sampled_from([1, 1, 2, -1, -2, 0]))
calls = st.one_of(
    st.tuples(st.just("__setitem__"), st.tuples(bad_indexes, values)),
    st.tuples(st.just("__setitem__"), st.tuples(slices, lists | st.just("xy"))),
    st.tuples(st.just("__delitem__"), st.tuples(bad_indexes | slices)),
    st.tuples(st.just("append"), st.tuples(values)),
    st.tuples(st.sampled_from(["extend", "__iadd__"]), st.tuples(lists | st.just(5))),
    st.tuples(st.just("__init__"), st.tuples(lists) | st.just(())),
    st.tuples(st.just("insert"), st.tuples(bad_indexes, values)),
    st.tuples(st.just("pop"), st.just(()) | st.tuples(bad_indexes)),
    st.tuples(st.just("remove"), st.tuples(values)),
    st.tuples(st.just("__imul__"), st.tuples(st.integers(-1, 3))),
    st.tuples(st.sampled_from(["clear", "reverse"]), st.just(())),
)


def outcome(container, name, arguments):
    try:
        return getattr(container, name)(*copy.deepcopy(arguments))
    except Exception as error:
        return type(error), str(error)


def listed(value):
    document = JsonDocument()
    document.root["x"] = value
    document.commit()
    return document, document.root["x"]


def operations(document):
    return msgspec.json.decode(document.commit().encoded)


def test_every_method_of_list_that_mutates_is_overridden():
    """A method that a later Python adds is either listed as one that reads, or is overridden."""
    assert [name for name in dir(list) if name not in READS and name not in vars(ObservedList)] == []


@given(lists, st.lists(calls, max_size=8))
def test_a_list_of_a_document_does_what_a_plain_one_does(start, made):
    document, observed = listed(start)
    old, plain = document.snapshot(), copy.deepcopy(start)
    free_document, free = listed(start)
    del free_document.root["x"]
    free_document.commit()
    for name, arguments in made:
        expected = outcome(plain, name, arguments)
        got, from_free = outcome(observed, name, arguments), outcome(free, name, arguments)
        if expected is plain:
            assert got is observed
            assert from_free is free
        else:
            assert repr(got) == repr(expected) == repr(from_free)
        assert repr(observed) == repr(plain) == repr(free)
    assert document.snapshot() == old
    document.commit()
    assert document.snapshot() == msgspec.json.encode({"x": plain})


@given(st.lists(st.integers(0, 9)), st.booleans())
def test_sorting_gives_what_plain_sorting_gives(numbers, reverse):
    document, items = listed([{"n": number} for number in numbers])
    held = list(items)
    items.sort(key=lambda item: item["n"], reverse=reverse)
    assert [item["n"] for item in items] == sorted(numbers, reverse=reverse)
    assert {id(item) for item in items} == {id(item) for item in held}
    document.roll_back()
    assert list(map(id, items)) == list(map(id, held))


@pytest.mark.parametrize("value", [5, None])
def test_a_slice_takes_only_iterables_of_the_right_size(value):
    document, items = listed([1, 2, 3])
    for index, wrong in ((slice(0, 1), value), (slice(None, None, 2), value), (slice(None, None, 2), [0])):
        with pytest.raises((TypeError, ValueError)):
            items[index] = wrong
    free = ObservedList([1, 2])
    free[:1] = [{3}]
    assert free == [{3}, 2]
    assert not document.changed


def test_a_free_list_sorts_as_a_plain_one():
    items = ObservedList([3, 1])
    items.sort()
    items.append({1})
    items.insert(0, ())
    items.reverse()
    assert items == [{1}, 3, 1, ()]
    items *= 0
    assert items == []


def test_a_sort_that_fails_leaves_the_order():
    document, items = listed([3, 1, "x"])
    with pytest.raises(TypeError):
        items.sort()
    assert items == [3, 1, "x"]
    with pytest.raises(ValueError, match="modified during sort"):
        items.sort(key=lambda _: items.append(1) or 0)
    document.roll_back()
    assert items == [3, 1, "x"]
    with pytest.raises(ValueError, match="modified during sort"):
        items.sort(key=lambda _: items.__setitem__(0, random.random()) or 0)


def test_operators_and_copies_give_plain_values():
    _, items = listed([1, {"l": []}])
    for made in (items + items[:0], items[:0] + items, items * 1, 1 * items, items[:], items.copy(), copy.copy(items)):
        assert type(made) is list
        assert made[1] is items[1]
    for made in (copy.deepcopy(items), *(pickle.loads(pickle.dumps(items, level)) for level in range(6))):
        assert made == [1, {"l": []}]
        assert [type(made), type(made[1]), type(made[1]["l"])] == [list, dict, list]


def test_one_made_by_hand_may_hold_itself():
    made = ObservedList()
    made.append(made)
    copied = copy.deepcopy(made)
    assert type(copied) is list
    assert copied[0] is copied


def test_sorting_and_then_appending_is_told_once():
    document, items = listed([3, 1, 2])
    items.sort()
    items.append(4)
    assert operations(document) == [{"op": "replace", "path": "/x", "value": [1, 2, 3, 4]}]


def test_a_small_change_in_a_large_list_is_told_by_itself():
    document, items = listed([{"n": number} for number in range(20)])
    items[5:7] = [50]
    items[0], items[1] = items[1], items[0]
    items.insert(-1, "i")
    del items[::15]
    assert [operation["op"] for operation in operations(document)] == [
        *("replace", "remove", "replace", "replace", "add", "remove", "remove"),
    ]


def test_an_item_that_a_sort_moved_is_told_with_what_changes_in_it_later():
    document, items = listed([{"n": number} for number in [1, 0, 2, 3, 4, 5]])
    items.sort(key=lambda item: item["n"])
    items[0]["seen"] = True
    assert operations(document) == [
        {"op": "replace", "path": "/x/0", "value": {"n": 0, "seen": True}},
        {"op": "replace", "path": "/x/1", "value": {"n": 1}},
    ]
    items[0]["seen"] = False
    assert operations(document) == [{"op": "replace", "path": "/x/0/seen", "value": False}]


def test_what_stays_in_its_place_in_a_changed_stretch_is_not_told():
    document, items = listed([0, 1, 2, 3, 4, 5, 6, 7])
    items[1:4] = [10, 2, 30]
    assert [operation["path"] for operation in operations(document)] == ["/x/1", "/x/3"]


def test_a_sorted_list_sorted_again_is_no_change():
    document, items = listed([1, 2, 3])
    items.sort()
    items[:] = list(items)
    items.extend([])
    items *= 1
    assert not document.changed


def test_indexes_are_right_after_items_moved():
    document, items = listed([{"l": []} for _ in range(5)])
    last = items[4]
    del items[0]
    last["l"].append(1)
    items.insert(0, 0)
    items.insert(0, 0)
    last["n"] = 2
    assert [operation["path"] for operation in operations(document)] == [
        *("/x/0", "/x/3/l/0", "/x/0", "/x/0", "/x/5/n"),
    ]
    del items[1]
    with pytest.raises(ValueError, match='at "/x/4/l/1": '):
        last["l"].append({1})


def test_shuffling_keeps_the_values():
    document, items = listed([{"n": number} for number in range(9)])
    random.Random(1).shuffle(items)
    assert sorted(item["n"] for item in items) == list(range(9))
    document.roll_back()
    assert [item["n"] for item in items] == list(range(9))


def test_items_that_a_slice_leaves_where_they_are_stay_the_same_objects():
    document, items = listed([{"n": 0}, {"n": 1}])
    held = list(items)
    items[:] = [*items, {"n": 2}]
    assert items[0] is held[0]
    assert items[1] is held[1]
    assert operations(document) == [{"op": "add", "path": "/x/2", "value": {"n": 2}}]
