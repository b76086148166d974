import enum
import math
from collections import OrderedDict, defaultdict, namedtuple
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.document.json_document import JsonDocument
from supervisor.document.observed_dict import ObservedDict
from supervisor.document.observed_list import ObservedList
from supervisor.document.values import MAX_DEPTH, MAX_INT, same_scalar
from supervisor.errors import InvalidValue


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Float(float):
    """As numpy's float64 is."""

    def __float__(self):
        return 7.0


def nested(depth, kind=list):
    value = kind()
    for _ in range(depth - 1):
        value = [value] if kind is list else {"a": value}
    return value


def cycle():
    value = {"x": {"y": []}}
    value["x"]["y"].append(value["x"])
    return value


REFUSED = [
    (math.nan, "", "None"),
    (math.inf, "", "None"),
    (-math.inf, "", "None"),
    (MAX_INT + 1, "", "str(value)"),
    (-MAX_INT - 1, "", "str(value)"),
    (10**6000, "", "str(value)"),
    ((1, 2), "", "list(value)"),
    (namedtuple("Point", "x")(1), "", "list(value)"),
    ({1}, "", "sorted(value)"),
    (frozenset(), "", "sorted(value)"),
    (b"x", "", "decode"),
    (bytearray(), "", "decode"),
    (object(), "", "make it of"),
    (Decimal(1), "", "make it of"),
    ("\ud800", "", "surrogate"),
    ({"a": [0, {"b/c": math.nan}]}, "/a/1/b~1c", "None"),
    ({"a": {1: 2}}, "/a", "str(key)"),
    ({"a": {None: 2}}, "/a", "str(key)"),
    ({"ok": 1, "\udfff": 2}, "", "surrogate"),
    (["é", "a\udc00"], "/1", "surrogate"),
    (cycle(), "/x/y/0", "contains itself"),
]


@pytest.mark.parametrize(("value", "place", "words"), REFUSED, ids=lambda part: type(part).__name__)
def test_what_json_cannot_carry_is_refused_with_its_place_and_a_way_out(value, place, words):
    document = JsonDocument()
    document.replace({"rows": [{"m~n": 1}], "other": []})
    document.commit()
    before = document.snapshot()
    row, rows, root = document.root["rows"][0], document.root["rows"], document.root
    generator = (item for item in [1, value])
    attempts = [
        (lambda: row.__setitem__("m~n", value), "/rows/0/m~0n"),
        (lambda: row.update({"fine": 1, "m~n": value}), "/rows/0/m~0n"),
        (lambda: row.update(fine=1, new=value), "/rows/0/new"),
        (lambda: row.__ior__({"fine": 1, "new": value}), "/rows/0/new"),
        (lambda: row.setdefault("new", value), "/rows/0/new"),
        (lambda: rows.__setitem__(0, value), "/rows/0"),
        (lambda: rows.append(value), "/rows/1"),
        (lambda: rows.insert(0, value), "/rows/0"),
        (lambda: rows.extend(generator), "/rows/2"),
        (lambda: rows.__iadd__([1, value]), "/rows/2"),
        (lambda: rows.__setitem__(slice(0, 1), [1, value]), "/rows/1"),
        (lambda: rows.__setitem__(slice(None, None, -1), [value]), "/rows/0"),
        (lambda: document.replace({"fine": 1, "new": value}), "/new"),
    ]
    for attempt, prefix in attempts:
        with pytest.raises(InvalidValue) as caught:
            attempt()
        assert str(caught.value).startswith(f'at "{prefix}{place}": ')
        assert words in str(caught.value)
        assert not document.changed
        assert document.commit() is None
        assert document.snapshot() == before
        assert document.root is root
    assert document.revision == 1


@pytest.mark.parametrize("key", [1, 1.5, None, True, (), "\ud800"], ids=ascii)
def test_a_key_that_is_no_text_is_refused_with_the_dict_it_was_for(key):
    document = JsonDocument()
    document.root["a"] = {}
    for attempt in (
        lambda: document.root["a"].__setitem__(key, 1),
        lambda: document.root["a"].setdefault(key, 1),
        lambda: document.root["a"].update({"fine": 1, key: 1}),
    ):
        with pytest.raises(InvalidValue, match='at "/a": '):
            attempt()
    assert document.root == {"a": {}}


@pytest.mark.parametrize("value", [None, 1, "text", [], [("a", 1)]])
def test_the_root_is_replaced_by_a_mapping_only(value):
    with pytest.raises(InvalidValue, match="the root must be a dict"):
        JsonDocument().replace(value)


def test_integers_are_kept_up_to_where_browsers_hold_them():
    document = JsonDocument()
    document.root["n"] = [MAX_INT, -MAX_INT]
    assert MAX_INT == 9007199254740992
    assert document.root["n"] == [MAX_INT, -MAX_INT]


@pytest.mark.parametrize("kind", [list, dict])
def test_nesting_is_counted_from_the_root(kind):
    document = JsonDocument()
    document.root["a"] = nested(MAX_DEPTH - 1, kind)
    inner = document.root["a"]
    for _ in range(MAX_DEPTH - 2):
        inner = inner[0] if kind is list else inner["a"]
    with pytest.raises(InvalidValue, match="200 deep"):
        inner.append([]) if kind is list else inner.__setitem__("a", {})
    with pytest.raises(InvalidValue, match="200 deep"):
        document.root["b"] = nested(MAX_DEPTH, kind)
    with pytest.raises(InvalidValue, match="200 deep"):
        document.replace({"a": nested(MAX_DEPTH, kind)})
    document.root["b"] = [0]
    assert document.commit() is not None
    assert document.snapshot()


def test_instances_of_subclasses_become_the_base_type():
    document = JsonDocument()
    document.root[Colour.RED] = [Colour.RED, Level.LOW, Float(0.5), True]
    ((key, value),) = document.root.items()
    assert type(key) is str
    assert value == ["red", 1, 0.5, True]
    assert [type(item) for item in value] == [str, int, float, bool]
    document.root[Colour.RED] = Level.LOW
    document.root.setdefault("é", Colour.RED)
    document.commit()
    document.root[Colour.RED] = Level.LOW
    assert not document.changed
    assert document.snapshot() == '{"red":1,"é":"red"}'.encode()
    del document.root[Colour.RED]
    assert document.root == {"é": "red"}
    assert document.commit().encoded == b'[{"op":"remove","path":"/red"}]'


def test_instances_of_subclasses_of_dict_and_list_are_copied():
    class Rows(list):
        pass

    document = JsonDocument()
    document.root["a"] = defaultdict(list, x=Rows([1]))
    document.root["b"] = OrderedDict(y=1)
    assert type(document.root["a"]) is ObservedDict
    assert type(document.root["a"]["x"]) is ObservedList
    assert document.root == {"a": {"x": [1]}, "b": {"y": 1}}


def test_what_is_put_in_is_a_copy_also_from_the_same_document():
    document = JsonDocument()
    original = {"l": [{}]}
    document.root["a"] = original
    document.root["b"] = document.root["a"]
    original["l"][0]["seen"] = True
    document.root["a"]["l"].append(1)
    assert document.root == {"a": {"l": [{}, 1]}, "b": {"l": [{}]}}


scalars = st.sampled_from([None, True, False, 0, 1, 0.0, -0.0, 1.0, "", "1"])


@given(scalars, scalars)
def test_two_scalars_are_the_same_when_type_and_sign_are(left, right):
    assert same_scalar(left, right) == (repr(left) == repr(right))
