import threading
from contextlib import nullcontext

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.document.committed import Committed
from supervisor.document.json_document import JsonDocument
from tests.document.test_json_document import all_owned, containers_of, edit, roots


def frozen(start, lock=None):
    """A document, and what sees its committed state while it is changed."""
    document = JsonDocument()
    document.replace(start)
    document.commit()
    document.freeze(lock or nullcontext())
    assert isinstance(document._frozen, Committed)
    return document, document._frozen


def seen(committed):
    """The tree that is encoded."""
    tree = []
    committed.encoded(lambda root: tree.append(root) or b"")
    return tree[0]


@given(st.data(), roots)
@settings(max_examples=300, deadline=None)
def test_whatever_is_mutated_the_committed_state_is_seen_and_nothing_is_touched(data, start):
    document, _ = frozen(start)
    old = msgspec.json.encode(start)
    held = containers_of(document.root, [])[: data.draw(st.integers(0, 3))]
    for _ in range(data.draw(st.integers(1, 8))):
        edit(data, document, held)
        now, operations = msgspec.json.encode(document.root), msgspec.json.encode(document.changes)
        assert document.snapshot() == old
        assert (msgspec.json.encode(document.root), msgspec.json.encode(document.changes)) == (now, operations)
        all_owned(document)
    document.thaw()
    if data.draw(st.booleans()):
        document.commit()
        assert document.snapshot() == now
    else:
        document.roll_back()
        assert document.snapshot() == old


def test_what_is_not_changed_is_not_copied():
    document, committed = frozen({"rows": [[1], [2]], "more": {"a": {"b": 1}}})
    rows, more = document.root["rows"], document.root["more"]
    assert seen(committed) is document.root
    rows[1][0] = 3
    was = seen(committed)
    assert was == {"rows": [[1], [2]], "more": {"a": {"b": 1}}}
    assert was["more"] is more
    assert was["rows"][0] is rows[0]
    assert rows == [[1], [3]]


def test_what_was_taken_out_is_seen_where_it_was_as_it_was():
    document, committed = frozen({"rows": [{"n": [1]}, {"n": [2]}]})
    row = document.root["rows"].pop(0)
    row["n"].append(3)
    document.root["rows"].insert(0, {"n": []})
    document.root["rows"][0]["n"].append(4)
    assert seen(committed) == {"rows": [{"n": [1]}, {"n": [2]}]}


def test_another_root_is_not_seen():
    document, committed = frozen({"a": [1]})
    items = document.root["a"]
    document.replace({"a": [2]})
    items.append(3)
    document.root["a"].append(4)
    assert seen(committed) == {"a": [1]}


def test_the_documents_own_guard_is_asked_first_and_what_it_refuses_copies_nothing():
    class Refused(Exception):
        pass

    def guard(node):
        if refusing:
            raise Refused

    refusing = False
    document = JsonDocument(guard=guard)
    document.freeze(nullcontext())
    refusing = True
    with pytest.raises(Refused):
        document.root["a"] = 1
    assert seen(document._frozen) is document.root
    document.thaw()
    assert document._journal.guard is guard


def test_a_container_is_locked_once_before_its_first_mutation():
    class Lock:
        def __enter__(self):
            entered.append(dict(document.root))

        def __exit__(self, *_):
            pass

    entered = []
    document, committed = frozen({"a": 1}, Lock())
    document.root["a"] = 2
    document.root["a"] = 3
    assert entered == [{"a": 1}]
    assert seen(committed) == {"a": 1}
    assert len(entered) == 2


def test_a_thread_mutates_no_container_while_it_is_encoded():
    """1. The loop encodes; 2. the thread is about to change what has no copy; 3. it waits; 4. the loop is done."""

    class Lock:
        def __init__(self):
            self.lock, self.is_wanted = threading.Lock(), threading.Event()

        def __enter__(self):
            if threading.current_thread() is thread:
                self.is_wanted.set()
            return self.lock.__enter__()

        def __exit__(self, *details):
            self.lock.__exit__(*details)

    lock = Lock()
    thread = threading.Thread(target=lambda: document.root["a"].append(2))
    document, committed = frozen({"a": [1]}, lock)

    def encode(tree):
        thread.start()
        assert lock.is_wanted.wait(60)
        assert tree == document.root == {"a": [1]}
        return msgspec.json.encode(tree)

    assert committed.encoded(encode) == b'{"a":[1]}'
    thread.join()
    assert document.root == {"a": [1, 2]}
    assert document.snapshot() == b'{"a":[1]}'
