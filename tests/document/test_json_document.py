import copy
import gc
import json
import types
from contextlib import nullcontext

import jsonpatch
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.document.json_document import MAX_OUTLINED, JsonDocument, outline
from supervisor.document.observed_dict import ObservedDict
from supervisor.document.observed_list import ObservedList
from supervisor.document.patch import apply, invert
from supervisor.errors import InvalidValue

from ..examples import many

keys = st.sampled_from(["a", "b", "c/d", "~", "0"])
values = st.recursive(
    st.sampled_from([None, True, 0, 1, 2, 1.0, -0.0, "é", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)
roots = st.dictionaries(keys, values, max_size=5)


def containers_of(value, found):
    if isinstance(value, ObservedDict | ObservedList):
        found.append(value)
        for item in value.values() if isinstance(value, ObservedDict) else value:
            containers_of(item, found)
    return found


def picture(value):
    """Objects, contents, types of scalars and order of keys."""
    return [(id(node), list(node.items()) if isinstance(node, dict) else list(node), repr(node)) for node in value]


def all_owned(document):
    """The invariants of the containers of a document."""
    journal = document._journal
    for node in containers_of(document.root, []):
        assert node._owner is journal
        for item in node.values() if isinstance(node, ObservedDict) else node:
            assert type(item) not in (dict, list)
            assert not isinstance(item, ObservedDict | ObservedList) or item._parent is node
    assert document.root._parent is None


def edit(data, document, held):
    """One random mutation, of the document or of a container that the author kept."""
    pool = containers_of(document.root, []) + held
    node = pool[data.draw(st.integers(0, len(pool) - 1))]
    draw = data.draw
    if isinstance(node, ObservedDict):
        key = draw(keys)
        kind = draw(st.sampled_from(["set", "set", "del", "update", "popitem", "clear", "default", "root", "move"]))
        if kind == "set":
            node[key] = draw(values)
        elif kind == "del":
            held.extend(containers_of(node.pop(key, None), [])[:1])
        elif kind == "update":
            node |= draw(roots)
        elif kind == "popitem" and node:
            node.popitem()
        elif kind == "clear":
            held.extend(containers_of(dict(node).get(key), []))
            node.clear()
        elif kind == "default":
            node.setdefault(key, draw(values))
        elif kind == "root" and draw(st.booleans()):
            document.replace(draw(roots))
        elif kind == "move" and node:
            node[key] = 0
            node[key] = copy.deepcopy(draw(values))
    else:
        index = draw(st.integers(-4, 4))
        kind = draw(st.sampled_from(["set", "del", "append", "insert", "slice", "steps", "sort", "reverse", "times"]))
        if kind == "set" and -len(node) <= index < len(node):
            held.extend(containers_of(node[index], [])[:1])
            node[index] = draw(values)
        elif kind == "del" and -len(node) <= index < len(node):
            held.extend(containers_of(node.pop(index), [])[:1])
        elif kind == "append":
            node.append(draw(values))
        elif kind == "insert":
            node.insert(index, draw(values))
        elif kind == "slice":
            held.extend(containers_of(node[0], []) if node else [])
            node[index : draw(st.integers(-4, 4))] = draw(st.lists(values, max_size=3))
        elif kind == "steps":
            del node[:: draw(st.sampled_from([2, -1, -3]))]
        elif kind == "sort":
            node.sort(key=repr, reverse=draw(st.booleans()))
        elif kind == "reverse":
            node.reverse()
        elif kind == "times" and len(node) < 5:
            node *= draw(st.integers(0, 2))


@given(st.data(), roots)
@settings(max_examples=many(300), deadline=None)
def test_random_commits_and_rollbacks_keep_all_laws(data, start):
    """Rollback gives the start, a patch leads from snapshot to snapshot, its inverse leads back."""
    document = JsonDocument()
    document.replace(start)
    document.commit()
    for _ in range(data.draw(st.integers(1, 3))):
        root, known = document.root, containers_of(document.root, [])
        old, before, revision = document.snapshot(), picture(known), document.revision
        held = []
        for _ in range(data.draw(st.integers(0, 8))):
            edit(data, document, held)
            all_owned(document)
            if data.draw(st.integers(0, 4)) == 0:
                now = picture(containers_of(document.root, []) + held)
                operations = msgspec.json.encode(document._journal.operations)
                assert document.snapshot() == old
                assert picture(containers_of(document.root, []) + held) == now
                assert msgspec.json.encode(document._journal.operations) == operations
                all_owned(document)
        if data.draw(st.booleans()):
            added = containers_of(document.root, [])
            document.roll_back()
            assert document.root is root
            assert picture(known) == before
            assert document.snapshot() == old
            assert document.revision == revision
            inside = set(map(id, known))
            assert all((node._owner is None) == (id(node) not in inside) for node in added)
        else:
            changed = document.changed
            patch = document.commit()
            assert (patch is not None) == changed
            new = document.snapshot()
            if patch is None:
                assert new == old
            else:
                assert (patch.base, patch.revision) == (revision, revision + 1)
                plain, operations = json.loads(old), json.loads(patch.encoded)
                assert {operation["op"] for operation in operations} <= {"add", "remove", "replace"}
                assert not any(operation["path"].endswith("/-") for operation in operations)
                done = apply(plain, operations)
                assert msgspec.json.encode(done) == new
                assert jsonpatch.apply_patch(json.loads(old), operations) == json.loads(new)
                assert apply(done, invert(plain, operations)) == plain == json.loads(old)
            assert document.revision == revision + changed
            inside = set(map(id, containers_of(document.root, [])))
            assert all((node._owner is None) == (id(node) not in inside) for node in [*known, *held])
        assert not document.changed
        all_owned(document)


class Refused(Exception):
    pass


MUTATIONS = [
    lambda d, s: d.__setitem__("a", 1),
    lambda d, s: d.__delitem__("n"),
    lambda d, s: d.update(a=1),
    lambda d, s: d.__ior__({"a": 1}),
    lambda d, s: d.setdefault("a", 1),
    lambda d, s: d.pop("n"),
    lambda d, s: d.popitem(),
    lambda d, s: d.clear(),
    lambda d, s: d.__init__(a=1),
    lambda d, s: s.__setitem__(0, 1),
    lambda d, s: s.__setitem__(slice(0, 1), [1]),
    lambda d, s: s.__setitem__(slice(None, None, 2), [1]),
    lambda d, s: s.__delitem__(0),
    lambda d, s: s.__delitem__(slice(0, 1)),
    lambda d, s: s.append(1),
    lambda d, s: s.extend([1]),
    lambda d, s: s.__iadd__([1]),
    lambda d, s: s.__imul__(2),
    lambda d, s: s.insert(0, 1),
    lambda d, s: s.pop(),
    lambda d, s: s.remove(9),
    lambda d, s: s.clear(),
    lambda d, s: s.sort(),
    lambda d, s: s.reverse(),
    lambda d, s: s.__init__([1]),
]


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_the_guard_is_asked_before_each_mutation_and_can_refuse_it(mutate):
    asked = []

    def guard(node):
        asked.append(node)
        if refusing:
            raise Refused

    refusing = False
    document = JsonDocument(guard=guard)
    document.replace({"d": {"m": [1], "n": 2}, "l": [9, 8]})
    document.commit()
    inner, items, before = document.root["d"], document.root["l"], document.snapshot()
    refusing = True
    with pytest.raises(Refused):
        mutate(inner, items)
    with pytest.raises(Refused):
        document.replace({})
    assert not document.changed
    assert document.snapshot() == before
    refusing = False
    asked.clear()
    mutate(inner, items)
    assert asked == [inner] or asked == [items]
    assert asked[0] is inner or asked[0] is items
    assert document.changed
    document.replace({})
    document.commit()
    asked.clear()
    free_inner, free_items = ObservedDict(inner), items
    free_inner.setdefault("n", 1)
    free_items[:] = [9, 8]
    mutate(free_inner, free_items)
    assert asked == []


def test_reading_asks_no_guard():
    def guard(node):
        if refusing:
            raise Refused

    refusing = False
    document = JsonDocument(guard=guard)
    document.replace({"a": [1]})
    refusing = True
    assert document.root["a"][0] == 1
    assert list(document.root.items()) == [("a", [1])]
    assert document.snapshot() == b"{}"
    assert document.commit() is not None
    document.roll_back()


def test_a_new_document_is_empty_and_unchanged():
    document = JsonDocument()
    assert document.root == {}
    assert document.revision == 0
    assert not document.changed
    assert document.commit() is None
    assert document.snapshot() == b"{}"
    document.root["a"] = 1
    assert repr(document) == "<JsonDocument at revision 0, changed>"
    assert document.commit().encoded == b'[{"op":"add","path":"/a","value":1}]'
    assert repr(document) == "<JsonDocument at revision 1>"


def test_replacing_the_root_tells_nothing_else():
    document = JsonDocument()
    document.root["a"] = 1
    document.replace(types.MappingProxyType({"b": []}))
    document.root["b"].append(1)
    assert document.commit().encoded == b'[{"op":"replace","path":"","value":{"b":[1]}}]'


def test_the_root_given_again_is_no_change():
    document = JsonDocument()
    root = document.root
    data = document.root
    data |= {"a": 1}
    document.replace(data)
    assert document.root is root
    assert document.commit().encoded == b'[{"op":"add","path":"/a","value":1}]'


def test_rolling_back_a_replaced_root_gives_the_same_root():
    document = JsonDocument()
    document.root["a"] = {}
    document.commit()
    root, inner = document.root, document.root["a"]
    document.replace({"b": 1})
    fresh = document.root
    root["kept"] = True
    assert document.snapshot() == b'{"a":{}}'
    document.roll_back()
    assert document.root is root
    assert root == {"a": {}}
    assert root["a"] is inner
    fresh["c"] = {1}
    assert not document.changed


def test_what_was_taken_out_and_then_mutated_comes_back_as_it_was():
    document = JsonDocument()
    document.replace({"a": {"x": [1]}, "z": 0})
    document.commit()
    taken = document.root.pop("a")
    items = taken["x"]
    items.append(2)
    taken["y"] = 1
    del taken["x"]
    items.append(3)
    document.roll_back()
    assert document.root == {"a": {"x": [1]}, "z": 0}
    assert list(document.root) == ["a", "z"]
    assert document.root["a"] is taken
    assert taken["x"] is items
    items.append(4)
    assert document.commit().encoded == b'[{"op":"add","path":"/a/x/1","value":4}]'


def test_the_order_of_keys_survives_deletion_and_return():
    document = JsonDocument()
    document.replace(dict.fromkeys("abcd", 0))
    document.commit()
    del document.root["d"]
    del document.root["b"]
    document.root["b"] = 0
    del document.root["a"]
    document.root.update(e=0, a=1)
    assert document.snapshot() == b'{"a":0,"b":0,"c":0,"d":0}'
    assert list(document.root) == ["c", "b", "e", "a"]
    document.roll_back()
    assert list(document.root.items()) == [(key, 0) for key in "abcd"]


def test_containers_leave_no_cycles_behind():
    def living():
        return sum(isinstance(thing, ObservedDict | ObservedList) for thing in gc.get_objects())

    document = JsonDocument()
    document.replace({"a": [{"b": []}]})
    document.commit()
    gc.collect()
    gc.disable()
    try:
        before = living()
        for _ in range(3):
            document.root["a"] = [{"b": []}]
            document.root["x"] = [{"b": [{}]}]
            document.root["x"].append({})
            document.commit()
            document.root["x"].sort(key=str)
            document.root["x"].pop()["y"] = {"z": {}}
            document.roll_back()
            del document.root["x"]
            document.commit()
        assert living() == before
    finally:
        gc.enable()


def test_a_container_that_a_commit_let_go_of_is_plain():
    document = JsonDocument()
    document.root["a"] = {"b": [{}]}
    document.commit()
    taken = document.root.pop("a")
    inner = taken["b"][0]
    document.commit()
    inner[1] = {2}
    taken["b"].append(taken)
    assert not document.changed
    document.root["again"] = {"b": []}
    assert document.commit().encoded == b'[{"op":"add","path":"/again","value":{"b":[]}}]'


def test_a_failed_update_leaves_no_half_made_copies():
    document = JsonDocument()
    with pytest.raises(ValueError, match="no JSON form"):
        document.root.update(a={"b": {}}, c={1})
    assert document._journal.added
    assert document.commit() is None
    assert not document._journal.added


def test_a_frozen_document_shows_what_was_committed():
    document = JsonDocument()
    document.root["a"] = 1
    document.commit()
    document.freeze(nullcontext())
    document.root["a"] = 2
    assert document.snapshot() == b'{"a":1}'
    document.thaw()
    assert document.snapshot() == b'{"a":1}'
    document.commit()
    assert document.snapshot() == b'{"a":2}'


def test_freezing_in_a_transaction_shows_the_state_before_it():
    document = JsonDocument()
    document.root["a"] = 1
    document.freeze(nullcontext())
    assert document.snapshot() == b"{}"
    document.thaw()
    document.commit()
    assert document.snapshot() == b'{"a":1}'


# Its size.


def size_of(document):
    return len(document.snapshot())


def test_a_document_that_would_be_too_large_is_refused_and_can_be_rolled_back_or_made_smaller():
    document = JsonDocument(max_size=1024)
    document.root["text"] = "x" * 900
    before = document.commit()
    document.root["more"] = ["y" * 200]
    for _ in range(2):
        with pytest.raises(
            InvalidValue, match=r"would have 1,1\d\d bytes as JSON, but at most 1,024 are allowed .max_document_size.;"
        ):
            document.commit()
    assert document.revision == before.revision
    document.roll_back()
    assert document.root == {"text": "x" * 900}
    document.root["more"] = "y" * 200
    document.root["text"] = ""
    assert document.commit().revision == before.revision + 1


def test_what_is_uncommitted_can_be_measured_before():
    document = JsonDocument(max_size=1024)
    document.root["text"] = "x" * 600
    document.check_size()
    document.commit()
    document.root["text"] = "y" * 600
    document.check_size()
    document.root["more"] = "y" * 600
    with pytest.raises(InvalidValue, match="max_document_size"):
        document.check_size()
    document.roll_back()
    document.root["text"] = "z" * 600
    document.commit()


def test_a_document_without_a_limit_is_never_measured():
    document = JsonDocument()
    document.root["text"] = "x" * 10_000_000
    document.check_size()
    assert document.commit() is not None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 700)), max_size=60))
