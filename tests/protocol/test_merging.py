"""The law of merging, on random documents; and what is left out, case by case."""

import copy
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.document import patch as document_patch
from supervisor.protocol import messages
from supervisor.protocol.carrying import Change, carry
from supervisor.protocol.merging import Merger
from supervisor.protocol.mirror import apply
from supervisor.protocol.pending import take_apart

from ..examples import many

KEYS = ["a", "b", "0", "1", "~/", "-"]
documents = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 9), max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(KEYS), st.one_of(st.integers(0, 9), inner, st.lists(inner, max_size=3)), max_size=4
    ),
    max_leaves=10,
)
values = st.one_of(st.integers(10, 99), documents, st.lists(documents, max_size=2))
# Which of the operations that fit, and its value.
choices = st.lists(st.tuples(st.integers(0, 10_000), values), max_size=15)


def escaped(step):
    return str(step).replace("~", "~0").replace("/", "~1")


def fitting(value, path=""):
    """All operations that fit a document, without values."""
    if path:
        yield "replace", path
    elif isinstance(value, dict):
        yield "replace", ""
    if isinstance(value, dict):
        for key in KEYS:
            yield "add", f"{path}/{escaped(key)}"
        for key, child in value.items():
            yield "remove", f"{path}/{escaped(key)}"
            yield from fitting(child, f"{path}/{escaped(key)}")
    elif isinstance(value, list):
        for index in [*range(len(value) + 1), "-"]:
            yield "add", f"{path}/{index}"
        for index, child in enumerate(value):
            yield "remove", f"{path}/{index}"
            yield from fitting(child, f"{path}/{index}")


def operations_for(document, chosen):
    """Operations, each of which fits what the ones before it make of the document."""
    operations = []
    for number, value in chosen:
        candidates = list(fitting(document))
        op, path = candidates[number % len(candidates)]
        if not path and not isinstance(value, dict):
            continue
        operation = {"op": op, "path": path} | ({} if op == "remove" else {"value": value})
        document = document_patch.apply(document, [operation])
        operations.append(operation)
    return operations


def patch(base, revision, operations):
    return json.dumps({"type": "patch", "from": base, "to": revision, "operations": operations}).encode()


def merged(*patches):
    """The operations that are left of these patches, one after the other."""
    merger = Merger()
    for number, operations in enumerate(patches):
        assert merger.add(patch(number, number + 1, operations))
    message = json.loads(merger.message())
    assert (message["from"], message["to"]) == (0, len(patches))
    assert len(merger) == len(message["operations"])
    kept = [json.dumps(each).encode() for each in message["operations"]]
    assert merger.size == sum(map(len, kept))
    return message["operations"]


def wire(operations):
    return messages.decode_server_message(patch(0, 1, operations).decode()).operations


@settings(max_examples=many(200), deadline=None)
@given(documents, choices, st.integers(1, 5))
def test_one_merged_patch_makes_the_same_document_as_all(document, chosen, size):
    """The order of keys included."""
    operations = operations_for(document, chosen)
    patches = [operations[at : at + size] for at in range(0, len(operations), size)] or [[]]
    left = merged(*patches)
    expected = document_patch.apply(document, operations)
    assert json.dumps(document_patch.apply(document, left)) == json.dumps(expected)
    assert json.dumps(apply(copy.deepcopy(document), wire(left))) == json.dumps(expected)
    assert len(left) <= len(operations)


def places_in(value, keys=()):
    """All edits that fit."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in steps:
        yield Change("set", (*keys, step))
        yield Change("remove", (*keys, step))
        yield from places_in(child, (*keys, step))
    if isinstance(value, list):
        yield from (Change("insert", (*keys, index)) for index in range(len(value) + 1))


def carried(edit, document, operations):
    keys = edit.keys
    document = copy.deepcopy(document)
    for operation in wire(operations):
        taken = take_apart(document, operation)
        document = apply(document, [operation])
        keys = None if keys is None else carry(Change(edit.op, keys), taken)
    return keys


@settings(max_examples=many(150), deadline=None)
@given(documents, choices)
def test_an_edit_is_carried_over_the_merged_patch_as_over_all(document, chosen):
    """So a client's pending edits mean the same on both sides of the wire."""
    operations = operations_for(document, chosen)
    left = merged(operations)
    for edit in places_in(document):
        assert carried(edit, document, left) == carried(edit, document, operations)


def replace(path, value=1):
    return {"op": "replace", "path": path, "value": value}


def add(path, value=1):
    return {"op": "add", "path": path, "value": value}


def remove(path):
    return {"op": "remove", "path": path}


