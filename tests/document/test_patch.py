import copy
import json
from pathlib import Path

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.document.patch import apply, equal, invert
from supervisor.errors import PatchError
from supervisor.testing.strategies import json_values

SUITE = Path(__file__).parents[2] / ".tools" / "node_modules" / "json-patch-test-suite"

values = json_values(keys=st.sampled_from(["a", "b", "/", "~"]))
paths = st.lists(st.sampled_from(["a", "b", "~1", "~0", "0", "1", "-"]), max_size=3).map(
    lambda tokens: "".join(f"/{token}" for token in tokens)
)
operations = st.lists(
    st.builds(
        lambda op, path, value: {"op": op, "path": path, "value": value},
        st.sampled_from(["add", "replace"]),
        paths,
        values,
    )
    | st.builds(lambda path: {"op": "remove", "path": path}, paths)
    | st.builds(lambda op, a, b: {"op": op, "from": a, "path": b}, st.sampled_from(["move", "copy"]), paths, paths),
    max_size=4,
)


def suite_cases():
    if not SUITE.is_dir():
        pytest.skip("the public suite is missing: npm install --prefix .tools json-patch-test-suite")
    for name in ("tests.json", "spec_tests.json"):
        for number, case in enumerate(json.loads((SUITE / name).read_text())):
            if "patch" in case and not case.get("disabled"):
                yield f"{name}[{number}] {case.get('comment', '')}", case


def test_the_public_suite_passes():
    count = 0
    for label, case in suite_cases():
        count += 1
        before = copy.deepcopy(case)
        if "error" in case:
            with pytest.raises(PatchError):
                apply(case["doc"], case["patch"])
                pytest.fail(f"{label}: accepted")
        else:
            done = apply(case["doc"], case["patch"])
            assert equal(done, case.get("expected", done)), label
            assert equal(apply(done, invert(case["doc"], case["patch"])), case["doc"]), label
        assert case == before, f"{label}: the input was mutated"
    assert count > 80


@given(values, operations)
def test_applying_mutates_nothing_and_the_inverse_leads_back(document, patch):
    before = copy.deepcopy((document, patch))
    try:
        done = apply(document, patch)
    except PatchError:
        with pytest.raises(PatchError):
            invert(document, patch)
    else:
        inverse = invert(document, patch)
        assert {operation["op"] for operation in inverse} <= {"add", "remove", "replace"}
        assert equal(apply(done, inverse), document)
        assert equal(apply(document, patch), done), "nothing was kept from the first time"
    assert (document, patch) == before


@given(values, operations)
def test_what_the_package_jsonpatch_also_accepts_gives_the_same(document, patch):
    try:
        done = apply(document, patch)
    except PatchError:
        return
    try:
        theirs = jsonpatch.apply_patch(document, patch)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, AttributeError, TypeError):
        return  # it is not at home at the root and in scalars
    assert equal(done, theirs)


@pytest.mark.parametrize(
    "operation",
    [
        "add",
        {},
        {"op": "add"},
        {"op": "add", "path": "/x"},
        {"op": "add", "path": 1, "value": 1},
        {"op": "add", "path": "x", "value": 1},
        {"op": "jump", "path": "/a"},
        {"op": ["add"], "path": "/a", "value": 1},
        {"op": "add", "path": "/l/3", "value": 1},
        {"op": "add", "path": "/l/01", "value": 1},
        {"op": "add", "path": "/l/١", "value": 1},
        {"op": "add", "path": "/l/1e0", "value": 1},
        {"op": "add", "path": "/l/" + "9" * 5000, "value": 1},
        {"op": "add", "path": "/s/x", "value": 1},
        {"op": "add", "path": "/s/x/y", "value": 1},
        {"op": "add", "path": "/no/x", "value": 1},
        {"op": "replace", "path": "/no", "value": 1},
        {"op": "replace", "path": "/l/-", "value": 1},
        {"op": "remove", "path": "/no"},
        {"op": "remove", "path": "/l/2"},
        {"op": "remove", "path": ""},
        {"op": "move", "path": "/x"},
        {"op": "move", "path": "/x", "from": "/no"},
        {"op": "move", "path": "/d/d/e", "from": "/d"},
        {"op": "move", "path": "/d", "from": ""},
        {"op": "copy", "path": "/x", "from": "/no"},
        {"op": "copy", "path": "/x", "from": "/l/-"},
        {"op": "test", "path": "/l/0"},
        {"op": "test", "path": "/l/0", "value": True},
        {"op": "test", "path": "/no", "value": None},
    ],
)
def test_an_operation_that_does_not_fit_is_a_patch_error(operation):
    with pytest.raises(PatchError):
        apply({"l": [1, 2], "d": {"d": {}}, "s": "text"}, [operation])


def test_a_copy_is_independent_of_its_origin():
    document = {"a": {"l": [1]}}
    patch = [
        {"op": "add", "path": "/a/l/-", "value": 2},
        {"op": "copy", "from": "/a", "path": "/b"},
        {"op": "add", "path": "/a/l/-", "value": 3},
        {"op": "add", "path": "/b/l/-", "value": 4},
    ]
    assert apply(document, patch) == {"a": {"l": [1, 2, 3]}, "b": {"l": [1, 2, 4]}}


def test_one_value_in_two_operations_becomes_two():
    shared = []
    patch = [{"op": "add", "path": path, "value": shared} for path in ("/a", "/b")]
    patch.append({"op": "add", "path": "/a/-", "value": 1})
    assert apply({}, patch) == {"a": [1], "b": []}
    assert shared == []


def test_what_is_untouched_is_shared_with_the_input():
    document = {"a": {"x": 1}, "b": {}}
    done = apply(document, [{"op": "replace", "path": "/a/x", "value": 2}])
    assert done["b"] is document["b"]
    assert done["a"] is not document["a"]


def test_equality_is_that_of_json():
    assert equal(1, 1.0)
    assert not equal(1, True)
    assert not equal(0, False)
    assert equal({"a": [1, None]}, {"a": [1.0, None]})
    assert not equal([1], [1, 2])
    assert not equal({}, [])
    assert not equal([], {})
    assert not equal({"a": 1}, {"b": 1})
