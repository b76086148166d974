import copy

import pytest

from supervisor.document.edit import EditOperation, apply_edit, check_edit
from supervisor.document.json_document import JsonDocument, decode_patch
from supervisor.errors import InvalidValue, PatchError

DATA = {"list": [{"n": 1}, "b"], "map": {"0": "zero"}}


def document():
    made = JsonDocument()
    made.root.update(copy.deepcopy(DATA))
    made.commit()
    return made


@pytest.mark.parametrize(
    ("op", "keys", "operation"),
    [
        ("set", ("map", "k"), {"op": "add", "path": "/map/k", "value": "new"}),
        ("set", ("map", "0"), {"op": "replace", "path": "/map/0", "value": "new"}),
        ("set", ("list", 1), {"op": "replace", "path": "/list/1", "value": "new"}),
        ("set", ("list", 0, "n"), {"op": "replace", "path": "/list/0/n", "value": "new"}),
        ("insert", ("list", 0), {"op": "add", "path": "/list/0", "value": "new"}),
        ("insert", ("list", 2), {"op": "add", "path": "/list/2", "value": "new"}),
        ("remove", ("list", 1), {"op": "remove", "path": "/list/1"}),
        ("remove", ("map", "0"), {"op": "remove", "path": "/map/0"}),
    ],
)
def test_an_edit_becomes_the_one_operation_that_says_the_same(op, keys, operation):
    made = document()
    apply_edit(made.root, EditOperation(op=op, keys=keys, value=None if op == "remove" else "new"))
    assert decode_patch(made.commit()) == [operation]


@pytest.mark.parametrize(
    ("op", "keys"),
    [
        ("set", ("list", 2)),
        ("set", ("list", -1)),
        ("set", ("list", "0")),
        ("set", ("map", 0)),
        ("set", ("nothing", "k")),
        ("set", ("list", 1, "k")),
        ("set", ("list", 5, "k")),
        ("insert", ("list", 3)),
        ("insert", ("list", -1)),
        ("insert", ("map", "k")),
        ("remove", ("list", 2)),
        ("remove", ("map", "k")),
    ],
)
def test_what_does_not_fit_changes_nothing(op, keys):
    made = document()
    edit = EditOperation(op=op, keys=keys, value=1)
    with pytest.raises(PatchError, match="is not there, or can't be edited so"):
        check_edit(made.root, edit)
    with pytest.raises(PatchError):
        apply_edit(made.root, edit)
    assert made.root == DATA
    assert not made.changed


def test_a_value_that_the_document_does_not_take_is_refused():
    made = document()
    with pytest.raises(InvalidValue, match="beyond"):
        apply_edit(made.root, EditOperation(op="set", keys=("map", "k"), value=2**60))
    assert made.root == DATA