@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ([replace("/a", 1), replace("/b", 2), replace("/a", 3)], [1, 2]),
        ([replace("/a/b"), add("/a/c"), add("/a/l/0"), replace("/a", {})], [3]),
        ([replace("/a/b"), add("/a/l/-"), remove("/a/c"), remove("/a")], [3]),
        # An edit inside of what is replaced goes on, unless what it is in was removed before.
        ([remove("/a/b"), replace("/a", {}), replace("/a/c"), replace("/a", {}), replace("/a", {})], [0, 4]),
        ([replace("/a/c"), remove("/a/b"), replace("", {}), replace("", {})], [0, 1, 3]),
        ([replace("/a"), remove("/a")], [1]),
        ([replace("/a/b"), replace("/a"), add("/a")], [2]),
        ([add("/a"), replace("/b"), add("/l/0"), replace("", {})], [3]),
        ([replace("/a"), add("", {}), replace("", {})], [2]),
        ([replace("", {}), replace("/a"), replace("", {})], [2]),
        # A key that was added or removed: what follows at the same place goes by that.
        ([add("/a"), replace("/a"), replace("/a")], [0, 2]),
        ([add("/a"), remove("/a")], [0, 1]),
        ([remove("/a"), add("/a")], [0, 1]),
        # Indexes move.
        ([replace("/l/1"), add("/l/0"), replace("/l/1")], [0, 1, 2]),
        ([replace("/l/1"), remove("/l/0"), replace("/l/1")], [0, 1, 2]),
        ([replace("/l/1/x"), remove("/l/0"), replace("/l/1/x")], [0, 1, 2]),
        ([replace("/l/1"), add("/l/-"), replace("/l/1")], [1, 2]),
        ([replace("/l/1"), replace("/l/0"), replace("/l/1")], [1, 2]),
        ([add("/l/1"), add("/l/0"), replace("/l", [])], [2]),
        ([replace("/l/2/a"), add("/l/0"), remove("/l/0"), replace("/l/2", {}), remove("/l")], [4]),
        ([remove("/l/0"), add("/l/0"), replace("/l", [])], [0, 1, 2]),
        ([replace("/l/1"), remove("/l/1")], [1]),
        ([replace("/l/1"), add("/l/1"), replace("/l/1")], [0, 1, 2]),
        # The same text, another place.
        ([replace("/a/1"), replace("/a~11"), replace("/a/1")], [1, 2]),
        ([replace("/-"), add("/-"), replace("/-")], [0, 1, 2]),
    ],
)
def test_what_is_left_of_operations(operations, left):
    assert merged(operations) == [operations[number] for number in left]
    assert merged(*[[operation] for operation in operations]) == [operations[number] for number in left]


def test_a_thousand_ticks_are_one_operation_per_symbol():
    ticks = [[replace(f"/prices/{number % 10}", number)] for number in range(1000)]
    assert merged(*ticks) == [each for [each] in ticks[-10:]]


def test_what_does_not_follow_is_not_taken():
    merger = Merger()
    assert merger.add(patch(3, 4, [replace("/a")]))
    assert not merger.add(patch(5, 6, [replace("/a")]))
    assert json.loads(merger.message()) == json.loads(patch(3, 4, [replace("/a")]))
    assert (merger.patches, merger.revision) == (1, 4)


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"patch","from":0,"to":1,"operations":[{"op":"move","path":"/a","from":"/b"}]}',
        b'{"type":"patch","from":0,"to":1,"operations":[{"op":"add","path":"a","value":1}]}',
        b'{"type":"patch","from":0,"to":1,"operations":"another kind of document"}',
        b"no JSON",
    ],
)
def test_what_is_no_json_patch_is_not_taken_and_changes_nothing(message):
    merger = Merger()
    assert not merger.add(message)
    assert (merger.patches, len(merger), merger.size) == (0, 0, 0)


def test_values_are_passed_on_as_they_came():
    """No number is rounded, and no text written in another way."""
    message = b'{"type":"patch","from":0,"to":1,"operations":[{"op":"add","path":"/a","value":1.0e2}]}'
    merger = Merger()
    assert merger.add(message)
    assert merger.message() == message


def test_a_patch_takes_as_long_as_it_has_operations_however_much_came_before():
    """Counted by time, but the wrong way takes minutes."""
    began = time.perf_counter()
    merger = Merger()
    for number in range(20_000):
        assert merger.add(patch(number, number + 1, [add(f"/log/{number}"), replace(f"/rows/{number}/a/b/c")]))
    assert time.perf_counter() - began < 10
    assert merger.add(patch(20_000, 20_001, [replace("", {})]))
    assert len(merger) == 1


def test_a_path_may_have_any_number_of_steps():
    deep = "/a" * 5_000
    assert merged([replace(deep), add(deep + "/0"), replace("/a")]) == [replace("/a")]