def test_what_is_kept_is_larger_by_a_sixteenth_at_most_and_what_fits_is_never_refused(changes):
    limit = 1024
    document = JsonDocument(max_size=limit)
    for key, size in changes:
        document.root[key] = "x" * size
        would_be = len(json.dumps(document.root, separators=(",", ":")))
        try:
            document.commit()
        except InvalidValue:
            assert would_be > limit
            document.roll_back()
        assert size_of(document) <= limit + limit // 16


def test_a_document_just_below_its_limit_is_not_measured_at_each_commit(monkeypatch):
    limit = 64 * 1024
    document = JsonDocument(max_size=limit)
    document.root.update(text="x" * (limit - 100), n=0)
    document.commit()
    measured = []
    original = JsonDocument._measure
    monkeypatch.setattr(JsonDocument, "_measure", lambda self: measured.append(1) or original(self))
    for number in range(1000):
        document.root["n"] = number + 1
        document.commit()
    assert len(measured) < 15


def test_it_may_count_on_from_a_revision_and_begin_with_a_snapshot():
    """What a restart does: the revision goes on rising, and the new data is a copy."""
    first = JsonDocument()
    first.root.update({"a": [1], "b": {}})
    first.commit()
    second = first.successor()
    assert second.root == {}
    second.restore(first.snapshot())
    patch = second.commit()
    assert (patch.base, patch.revision) == (1, 2)
    assert second.root == first.root
    second.root["a"].append(2)
    assert first.root["a"] == [1]


def test_a_successor_has_the_same_limit():
    successor = JsonDocument(max_size=1024).successor()
    successor.root["text"] = "x" * 1024
    with pytest.raises(InvalidValue, match="max_document_size"):
        successor.commit()


def test_an_outline_names_the_first_operations_and_shows_no_values():
    document = JsonDocument()
    document.root["rows"] = []
    document.commit()
    for number in range(5):
        document.root["rows"].append(f"row {number}")
    assert outline(document.commit()) == "add /rows/0, add /rows/1, add /rows/2, … 2 more"
    document.replace({"rows": ["x" * MAX_OUTLINED]})
    assert outline(document.commit()) == "65,586 bytes"
    document.replace({})
    assert outline(document.commit()) == "replace all"
