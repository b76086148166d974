"""The two tables, by their law and by the shared vectors."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.protocol import messages
from supervisor.protocol.carrying import (
    Change,
    Operation,
    carry,
    carry_operation,
    difference,
    inverse,
    operation_of,
    same,
)
from supervisor.protocol.mirror import apply

from ..examples import many

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "carried.json").read_text())
WIRE = {"add": messages.Add, "remove": messages.Remove, "replace": messages.Replace}

# Few keys, some of which look like indexes, so that paths meet often.
KEYS = ["a", "0", "1", "~/"]
documents = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 9), max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(KEYS), st.one_of(st.integers(0, 9), inner, st.lists(inner, max_size=4)), max_size=3
    ),
    max_leaves=8,
)
values = st.one_of(st.just("new"), documents, st.lists(documents, max_size=2))


def pointer(keys):
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def wire(operation, value=None):
    path = pointer(operation.path)
    return messages.Remove(path) if operation.op == "remove" else WIRE[operation.op](path, copy.deepcopy(value))


def applied(document, operation, value=None):
    return document if operation is None else apply(copy.deepcopy(document), [wire(operation, value)])


def edited(document, op, keys, value):
    """The document with the edit; as it was if the edit is lost or doesn't fit."""
    if keys is None:
        return document
    target = document
    for key in keys[:-1]:
        if not (type(key) is str and isinstance(target, dict) and key in target) and not (
            type(key) is int and isinstance(target, list) and key < len(target)
        ):
            return document
        target = target[key]
    last = keys[-1]
    if not isinstance(target, list if type(last) is int else dict):
        return document
    if type(last) is int and last >= len(target) + (op == "insert"):
        return document
    if type(last) is str and op == "remove" and last not in target:
        return document
    name = {"insert": "add", "remove": "remove", "set": "replace" if type(last) is int else "add"}[op]
    return applied(document, Operation(name, tuple(str(key) for key in keys)), value)


def places(value, keys=()):
    """Every container, with the way to it."""
    yield keys, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*keys, key))


@st.composite
def edits_of(draw, document):
    keys, container = draw(st.sampled_from(list(places(document))))
    if isinstance(container, dict):
        op = draw(st.sampled_from(["set", "remove"])) if container else "set"
        last = draw(st.sampled_from(list(container) if op == "remove" else KEYS))
    else:
        op = draw(st.sampled_from(["set", "insert", "remove"])) if container else "insert"
        last = draw(st.integers(0, len(container) - (op != "insert")))
    return Change(op, (*keys, last))


@st.composite
def operations_of(draw, document):
    keys, container = draw(st.sampled_from(list(places(document))))
    if not keys and draw(st.integers(0, 9)) == 0:
        return Operation(draw(st.sampled_from(["add", "replace"])), ())
    if isinstance(container, dict):
        op = draw(st.sampled_from(["add", "replace", "remove"])) if container else "add"
        last = draw(st.sampled_from(KEYS if op == "add" else list(container)))
    else:
        op = draw(st.sampled_from(["add", "replace", "remove"])) if container else "add"
        last = draw(st.integers(0, len(container) - (op != "add")))
    return Operation(op, tuple(str(key) for key in (*keys, last)))


def goes_on(edit, operation):
    """Whether the operation puts something new where the edit leads through, by keys alone from there on."""
    depth = len(operation.path)
    return (
        depth < len(edit.keys)
        and operation.path == tuple(str(key) for key in edit.keys[:depth])
        and all(type(key) is str for key in edit.keys[depth:])
        and (operation.op == "replace" or (operation.op == "add" and (depth == 0 or type(edit.keys[depth - 1]) is str)))
    )


@settings(max_examples=many(2_000), deadline=None)
@given(data=st.data(), document=documents, new=values, theirs=values)
def test_both_ways_around_make_one_document(data, document, new, theirs):
    """One exception: where the operation puts something new, an edit by keys goes on in it; nothing else is allowed."""
    edit, operation = data.draw(edits_of(document)), data.draw(operations_of(document))
    if not operation.path:
        theirs = {"a": theirs}
    keys, behind = carry(edit, operation), carry_operation(operation, edit)
    first_theirs = applied(document, operation, theirs)
    first_ours = edited(document, edit.op, edit.keys, new)
    ours_last = edited(first_theirs, edit.op, keys, new)
    theirs_last = applied(first_ours, behind, theirs)
    if goes_on(edit, operation):
        assert keys == edit.keys
        assert behind == operation
        assert theirs_last == first_theirs
    else:
        assert same(ours_last, theirs_last)


@settings(max_examples=many(500), deadline=None)
@given(data=st.data(), document=documents)
def test_an_edit_and_its_inverse_change_no_place(data, document):
    """Only an insert right before a removed item comes out behind it, when that is back: its side isn't remembered."""
    edit, other = data.draw(edits_of(document)), data.draw(edits_of(document))
    done = Operation({"set": "replace", "insert": "add", "remove": "remove"}[edit.op], inverse(edit).path)
    keys = carry(other, done)
    if keys is not None and not (edit.op == "remove" and other.op == "insert"):
        back = carry(Change(other.op, keys), inverse(edit))
        assert back in (None, other.keys)


@settings(max_examples=many(500), deadline=None)
@given(data=st.data(), document=documents)
def test_an_index_that_is_carried_still_fits(data, document):
    """So an edit that names an index is lost, or can be done; but for one that goes on by keys."""
    edit, operation = data.draw(edits_of(document)), data.draw(operations_of(document))
    keys = carry(edit, operation)
    if keys is not None and any(type(key) is int for key in keys) and not goes_on(edit, operation):
        after = applied(document, operation, {"a": 1})
        target = after
        for key in keys[:-1]:
            target = target[key]
        assert isinstance(target, list if type(keys[-1]) is int else dict)
        if type(keys[-1]) is int:
            assert keys[-1] < len(target) + (edit.op == "insert")


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_tables_do_what_the_vector_says(vector):
    edit = Change(vector["edit"]["op"], tuple(vector["edit"]["path"]))
    operation = operation_of(wire(Operation(vector["operation"]["op"], ())).__class__(**shape(vector["operation"])))
    keys = carry(edit, operation)
    assert (None if keys is None else list(keys)) == vector["expect_edit"]
    behind = carry_operation(operation, edit)
    assert (None if behind is None else pointer(behind.path)) == vector["expect_operation"]
    assert behind is None or behind.op == operation.op


def shape(operation):
    fields = {"path": operation["path"]}
    return fields if operation["op"] == "remove" else fields | {"value": None}


def test_the_vectors_have_names_of_their_own():
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize(("op", "taken_back"), [("set", "replace"), ("insert", "remove"), ("remove", "add")])
def test_the_inverse_is_at_the_same_place(op, taken_back):
    assert inverse(Change(op, ("a", 3))) == Operation(taken_back, ("a", "3"))


@pytest.mark.parametrize(
    ("op", "keys", "value", "patch", "expected"),
    [
        ("set", ("a",), 1, [messages.Add("/a", 1)], []),
        ("set", ("a",), 1, [messages.Replace("/a", 1)], []),
        ("set", ("a",), 1, [messages.Replace("/a", True)], ["replace /a"]),
        ("set", ("a",), 1, [messages.Add("/a", 2)], ["replace /a"]),
        ("set", ("a",), 1, [messages.Replace("/b", 1)], ["replace /a", "replace /b"]),
        ("set", ("a",), 1, [messages.Remove("/a")], ["replace /a", "remove /a"]),
        ("set", ("a",), 1, [messages.Replace("/a", 1), messages.Replace("/a", 1)], ["replace /a"] * 3),
        ("set", ("a",), 1, [], ["replace /a"]),
        ("set", ("a", 0), {"b": [1.0]}, [messages.Replace("/a/0", {"b": [1]})], []),
        ("set", ("a", 0), {"b": [1.0]}, [messages.Replace("/a/0", {"b": [1, 2]})], ["replace /a/0"]),
        ("set", ("a", 0), 1, [messages.Add("/a/0", 1)], ["replace /a/0", "add /a/0"]),
        ("insert", ("a", 0), 1, [messages.Add("/a/0", 1)], []),
        ("insert", ("a", 0), {"b": 1}, [messages.Add("/a/0", {"b": 1, "id": "x"})], ["replace /a/0"]),
        ("insert", ("a", 0), 1, [messages.Add("/a/1", 1)], ["remove /a/0", "add /a/1"]),
        ("insert", ("a", 0), 1, [messages.Replace("/a/0", 1)], ["remove /a/0", "replace /a/0"]),
        ("insert", ("a", 0), 1, [messages.Remove("/a/0")], ["remove /a/0", "remove /a/0"]),
        (
            "insert",
            ("a", 0),
            1,
            [messages.Add("/n", 1), messages.Add("/a/0", 2)],
            ["remove /a/0", "add /n", "add /a/0"],
        ),
        ("remove", ("a", 0), None, [messages.Remove("/a/0")], []),
        ("remove", ("a~/",), None, [messages.Remove("/a~0~1")], []),
        ("remove", ("a", 0), None, [messages.Replace("/a/0", None)], ["add /a/0", "replace /a/0"]),
    ],
)
def test_what_leads_from_an_edit_to_the_patch_that_brought_it(op, keys, value, patch, expected):
    found = difference(Change(op, keys), value, patch, [operation_of(each) for each in patch])
    assert [f"{each.op} {pointer(each.path)}" for each in found] == expected
